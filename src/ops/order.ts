/**
 * Operations that depend on the order of elements: sorting, the position of the largest, running
 * sums.
 * @module
 */

import { iota } from "../tensor/create.js";
import { primitive } from "../tensor/primitive.js";
import { formatShape, normalizeAxis } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { add, cast, equal, isnan, logicalOr, where } from "./elementwise.js";
import { takeAlongAxis } from "./indexing.js";
import { pad, reshape, slice, swapAxes } from "./movement.js";
import { max, min } from "./reduce.js";

const ARGSORT = /* @__PURE__ */ primitive("argsort", { kind: "sort" }, null);
/** Positions, as int32, that put the elements along an axis in ascending order; stable, NaN last. */
export function argsort(x: Tensor, axis = -1): Tensor {
  const d = normalizeAxis("argsort", axis, x.rank);
  const rows = swapAxes(x, d, -1);
  const order = new Tensor({
    primitive: ARGSORT,
    inputs: [rows],
    attributes: [],
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
export function argmax(x: Tensor, axis = -1): Tensor {
  const d = normalizeAxis("argmax", axis, x.rank);
  const extent = x.shape[d]!;
  if (extent === 0) {
    throw new RangeError(`argmax: axis ${d} of ${formatShape(x.shape)} is empty`);
  }
  const largest = max(x, d, { keepDims: true });
  const positions = reshape(
    iota([extent]),
    x.shape.map((_, i) => (i === d ? extent : 1)),
  );
  const attains = logicalOr(equal(x, largest), isnan(x));
  return min(where(attains, positions, extent - 1), d);
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
