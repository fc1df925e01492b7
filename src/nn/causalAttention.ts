/**
 * Attention in which a position sees itself and earlier ones, with grouped heads, windows and caps.
 * @module
 */

import { softmax } from "../ops/activations.js";
import { add, less, lessEqual, logicalAnd, mul, sub, where } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { concat, expandDims, pad, reshape, slice, swapAxes, transpose } from "../ops/movement.js";
import { iota } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import { softCap } from "./softCap.js";

/** The score of positions that are not seen. Its exponential is 0, and no −∞ − (−∞) arises. */
const MASKED = -1e30;

/** How scores are made. */
export interface ScoreOptions {
  /** Factor of the scores; default `1/√d`. */
  readonly scale?: number | undefined;
  /** c > 0: scores s become `c·tanh(s/c)`. Default: they stay. */
  readonly softCap?: number | undefined;
}

/** Options of {@link causalAttention}. */
export interface CausalAttentionOptions extends ScoreOptions {
  /** Positions a position sees, itself included: key j is seen by query i iff `0 ≤ i − j < window`. Default: all. */
  readonly window?: number | undefined;
  /** Successive positions are computed in so many blocks, each up to its end: see {@link causalBlockCount}. */
  readonly causalBlocks?: number | undefined;
  /** Lengths of the sequences, which fall. What comes out beyond them is not defined. */
  readonly lengths?: readonly number[] | undefined;
}

/**
 * `softmax(scale·q·kᵀ)·v` over the positions seen, the heads side by side, `[B, T, H·d]`. Query head h
 * uses the key-value head `⌊h·K/H⌋` (Ainslie et al. 2023, arXiv 2305.13245;
 * the paper's text was not at hand).
 *
 * @param q `[B, H, T, d]`.
 * @param k `[B, K, T, d]`, K a divisor of H.
 * @param v `[B, K, T, d]`.
 */
export function causalAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: CausalAttentionOptions = {},
): Tensor {
  const [batch, heads, positions, width] = q.shape as [number, number, number, number];
  const { lengths, causalBlocks, window = positions } = options;
  const length = Math.ceil(positions / causalBlockCount(positions, causalBlocks));
  const parts: Tensor[] = [];
  let start = 0;
  do {
    const end = Math.min(start + length, positions);
    const count = lengths?.filter((own) => own > start).length ?? batch;
    const first = Math.max(0, start - window + 1);
    const part = (t: Tensor, from: number): Tensor => slice(t, [0, count], null, [from, end]);
    const query = reshape(add(iota([end - start]), start - first), [end - start, 1]);
    const seen = within(query, iota([end - first]), window < end - first ? window : undefined);
    const mixed = attend(part(q, start), part(k, first), part(v, first), seen, options);
    const rows = reshape(transpose(mixed, [0, 2, 1, 3]), [count, end - start, heads * width]);
    parts.push(
      pad(rows, [
        [0, batch - count],
        [0, 0],
        [0, 0],
      ]),
    );
    start = end;
  } while (start < positions);
  return concat(parts, 1);
}

/**
 * How many blocks of successive positions scores are computed in: n equal blocks leave out (n − 1)/2n of
 * all scores, masked ones. Default: 1 below 64 positions, 4 below 512, then 8.
 */
function causalBlockCount(positions: number, blocks?: number): number {
  if (blocks === undefined) return positions < 64 ? 1 : positions < 512 ? 4 : 8;
  return Math.min(blocks, Math.max(positions, 1));
}

/**
 * {@link causalAttention} of T tokens to the S slots of a cache.
 *
 * @param q `[B, H, T, d]`.
 * @param k `[B, K, S, d]`.
 * @param v `[B, K, S, d]`.
 * @param seen Of {@link seenSlots}.
 */
export function cachedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  seen: Tensor,
  options: ScoreOptions = {},
): Tensor {
  const [batch, heads, count, width] = q.shape as [number, number, number, number];
  const mixed = attend(q, k, v, seen, options);
  return reshape(transpose(mixed, [0, 2, 1, 3]), [batch, count, heads * width]);
}

/**
 * Which of S slots each of T tokens sees, `[B, 1, T, S]`: those that hold a token, at a position p with
 * `0 ≤ positions[b, i] − p < window`.
 *
 * @param positions `[B, T]`.
 * @param slotPositions `[B, S]`; −1: the slot holds none.
 */
export function seenSlots(positions: Tensor, slotPositions: Tensor, window?: number): Tensor {
  const [batch, count] = positions.shape as [number, number];
  const query = reshape(positions, [batch, 1, count, 1]);
  const key = reshape(slotPositions, [batch, 1, 1, slotPositions.shape[1]!]);
  return logicalAnd(lessEqual(0, key), within(query, key, window));
}

/** Whether `0 ≤ query − key < window`. */
function within(query: Tensor, key: Tensor, window?: number): Tensor {
  const causal = lessEqual(key, query);
  return window === undefined ? causal : logicalAnd(causal, less(sub(query, key), window));
}

/** Attention of `[B, H, T, d]` to the keys seen of `[B, K, S, d]`: `[B, H, T, d]`. `seen` broadcasts to `[B, H, T, S]`. */
function attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, options: ScoreOptions): Tensor {
  const [batch, heads, count, width] = q.shape as [number, number, number, number];
  const [, shared, positions] = k.shape as [number, number, number];
  const { scale = 1 / Math.sqrt(width), softCap: cap } = options;
  const scored = (own: Tensor, keys: Tensor, values: Tensor, mask: Tensor): Tensor => {
    const scores = softCap(mul(matmul(own, swapAxes(keys, -1, -2)), scale), cap);
    return matmul(softmax(where(mask, scores, MASKED)), values);
  };
  if (heads === shared) return scored(q, k, v, seen);
  // Heads that share keys are rows of one batch of products.
  const own = reshape(q, [batch, shared, heads / shared, count, width]);
  const [keys, values] = [k, v].map((t) => reshape(t, [batch, shared, 1, positions, width]));
  const mixed = scored(own, keys!, values!, expandDims(seen, -3));
  return reshape(mixed, [batch, heads, count, width]);
}
