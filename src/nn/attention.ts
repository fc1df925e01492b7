/**
 * Causal self-attention.
 * @module
 */

import { softmax } from "../ops/activations.js";
import { lessEqual, mul, where } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { reshape, slice, swapAxes, transpose } from "../ops/movement.js";
import { iota } from "../tensor/create.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { continued, type InitOptions } from "./initial.js";
import { initLinear, type LinearParameters, linear } from "./linear.js";

/** Parameters of {@link causalSelfAttention}. */
export interface AttentionParameters {
  /** D to 3D: columns of queries, then keys, then values; head j has the j-th part of each. */
  readonly qkv: LinearParameters;
  /** D to D, applied to the heads side by side. */
  readonly projection: LinearParameters;
}

/** The score of later positions. Its exponential is 0, and no −∞ − (−∞) arises. */
const MASKED = -1e30;

/**
 * Multi-head self-attention in which a position sees itself and earlier ones only:
 * `softmax(q·kᵀ/√(D/heads))·v` per head, `[B, T, D] → [B, T, D]` (Vaswani et al. 2017, arXiv
 * 1706.03762, §3.2).
 * @throws if the width does not divide into the heads.
 */
export function causalSelfAttention(
  parameters: AttentionParameters,
  x: Tensor,
  heads: number,
): Tensor {
  if (x.rank !== 3) {
    throw new RangeError(
      `causalSelfAttention: x has shape ${formatShape(x.shape)}; it needs [batch, positions, width]`,
    );
  }
  const [batch, positions, width] = x.shape as [number, number, number];
  checkHeads("causalSelfAttention", width, heads);
  const headWidth = width / heads;
  const qkv = reshape(linear(parameters.qkv, x), [batch, positions, 3 * heads, headWidth]);
  const [q, k, v] = [0, 1, 2].map((part) => {
    const own = slice(qkv, null, null, [part * heads, (part + 1) * heads]);
    return transpose(own, [0, 2, 1, 3]);
  }) as [Tensor, Tensor, Tensor];
  const scores = mul(matmul(q, swapAxes(k, -1, -2)), 1 / Math.sqrt(headWidth));
  const visible = lessEqual(iota([positions]), reshape(iota([positions]), [positions, 1]));
  const weights = softmax(where(visible, scores, MASKED));
  const mixed = transpose(matmul(weights, v), [0, 2, 1, 3]);
  return linear(parameters.projection, reshape(mixed, [batch, positions, width]));
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
