/**
 * Causal self-attention.
 * @module
 */

import { softmax } from "../ops/activations.js";
import { add, lessEqual, mul, where } from "../ops/elementwise.js";
import { gather } from "../ops/indexing.js";
import { matmul } from "../ops/matmul.js";
import { concat, pad, reshape, slice, swapAxes, transpose } from "../ops/movement.js";
import { iota } from "../tensor/create.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { continued, type InitOptions } from "./initial.js";
import { initLinear, type LinearParameters, linear } from "./linear.js";
import type { PackedBatch } from "./packing.js";

/** Parameters of {@link causalSelfAttention}. */
export interface AttentionParameters {
  /** D to 3D: columns of queries, then keys, then values; head j has the j-th part of each. */
  readonly qkv: LinearParameters;
  /** D to D, applied to the heads side by side. */
  readonly projection: LinearParameters;
}

/** The score of later positions. Its exponential is 0, and no −∞ − (−∞) arises. */
const MASKED = -1e30;

/** Options of {@link causalSelfAttention}. */
export interface AttentionOptions {
  /**
   * The scores of a group of successive positions are computed up to the group's end only: n equal
   * groups leave out (n − 1)/2n of all scores, masked ones. Default: 1 below 64 positions, 4 below
   * 512, then 8.
   */
  readonly groups?: number;
  /** x holds this batch's tokens, `[N, D]`. Default: x holds all positions. */
  readonly batch?: PackedBatch;
  /** Of the packed batch, only the states of the tokens that predict, `[M, D]`. Default false. */
  readonly predictorsOnly?: boolean;
}

/**
 * Multi-head self-attention in which a position sees itself and earlier ones only:
 * `softmax(q·kᵀ/√(D/heads))·v` per head, `[B, T, D] → [B, T, D]` or, for a packed batch,
 * `[N, D] → [N, D]` (Vaswani et al. 2017, arXiv 1706.03762, §3.2).
 * @throws if the width does not divide into the heads, or the groups are not a positive integer.
 */
export function causalSelfAttention(
  parameters: AttentionParameters,
  x: Tensor,
  heads: number,
  options: AttentionOptions = {},
): Tensor {
  const { batch: packed, predictorsOnly = false } = options;
  if (x.rank !== (packed ? 2 : 3)) {
    throw new RangeError(
      `causalSelfAttention: x has shape ${formatShape(x.shape)}; it needs ` +
        `[${packed ? "tokens" : "batch, positions"}, width]`,
    );
  }
  const width = x.shape.at(-1)!;
  checkHeads("causalSelfAttention", width, heads);
  const states = linear(parameters.qkv, x);
  if (!packed) return linear(parameters.projection, attention(states, heads, options.groups));
  const mixed = attention(gather(states, packed.tokens), heads, options.groups, packed.lengths);
  const places = predictorsOnly ? packed.predictorPlaces : packed.places;
  return linear(parameters.projection, gather(reshape(mixed, [-1, width]), places));
}

/**
 * Queries, keys and values side by side, `[B, T, 3D]`, to the heads side by side, `[B, T, D]`. With
 * lengths, which fall, what comes out beyond them is of no account.
 */
function attention(
  qkv: Tensor,
  heads: number,
  groups?: number,
  lengths?: readonly number[],
): Tensor {
  const [batch, positions, triple] = qkv.shape as [number, number, number];
  const width = triple / 3;
  const split = reshape(qkv, [batch, positions, 3 * heads, width / heads]);
  const [q, k, v] = [0, 1, 2].map((part) => {
    const own = slice(split, null, null, [part * heads, (part + 1) * heads]);
    return transpose(own, [0, 2, 1, 3]);
  }) as [Tensor, Tensor, Tensor];
  const length = Math.ceil(positions / groupCount(positions, groups));
  const parts: Tensor[] = [];
  let start = 0;
  do {
    const end = Math.min(start + length, positions);
    const count = lengths?.filter((own) => own > start).length ?? batch;
    const part = (t: Tensor, from: number): Tensor => slice(t, [0, count], null, [from, end]);
    const mixed = transpose(attend(part(q, start), part(k, 0), part(v, 0)), [0, 2, 1, 3]);
    const rows = reshape(mixed, [count, end - start, width]);
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

function groupCount(positions: number, groups?: number): number {
  if (groups === undefined) return positions < 64 ? 1 : positions < 512 ? 4 : 8;
  if (!(Number.isInteger(groups) && groups > 0)) {
    throw new RangeError(`causalSelfAttention: groups must be an integer > 0, got ${groups}`);
  }
  return Math.min(groups, Math.max(positions, 1));
}

/** Attention of the last positions, `[B, H, S, D]`, to all, `[B, H, T, D]`. */
function attend(q: Tensor, k: Tensor, v: Tensor): Tensor {
  const [count, width] = q.shape.slice(-2) as [number, number];
  const positions = k.shape.at(-2)!;
  const scores = mul(matmul(q, swapAxes(k, -1, -2)), 1 / Math.sqrt(width));
  const own = add(reshape(iota([count]), [count, 1]), positions - count);
  return matmul(softmax(where(lessEqual(iota([positions]), own), scores, MASKED)), v);
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
  const own = continued(options);
  const std = options.projectionStd ?? options.std ?? 0.02;
  return {
    qkv: initLinear(width, 3 * width, own),
    projection: initLinear(width, width, { ...own, std }),
  };
}
