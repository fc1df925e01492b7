/**
 * Arrays over the tokens of sequences: their checks, and sums over a completion.
 *
 * Ids and masks have an entry per token, [B, T]; log-probabilities and what is computed from them have
 * one per predicted token, [B, T−1].
 * @module
 */

import { type DType, isFloating } from "../kernels/dtype.js";
import { cast, mul, slice, sum, where } from "../ops/index.js";
import { formatShape, type Shape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** `Σ_t mask[t]·values[t−1]`, [B, T−1] → [B]; what stands at masked positions is of no account. */
export function maskedSum(logProbs: Tensor, mask: Tensor): Tensor {
  const weights = slice(mask, null, [1]);
  const weighted = mask.dtype === "bool" ? logProbs : mul(logProbs, cast(weights, logProbs.dtype));
  return sum(where(weights, weighted, 0), -1);
}

/** Checks the number of dimensions of an argument. */
export function checkRank(
  name: string,
  argument: string,
  t: Tensor,
  rank: number,
  form: string,
): void {
  if (t.rank !== rank) {
    throw new RangeError(
      `${name}: \`${argument}\` must have shape ${form}, got ${formatShape(t.shape)}`,
    );
  }
}

/** Checks that ids go with an argument of shape [B, T, …]. */
export function checkIds(name: string, ids: Tensor, argument: string, shape: Shape): void {
  if (ids.rank !== 2 || ids.shape[0] !== shape[0] || ids.shape[1] !== shape[1]) {
    throw new RangeError(
      `${name}: \`ids\` must have shape ${formatShape(shape.slice(0, 2))} for \`${argument}\` ` +
        `${formatShape(shape)}, got ${formatShape(ids.shape)}`,
    );
  }
  if (isFloating(ids.dtype)) {
    throw new TypeError(`${name}: \`ids\` must be int32, got ${ids.dtype}`);
  }
}

/** Checks that a mask goes with the ids. */
export function checkMask(name: string, mask: Tensor, ids: Tensor): void {
  if (mask.rank !== 2 || mask.shape[0] !== ids.shape[0] || mask.shape[1] !== ids.shape[1]) {
    throw new RangeError(
      `${name}: \`mask\` must have the shape ${formatShape(ids.shape)} of \`ids\`, got ${formatShape(mask.shape)}`,
    );
  }
}

/** The number of predicted tokens the mask (0 or 1) holds, [B], of the dtype asked for. */
export function maskedCount(mask: Tensor, dtype: DType): Tensor {
  return sum(cast(slice(cast(mask, "bool"), null, [1]), dtype), -1);
}

/** Checks that values [B, T−1] and a mask [B, T] belong together. */
export function checkTokens(name: string, argument: string, values: Tensor, mask: Tensor): void {
  checkRank(name, argument, values, 2, "[B,T-1]");
  const [rows, positions] = values.shape as [number, number];
  if (!isFloating(values.dtype)) {
    throw new TypeError(`${name}: \`${argument}\` must be floating point, got ${values.dtype}`);
  }
  if (mask.rank !== 2 || mask.shape[0] !== rows || mask.shape[1] !== positions + 1) {
    throw new RangeError(
      `${name}: \`mask\` must have shape [${rows},${positions + 1}] for \`${argument}\` ` +
        `${formatShape(values.shape)}, got ${formatShape(mask.shape)}`,
    );
  }
}
