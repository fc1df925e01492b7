/**
 * Causal self-attention.
 * @module
 */

import { checkCount, checkOptions } from "../checks.js";
import { gather } from "../ops/indexing.js";
import { reshape, slice, transpose } from "../ops/movement.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { causalAttention } from "./causalAttention.js";
import { type InitOptions, initial } from "./initial.js";
import { initLinear, type LinearParameters, linear } from "./linear.js";
import type { PackedBatch } from "./packing.js";

/** Parameters of {@link causalSelfAttention}. */
export interface AttentionParameters {
  /** D to 3D: columns of queries, then keys, then values; head j has the j-th part of each. */
  readonly qkv: LinearParameters;
  /** D to D, applied to the heads side by side. */
  readonly projection: LinearParameters;
}

/** Options of {@link causalSelfAttention}. */
export interface AttentionOptions {
  /**
   * Blocks of successive positions, each of which is scored up to its own end only: n equal blocks leave
   * out (n − 1)/2n of all scores, masked ones. Default: 1 below 64 positions, 4 below 512, then 8.
   */
  readonly causalBlocks?: number;
  /** x holds this batch's tokens, `[N, D]`. Default: x holds all positions. */
  readonly batch?: PackedBatch;
  /** Of the packed batch, only the states of the tokens that predict, `[M, D]`. Default false. */
  readonly predictorsOnly?: boolean;
}

/**
 * Multi-head self-attention in which a position sees itself and earlier ones only:
 * `softmax(q·kᵀ/√(D/heads))·v` per head, `[B, T, D] → [B, T, D]` or, for a packed batch,
 * `[N, D] → [N, D]` (Vaswani et al. 2017, arXiv 1706.03762, §3.2).
 * @throws if the width does not divide into the heads, or the blocks are not a positive integer.
 */
export function causalSelfAttention(
  parameters: AttentionParameters,
  x: Tensor,
  heads: number,
  options: AttentionOptions = {},
): Tensor {
  checkOptions("causalSelfAttention", options, "causalBlocks", "batch", "predictorsOnly");
  const { batch: packed, predictorsOnly = false, causalBlocks } = options;
  if (x.rank !== (packed ? 2 : 3)) {
    throw new RangeError(
      `causalSelfAttention: x has shape ${formatShape(x.shape)}; it needs ` +
        `[${packed ? "tokens" : "batch, positions"}, width]`,
    );
  }
  const width = x.shape.at(-1)!;
  checkHeads("causalSelfAttention", width, heads);
  if (causalBlocks !== undefined)
    checkCount("causalSelfAttention", "causalBlocks", causalBlocks, 1);
  const states = linear(parameters.qkv, x);
  if (!packed) return linear(parameters.projection, attention(states, heads, causalBlocks));
  const mixed = attention(gather(states, packed.tokens), heads, causalBlocks, packed.lengths);
  const places = predictorsOnly ? packed.predictorPlaces : packed.places;
  return linear(parameters.projection, gather(reshape(mixed, [-1, width]), places));
}

/**
 * Queries, keys and values side by side, `[B, T, 3D]`, to the heads side by side, `[B, T, D]`. With
 * lengths, which fall, what comes out beyond them is not defined.
 */
function attention(
  qkv: Tensor,
  heads: number,
  causalBlocks?: number,
  lengths?: readonly number[],
): Tensor {
  const [batch, positions, triple] = qkv.shape as [number, number, number];
  const split = reshape(qkv, [batch, positions, 3 * heads, triple / 3 / heads]);
  const [q, k, v] = [0, 1, 2].map((part) => {
    const own = slice(split, null, null, [part * heads, (part + 1) * heads]);
    return transpose(own, [0, 2, 1, 3]);
  }) as [Tensor, Tensor, Tensor];
  return causalAttention(q, k, v, { causalBlocks, lengths });
}

/** Rejects a width that does not divide into the heads. */
export function checkHeads(name: string, width: number, heads: number): void {
  if (!(Number.isInteger(heads) && heads > 0 && width % heads === 0)) {
    throw new RangeError(`${name}: width ${width} does not divide into ${heads} heads`);
  }
}

/** Options of {@link initAttention}. */
export interface InitAttentionOptions extends InitOptions {
  /** Standard deviation of the projection's weights; default `std`. */
  readonly projectionStd?: number;
}

/** Parameters of {@link causalSelfAttention}: weights from N(0, std²), biases 0. */
export function initAttention(width: number, options: InitAttentionOptions): AttentionParameters {
  const own = initial("initAttention", options, "projectionStd");
  const { projectionStd: std = own.std } = options;
  return {
    qkv: initLinear(width, 3 * width, own),
    projection: initLinear(width, width, { ...own, std }),
  };
}
