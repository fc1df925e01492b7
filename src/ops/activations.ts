/**
 * Functions composed of primitives, stable by construction: each computes without overflow and has
 * a derivative in the same form, so that gradients of any order stay finite.
 * @module
 */

import { checkChoice, checkOptions } from "../checks.js";
import { isFloating } from "../kernels/dtype.js";
import { constant } from "../tensor/create.js";
import { normalizeAxes } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { stopGradient, withGradient } from "./composite.js";
import {
  abs,
  add,
  cast,
  div,
  equal,
  erf,
  exp,
  expm1,
  isfinite,
  less,
  lessEqual,
  log,
  log1p,
  minimum,
  mul,
  neg,
  sub,
  tanh,
  where,
} from "./elementwise.js";
import { reshape } from "./movement.js";
import { type Axes, keptShape, max, type ReduceOptions, reducedAxes, sum } from "./reduce.js";

function floating(x: Tensor): Tensor {
  return isFloating(x.dtype) ? x : cast(x, "float32");
}

/** The logistic function `σ(x) = 1/(1 + e⁻ˣ)`. */
export function sigmoid(x: Tensor): Tensor {
  const f = floating(x);
  // With e = e^(−|x|) ≤ 1: σ(x) = 1/(1+e) for x ≥ 0 and e/(1+e) below. dσ = σ(x)·σ(−x) dx
  const e = exp(neg(abs(f)));
  const value = div(where(less(f, 0), e, 1), add(e, 1));
  return withGradient(value, [f], (g) => [mul(g, mul(sigmoid(f), sigmoid(neg(f))))]);
}

/** `log σ(x) = min(x, 0) − log(1 + e^(−|x|))`, finite for every finite x. */
export function logSigmoid(x: Tensor): Tensor {
  const f = floating(x);
  const value = sub(minimum(f, 0), log1p(exp(neg(abs(f)))));
  return withGradient(value, [f], (g) => [mul(g, sigmoid(neg(f)))]);
}

/** `log(1 + eˣ) = −log σ(−x)`. */
export function softplus(x: Tensor): Tensor {
  return neg(logSigmoid(neg(floating(x))));
}

/** `log(1 − eˣ)` for x ≤ 0 (Mächler's two branches): NaN above 0, −∞ at 0. */
export function log1mexp(x: Tensor): Tensor {
  const f = floating(x);
  const value = where(less(-Math.LN2, f), log(neg(expm1(f))), log1p(neg(exp(f))));
  // d log(1 − eˣ) = −eˣ/(1 − eˣ) dx = −e^(x − log(1 − eˣ)) dx
  return withGradient(value, [f], (g) => [neg(mul(g, exp(sub(f, log1mexp(f)))))]);
}

/** `max(x, 0)`; the gradient at 0 is 0. */
export function relu(x: Tensor): Tensor {
  return where(lessEqual(x, 0), 0, x);
}

/** `x·σ(x)`. */
export function silu(x: Tensor): Tensor {
  return mul(x, sigmoid(x));
}

/** Options of {@link gelu}. */
export interface GeluOptions {
  /** `"tanh"` (default, GPT-2's): ½x(1 + tanh(√(2/π)(x + 0.044715x³))); `"none"`: ½x(1 + erf(x/√2)). */
  readonly approximate?: "tanh" | "none";
}

/** `tanh` of √(2/π)(x + 0.044715x³) is ±1 in float64, too, where x² is this. */
const GELU_BOUND = 100;

/** Gaussian error linear unit. */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  checkOptions("gelu", options, "approximate");
  const { approximate = "tanh" } = options;
  checkChoice("gelu", "approximate", approximate, ["tanh", "none"]);
  const f = floating(x);
  if (approximate === "none") {
    return mul(mul(f, 0.5), add(erf(mul(f, Math.SQRT1_2)), 1));
  }
  // Bounded where tanh has long been ±1, so that x³ does not overflow: the derivative stays finite.
  const square = mul(f, f);
  const bounded = where(less(square, GELU_BOUND), square, GELU_BOUND);
  const inner = mul(mul(f, Math.sqrt(2 / Math.PI)), add(mul(bounded, 0.044715), 1));
  return mul(mul(f, 0.5), add(tanh(inner), 1));
}

/** The maximum as a constant shift, 0 where it is infinite or there is none. */
function shiftFor(x: Tensor, axes: readonly number[]): Tensor {
  if (axes.some((d) => x.shape[d] === 0)) return constant(keptShape(x.shape, axes), 0, x.dtype);
  const largest = stopGradient(max(x, axes, { keepDims: true }));
  return where(isfinite(largest), largest, 0);
}

/**
 * `log Σ eˣ` over axes (all by default), shifted by the maximum so that it never overflows.
 * A row of −∞, or of no elements, gives −∞.
 */
export function logSumExp(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const f = floating(x);
  const list = reducedAxes("logSumExp", f, axes, options);
  const shift = shiftFor(f, list);
  const total = sum(exp(sub(f, shift)), list, { keepDims: true });
  // Only a row of −∞, or of nothing, has total 0; its gradient is 0.
  const isZero = equal(total, 0);
  const result = add(where(isZero, -Infinity, log(where(isZero, 1, total))), shift);
  if (options?.keepDims) return result;
  return reshape(
    result,
    f.shape.filter((_, d) => !list.includes(d)),
  );
}

/** `eˣ / Σ eˣ` along an axis (default: the last). */
export function softmax(x: Tensor, axis = -1): Tensor {
  const f = floating(x);
  const list = normalizeAxes("softmax", axis, f.rank);
  const e = exp(sub(f, shiftFor(f, list)));
  // One division a row. dp = p·(dx − Σ p·dx)
  const p: Tensor = withGradient(mul(e, div(1, sum(e, list, { keepDims: true }))), [f], (g) => [
    mul(p, sub(g, sum(mul(g, p), list, { keepDims: true }))),
  ]);
  return p;
}

/** `log softmax(x) = x − log Σ eˣ` along an axis (default: the last). */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  const f = floating(x);
  return sub(f, logSumExp(f, axis, { keepDims: true }));
}
