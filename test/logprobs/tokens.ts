/**
 * The token-level oracle: waves for logits, four sequences, two pairs.
 */

import { sequenceLogProbs } from "../../src/logprobs/logProbs.js";
import { slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";

export const [B, T, V] = [4, 7, 5];
export const promptLengths = [2, 1, 2, 1];
export const completionLengths = [3, 2, 4, 5];

/** `2 sin(.7b + 1.3t + 2.1v + φ)`. */
export function waves(phase: number): Tensor {
  const values = Float64Array.from({ length: B * T * V }, (_, i) => {
    const [b, t, v] = [Math.floor(i / (T * V)), Math.floor(i / V) % T, i % V];
    return 2 * Math.sin(0.7 * b + 1.3 * t + 2.1 * v + phase);
  });
  return tensor(values, { shape: [B, T, V] });
}

export const grid = (f: (b: number, t: number) => number): number[][] =>
  Array.from({ length: B }, (_, b) => Array.from({ length: T }, (_, t) => f(b, t)));

export const ids = tensor(
  grid((b, t) => (3 * b + 2 * t + 1) % V),
  { dtype: "int32" },
);
export const completion = (b: number, t: number): boolean =>
  t >= promptLengths[b]! && t < promptLengths[b]! + completionLengths[b]!;
export const mask = tensor(grid((b, t) => Number(completion(b, t))));
export const policy = waves(0.5);
export const reference = sequenceLogProbs(waves(0.9), ids, mask);

export function pairsOf(logProbs: Tensor) {
  return {
    chosen: slice(logProbs, [0, 2]),
    rejected: slice(logProbs, [2, 4]),
    referenceChosen: slice(reference, [0, 2]),
    referenceRejected: slice(reference, [2, 4]),
    chosenLength: tensor(completionLengths.slice(0, 2)),
    rejectedLength: tensor(completionLengths.slice(2)),
  };
}
