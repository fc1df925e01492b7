/**
 * Four responses whose logits share features, `logits = W·h`: the smallest model on which raising the
 * margin of a preferred response lowers its probability. Responses in order: chosen, rejected, out of
 * distribution, other.
 */

import type { PairLogProbs } from "../../src/losses/types.js";
import { logSoftmax, matmul, slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const features = tensor(
  [
    [1, 0.2, 0],
    [1.1, -0.3, 0],
    [-1, 1.2, 0],
    [0, 0, 0.5],
  ],
  { dtype: "float64" },
);

/** What is trained: h. */
export interface Parameters {
  readonly h: Tensor;
}

/** Where training starts, and what the reference stays at. */
export const start: Parameters = { h: tensor([1.2, 0.2, 0], { dtype: "float64" }) };

/** Log-probabilities of the four responses, nats. */
export function logProbs({ h }: Parameters): Tensor {
  return logSoftmax(matmul(features, h));
}

const reference = logProbs(start);

/** The one preference pair. */
export function pairsAt(parameters: Parameters): PairLogProbs {
  const policy = logProbs(parameters);
  return {
    chosen: slice(policy, 0),
    rejected: slice(policy, 1),
    referenceChosen: slice(reference, 0),
    referenceRejected: slice(reference, 1),
    chosenLength: tensor([1]),
    rejectedLength: tensor([1]),
  };
}

/** The lower level: −log π(chosen), nats. */
export function supervised(parameters: Parameters): Tensor {
  return slice(logProbs(parameters), 0).reshape([]).neg();
}

/** A direction of descent at the parameters, possibly with a state of its own. */
export type Direction = (parameters: Parameters) => Promise<Parameters> | Parameters;

/** Probabilities after each of the steps asked for, of gradient descent with learning rate 0.1. */
export async function descend(
  direction: Direction,
  ...steps: readonly number[]
): Promise<number[][]> {
  let parameters = start;
  const visited: number[][] = [];
  for (let step = 0; step <= Math.max(...steps); step++) {
    if (steps.includes(step)) visited.push(Array.from(await logProbs(parameters).exp().data()));
    const { h } = await direction(parameters);
    parameters = await realize({ h: parameters.h.sub(h.mul(0.1)) });
  }
  return visited;
}
