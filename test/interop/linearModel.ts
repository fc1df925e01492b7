/**
 * A linear softmax model of six prompts and five responses, `log softmax(X·W)`, and the gradient of
 * spoLoss with respect to W as this library alone computes it.
 */

import { valueAndGrad } from "../../src/autograd/transforms.js";
import type { DType } from "../../src/kernels/dtype.js";
import { type SpoLossOptions, spoLoss } from "../../src/losses/spo.js";
import { logSoftmax, matmul, takeAlongAxis } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const PROMPTS = 6;
export const FEATURES = 4;
export const RESPONSES = 5;

/** X, [prompts, features]. */
export const embedding: number[][] = Array.from({ length: PROMPTS }, (_, i) =>
  Array.from({ length: FEATURES }, (_, f) => Math.sin(1 + 2.3 * i + 1.7 * f)),
);

/** W at the start, [features, responses] row-major. */
export const startWeights: number[] = Array.from(
  { length: FEATURES * RESPONSES },
  (_, i) => 0.8 * Math.cos(0.4 + 2.9 * i),
);

/** W of the frozen reference. */
const referenceWeights = startWeights.map((w, i) => w + 0.1 * Math.sin(5 * i));

/** Which responses make each prompt's pair. */
export const responses = { chosen: [0, 1, 2, 3, 4, 0], rejected: [1, 3, 0, 4, 2, 2] };

/** A hinge that acts, lengths that differ. */
export const lossOptions: SpoLossOptions = {
  baseOptions: { beta: 0.5 },
  gamma: 0.7,
  hinge: true,
  floor: 0.1,
};

const lengths = { chosenLength: [1, 2, 3, 1, 2, 3], rejectedLength: [2, 2, 1, 3, 1, 2] };

/** Log-probabilities under the reference, [prompts][responses]. */
export function reference(): number[][] {
  return embedding.map((x) => {
    const logits = Array.from({ length: RESPONSES }, (_, r) =>
      x.reduce((sum, value, f) => sum + value * referenceWeights[f * RESPONSES + r]!, 0),
    );
    const normalizer = Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0));
    return logits.map((z) => z - normalizer);
  });
}

const pick = (logProbs: readonly (readonly number[])[], at: readonly number[]): number[] =>
  logProbs.map((row, i) => row[at[i]!]!);

/** What the loss is given, from all log-probabilities of policy and reference. */
export function arraysOf(
  policy: readonly (readonly number[])[],
  frozen: readonly (readonly number[])[],
) {
  return {
    chosen: pick(policy, responses.chosen),
    rejected: pick(policy, responses.rejected),
    ...constantArrays(frozen),
  };
}

/** What the loss is given beside the policy's log-probabilities. */
export function constantArrays(frozen: readonly (readonly number[])[]) {
  return {
    referenceChosen: pick(frozen, responses.chosen),
    referenceRejected: pick(frozen, responses.rejected),
    ...lengths,
  };
}

/** Loss and gradient with respect to W, of the model in this library's tensors. */
export async function directGradient(
  weights: ArrayLike<number>,
  dtype: DType,
): Promise<{ loss: number; weights: ArrayLike<number> }> {
  const constants = Object.fromEntries(
    Object.entries(constantArrays(reference())).map(([name, values]) => [
      name,
      tensor(values, { dtype }),
    ]),
  );
  const x = tensor(embedding, { dtype });
  const picked = (logProbs: Tensor, at: readonly number[]): Tensor =>
    takeAlongAxis(logProbs, tensor([...at], { dtype: "int32", shape: [PROMPTS, 1] }), 1).reshape([
      PROMPTS,
    ]);
  const w = tensor(Array.from(weights), { dtype, shape: [FEATURES, RESPONSES] });
  const [loss, gradient] = valueAndGrad((w: Tensor) => {
    const logProbs = logSoftmax(matmul(x, w), -1);
    const pairs = {
      chosen: picked(logProbs, responses.chosen),
      rejected: picked(logProbs, responses.rejected),
      ...constants,
    };
    return spoLoss(pairs, lossOptions).loss;
  })(w);
  await realize([loss, gradient]);
  return { loss: await loss.item(), weights: await gradient.data() };
}
