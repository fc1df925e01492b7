/**
 * Arrays over the tokens of sequences: their checks, and sums over a completion.
 *
 * Ids and masks have an entry per token, [B, T]; log-probabilities and what is computed from them have
 * one per predicted token, [B, T−1].
 * @module
 */

import { type DType, isFloating } from "../kernels/dtype.js";
import { cast, expandDims, mul, slice, sum, where } from "../ops/index.js";
import { formatShape, type Shape } from "../tensor/shape.js";
import { checkTensor, type Tensor } from "../tensor/tensor.js";

/** How logits come from hidden states besides the head's matrix. */
export interface HeadOptions {
  /** c: logits z become `c·tanh(z/c)`; default: they stay. */
  readonly logitSoftCap?: number | undefined;
}

/** The mask's entries for the predicted tokens, [B, T] → [B, T−1]. */
function predicted(mask: Tensor): Tensor {
  return slice(mask, null, [1]);
}

/**
 * `Σ_t mask[t]·values[t−1]`, [B, T−1] → [B]. Values where the mask is 0 add nothing and get gradient 0, also
 * if they are not finite.
 */
export function maskedSum(logProbs: Tensor, mask: Tensor): Tensor {
  const weights = predicted(mask);
  const kept = where(weights, logProbs, 0);
  return sum(mask.dtype === "bool" ? kept : mul(kept, cast(weights, logProbs.dtype)), -1);
}

/**
 * Logits or hidden states [B, T−1, …] where the mask [B, T] is not 0, and 0 elsewhere. It is applied before
 * anything is computed of them: behind a function whose derivative is NaN there, a gradient of 0 is NaN.
 */
export function zeroMasked(states: Tensor, mask: Tensor): Tensor {
  return where(expandDims(predicted(mask), -1), states, 0);
}

/** Checks the number of dimensions of an argument. */
export function checkRank(
  name: string,
  argument: string,
  t: Tensor,
  rank: number,
  form: string,
): void {
  checkTensor(`${name}: ${argument}`, t);
  if (t.rank !== rank) {
    throw new RangeError(
      `${name}: \`${argument}\` must have shape ${form}, got ${formatShape(t.shape)}`,
    );
  }
}

/** Checks that ids go with an argument of shape [B, T, …]. */
export function checkIds(name: string, ids: Tensor, argument: string, shape: Shape): void {
  checkTensor(`${name}: ids`, ids);
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

/** Checks that a mask has the shape [B, T] of an argument [B, T, …]. */
export function checkMask(name: string, mask: Tensor, argument: string, shape: Shape): void {
  checkTensor(`${name}: mask`, mask);
  if (mask.rank !== 2 || mask.shape[0] !== shape[0] || mask.shape[1] !== shape[1]) {
    throw new RangeError(
      `${name}: \`mask\` must have shape ${formatShape(shape.slice(0, 2))} for \`${argument}\` ` +
        `${formatShape(shape)}, got ${formatShape(mask.shape)}`,
    );
  }
}

/** The number of predicted tokens the mask (0 or 1) holds, [B], of the dtype asked for. */
export function maskedCount(mask: Tensor, dtype: DType): Tensor {
  return sum(cast(predicted(cast(mask, "bool")), dtype), -1);
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
