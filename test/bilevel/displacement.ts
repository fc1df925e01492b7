/**
 * Four responses whose logits share features, `logits = W·h`: the smallest model on which raising the
 * margin of a preferred response lowers its probability. Responses in order: chosen, rejected, out of
 * distribution, other.
 */

import type { PairLogProbs } from "../../src/losses/types.js";
import { concat, logSoftmax, matmul, slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";

/** What is trained: h. */
export interface Parameters {
  readonly h: Tensor;
}

/** A direction of descent at the parameters, possibly with a state of its own. */
export type Direction = (parameters: Parameters) => Promise<Parameters> | Parameters;

/** The model in a floating-point type. */
export interface SharedFeatures {
  /** Where training starts, and what the reference stays at. */
  readonly start: Parameters;
  /** Log-probabilities of the four responses, nats. */
  readonly logProbs: (parameters: Parameters) => Tensor;
  /** The preference pair, or the chosen response with each of other rejected ones; a token each. */
  readonly pairsAt: (
    parameters: Parameters,
    ...rejected: readonly number[]
  ) => Required<PairLogProbs>;
  /** The lower level: −log π(chosen), nats. */
  readonly supervised: (parameters: Parameters) => Tensor;
  /** Probabilities after each of the steps asked for, of gradient descent with learning rate 0.1. */
  readonly descend: (direction: Direction, ...steps: readonly number[]) => Promise<number[][]>;
}

/** Makes the model. */
export function sharedFeatures(dtype: "float32" | "float64"): SharedFeatures {
  const features = tensor(
    [
      [1, 0.2, 0],
      [1.1, -0.3, 0],
      [-1, 1.2, 0],
      [0, 0, 0.5],
    ],
    { dtype },
  );
  const start: Parameters = { h: tensor([1.2, 0.2, 0], { dtype }) };
  const logProbs = ({ h }: Parameters): Tensor => logSoftmax(matmul(features, h));
  const reference = logProbs(start);
  return {
    start,
    logProbs,
    pairsAt(parameters, ...rejected) {
      const over = rejected.length > 0 ? rejected : [1];
      const of = (policy: Tensor, responses: readonly number[]): Tensor =>
        concat(responses.map((response) => slice(policy, response)));
      const policy = logProbs(parameters);
      const chosen = over.map(() => 0);
      const length = tensor(over.map(() => 1));
      return {
        chosen: of(policy, chosen),
        rejected: of(policy, over),
        referenceChosen: of(reference, chosen),
        referenceRejected: of(reference, over),
        chosenLength: length,
        rejectedLength: length,
      };
    },
    supervised: (parameters) => slice(logProbs(parameters), 0).reshape([]).neg(),
    async descend(direction, ...steps) {
      let parameters = start;
      const visited: number[][] = [];
      for (let step = 0; step <= Math.max(...steps); step++) {
        if (steps.includes(step)) visited.push(Array.from(await logProbs(parameters).exp().data()));
        const { h } = await direction(parameters);
        parameters = await realize({ h: parameters.h.sub(h.mul(0.1)) });
      }
      return visited;
    },
  };
}

/** The model in float64, and its parts. */
export const model = sharedFeatures("float64");
export const { start, logProbs, pairsAt, descend } = model;
