/**
 * A softmax over free logits, where all of the dynamics is known in closed form.
 */

import { gather, logSoftmax } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";

/** Logits that have the given probabilities. */
export function logitsOf(probabilities: readonly number[]): Tensor {
  return tensor(probabilities.map(Math.log), { dtype: "float64" });
}

/** Log-probabilities of all responses. */
export const tabular = (logits: Tensor): Tensor => logSoftmax(logits);

/** Log-probabilities of some responses, in the order given. */
export function tabularOf(...responses: number[]): (logits: Tensor) => Tensor {
  return (logits) => gather(logSoftmax(logits), tensor(responses, { dtype: "int32" }));
}

/** What the theory says of one DPO step with m the margin: `c = β·σ(−m)`, per unit of learning rate. */
export function closedForm(pi: readonly number[], beta: number, margin: number) {
  const c = beta / (1 + Math.exp(margin));
  const [a, b] = [pi[0]!, pi[1]!];
  const squares = pi.reduce((total, p) => total + p * p, 0);
  // g_y = e_y − π
  const product = (y: number, z: number): number => (y === z ? 1 : 0) - pi[y]! - pi[z]! + squares;
  const chosen = pi.map((_, z) => product(z, 0));
  const rejected = pi.map((_, z) => product(z, 1));
  return {
    c,
    chosen,
    rejected,
    velocities: pi.map((_, z) => c * (chosen[z]! - rejected[z]!)),
    chosenChange: c * a * (1 - a + b),
    rejectedChange: -c * b * (1 + a - b),
    othersChange: c * (1 - a - b) * (b - a),
  };
}
