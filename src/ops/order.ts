/**
 * Operations that depend on the order of elements: sorting, the position of the largest, running
 * sums.
 * @module
 */

import { checkCount, checkOptions } from "../checks.js";
import { isFloating } from "../kernels/dtype.js";
import { iota } from "../tensor/create.js";
import { NO_ATTRIBUTES, primitive } from "../tensor/primitive.js";
import { formatShape, normalizeAxis } from "../tensor/shape.js";
import { checkTensor, createNode, type Tensor } from "../tensor/tensor.js";
import { add, cast, equal, heldAsDType, isnan, logicalOr, neg, sub, where } from "./elementwise.js";
import { takeAlongAxis } from "./indexing.js";
import { flip, pad, reshape, slice, swapAxes } from "./movement.js";
import { max, min, type ReduceOptions } from "./reduce.js";

const ARGSORT = /* @__PURE__ */ primitive("argsort", { kind: "sort" }, null);
/** Positions, as int32, that put the elements along an axis in ascending order; stable, NaN last. */
export function argsort(x: Tensor, axis = -1): Tensor {
  const d = normalizeAxis("argsort", axis, x.rank);
  const rows = swapAxes(heldAsDType(x), d, -1);
  const order = createNode({
    primitive: ARGSORT,
    inputs: [rows],
    attributes: NO_ATTRIBUTES,
    shape: rows.shape,
    dtype: "int32",
  });
  return swapAxes(order, d, -1);
}

/** The elements along an axis in ascending order; stable, NaN last. The gradient follows the elements. */
export function sort(x: Tensor, axis = -1): Tensor {
  return takeAlongAxis(x, argsort(x, axis), axis);
}

/**
 * Position, as int32, of the largest element along an axis (default: the last): the first of several, or the first NaN.
 * @throws for an axis of extent 0.
 */
export function argmax(x: Tensor, axis = -1, options: ReduceOptions = {}): Tensor {
  return positionOfMaximum("argmax", x, axis, options);
}

function positionOfMaximum(
  operation: string,
  x: Tensor,
  axis: number,
  options: ReduceOptions,
): Tensor {
  checkOptions(operation, options, "keepDims");
  const d = normalizeAxis(operation, axis, x.rank);
  const extent = x.shape[d]!;
  if (extent === 0) {
    throw new RangeError(`${operation}: axis ${d} of ${formatShape(x.shape)} is empty`);
  }
  const largest = max(x, d, { keepDims: true });
  const positions = reshape(
    iota([extent]),
    x.shape.map((_, i) => (i === d ? extent : 1)),
  );
  const attains = logicalOr(equal(x, largest), isnan(x));
  // Some element attains the largest: no position is out of range.
  return min(where(attains, positions, extent), d, options);
}

/**
 * Position, as int32, of the smallest element along an axis (default: the last): the first of several, or the first NaN.
 * @throws for an axis of extent 0.
 */
export function argmin(x: Tensor, axis = -1, options: ReduceOptions = {}): Tensor {
  // −x wraps around for the least int32; −1 − x does not.
  return positionOfMaximum("argmin", isFloating(x.dtype) ? neg(x) : sub(-1, x), axis, options);
}

/** Options of {@link topK}. */
export interface TopKOptions {
  /** Choose the largest elements; default true. */
  readonly largest?: boolean;
}

/**
 * The k largest elements along an axis (default: the last) in descending order, and their positions as int32; with `largest: false` the k
 * smallest, ascending. Of equal elements the first come first; NaN counts as largest. The gradient follows the elements.
 * @throws if k is not an integer from 0 to the axis's extent.
 */
export function topK(
  x: Tensor,
  k: number,
  axis = -1,
  options: TopKOptions = {},
): { readonly values: Tensor; readonly indices: Tensor } {
  checkTensor("topK", x);
  checkOptions("topK", options, "largest");
  const { largest = true } = options;
  const d = normalizeAxis("topK", axis, x.rank);
  const extent = x.shape[d]!;
  checkCount("topK", "k", k);
  if (k > extent) {
    throw new RangeError(`topK: k must be at most ${extent}, the extent of axis ${d}, got ${k}`);
  }
  // The ascending order of the reversed elements, read from its end, leaves equal ones in their order.
  const ascending = argsort(largest ? flip(x, d) : x, d);
  const order = largest ? sub(extent - 1, flip(ascending, d)) : ascending;
  const indices = slice(order, ...x.shape.map((_, i) => (i === d ? ([0, k] as const) : null)));
  return { values: takeAlongAxis(x, indices, d), indices };
}

/** Running sums along an axis: `out[i] = Σ_{j ≤ i} x[j]`. Booleans are counted as int32. */
export function cumsum(x: Tensor, axis = -1): Tensor {
  const d = normalizeAxis("cumsum", axis, x.rank);
  let result = x.dtype === "bool" ? cast(x, "int32") : x;
  // Doubling: after step s each element holds the sum of the 2s elements that end at it.
  for (let shift = 1; shift < x.shape[d]!; shift *= 2) {
    const earlier = slice(
      result,
      ...result.shape.map((extent, i) => (i === d ? ([0, extent - shift] as const) : null)),
    );
    const widths = result.shape.map((_, i) => [i === d ? shift : 0, 0] as const);
    result = add(result, pad(earlier, widths));
  }
  return result;
}
