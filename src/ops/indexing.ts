/**
 * Data-dependent indexing: reading at given positions and its adjoint, adding at given positions.
 * @module
 */

import { checkOptions } from "../checks.js";
import { type DType, isFloating } from "../kernels/dtype.js";
import { plus } from "../kernels/indexing.js";
import { constant, iota } from "../tensor/create.js";
import { NO_ATTRIBUTES, primitive } from "../tensor/primitive.js";
import { checkShape, formatShape, normalizeAxis, type Shape, sameShape } from "../tensor/shape.js";
import { checkTensor, createNode, type Tensor } from "../tensor/tensor.js";
import {
  add,
  cast,
  equal,
  heldAsDType,
  less,
  lessEqual,
  logicalAnd,
  where,
} from "./elementwise.js";
import { expandDims, reshape } from "./movement.js";

function checkIndices(operation: string, indices: Tensor): void {
  checkTensor(operation, indices);
  if (indices.dtype !== "int32") {
    throw new TypeError(`${operation}: indices must be int32, not ${indices.dtype}; cast them`);
  }
}

function outside(dtype: DType): 0 | "nan" {
  return isFloating(dtype) ? "nan" : 0;
}

// x: [before, extent, after], indices: any shape I of a rank → [before, I, after]
const GATHER = /* @__PURE__ */ primitive<{ axis: number; rank: number }>(
  "gather",
  {
    kind: "read",
    source: (at, { inputs, attributes: { axis, rank }, dtype }, scope) => {
      const [x, indices] = inputs as [Tensor, Tensor];
      const where = at.slice(axis, axis + rank);
      const found = scope.lookup(indices, where, x.shape[axis]!, outside(dtype));
      return [...at.slice(0, axis), found, ...at.slice(axis + rank)];
    },
  },
  (g, { inputs: [x, indices], attributes: { axis } }) => [
    scatter(indices!, g, axis, x!.shape),
    null,
  ],
);
/**
 * Slices of `x` at given positions along an axis, like `jnp.take`: `indices` of shape I put I in place of the
 * axis. `gather(embedding, tokens)` looks up rows. A position outside `0 … extent − 1` gives NaN (0 for
 * integers).
 */
export function gather(x: Tensor, indices: Tensor, axis = 0): Tensor {
  checkIndices("gather", indices);
  const d = normalizeAxis("gather", axis, x.rank);
  const shape = [...x.shape.slice(0, d), ...indices.shape, ...x.shape.slice(d + 1)];
  return createNode({
    primitive: GATHER,
    inputs: [x, cast(indices, "int32")],
    attributes: { axis: d, rank: indices.rank },
    shape,
    dtype: x.dtype,
  });
}

// The adjoint of gather; `rank` is the indices', `extent` the axis's.
const SCATTER = /* @__PURE__ */ primitive<{ axis: number; rank: number; extent: number }>(
  "scatterAdd",
  {
    kind: "scatter",
    target: (at, { inputs: [indices], attributes: { axis, rank, extent } }, scope) => {
      const found = scope.lookup(indices!, at.slice(axis, axis + rank), extent, 0);
      return [...at.slice(0, axis), found, ...at.slice(axis + rank)];
    },
  },
  (g, { inputs: [indices], attributes: { axis, extent } }) => [
    null,
    zeroOutside(gather(g, indices!, axis), indices!, axis, extent),
  ],
);
/** The adjoint of skipping: 0 at positions outside, where reading gives NaN. The indices' axes begin at `axis`. */
function zeroOutside(values: Tensor, indices: Tensor, axis: number, extent: number): Tensor {
  const ones = (count: number): number[] => new Array<number>(count).fill(1);
  const after = values.rank - axis - indices.rank;
  const aligned = reshape(indices, [...ones(axis), ...indices.shape, ...ones(after)]);
  const isInside = logicalAnd(lessEqual(0, aligned), less(aligned, extent));
  return where(isInside, values, 0);
}
function scatter(indices: Tensor, updates: Tensor, axis: number, shape: Shape): Tensor {
  return createNode({
    primitive: SCATTER,
    inputs: [indices, updates],
    attributes: { axis, rank: indices.rank, extent: shape[axis]! },
    shape,
    dtype: updates.dtype,
  });
}
/**
 * `x` with `updates` added at given positions along an axis: the adjoint of {@link gather}. `updates` has the shape
 * `gather(x, indices, axis)` has. Positions may repeat; those outside are skipped.
 */
export function scatterAdd(x: Tensor, indices: Tensor, updates: Tensor, axis = 0): Tensor {
  checkIndices("scatterAdd", indices);
  const d = normalizeAxis("scatterAdd", axis, x.rank);
  const expected = [...x.shape.slice(0, d), ...indices.shape, ...x.shape.slice(d + 1)];
  if (!sameShape(expected, updates.shape)) {
    throw new RangeError(
      `scatterAdd: updates have shape ${formatShape(updates.shape)}; for x ${formatShape(x.shape)} and ` +
        `indices ${formatShape(indices.shape)} along axis ${d} they need ${formatShape(expected)}`,
    );
  }
  return add(x, scatter(cast(indices, "int32"), cast(updates, x.dtype), d, x.shape));
}

const TAKE_ALONG = /* @__PURE__ */ primitive<{ axis: number }>(
  "takeAlongAxis",
  {
    kind: "read",
    source: (at, { inputs: [x, indices], attributes: { axis }, dtype }, scope) => {
      const found = scope.lookup(indices!, at, x!.shape[axis]!, outside(dtype));
      return at.map((index, d) => (d === axis ? found : index));
    },
  },
  (g, { inputs: [x, indices], attributes: { axis } }) => [
    putAlong(indices!, g, axis, x!.shape),
    null,
  ],
);
/**
 * One element per index along an axis, like `jnp.take_along_axis`: `out[i,j] = x[i, indices[i,j]]` for the last axis.
 * `indices` has x's shape but for that axis. A position outside gives NaN (0 for integers).
 */
export function takeAlongAxis(x: Tensor, indices: Tensor, axis = -1): Tensor {
  checkIndices("takeAlongAxis", indices);
  const d = normalizeAxis("takeAlongAxis", axis, x.rank);
  const fits =
    indices.rank === x.rank && indices.shape.every((extent, i) => i === d || extent === x.shape[i]);
  if (!fits) {
    throw new RangeError(
      `takeAlongAxis: indices ${formatShape(indices.shape)} must have the shape ${formatShape(x.shape)} ` +
        `but for axis ${d}; expandDims gives one more axis, as to [n,1] of [n]`,
    );
  }
  return createNode({
    primitive: TAKE_ALONG,
    inputs: [x, cast(indices, "int32")],
    attributes: { axis: d },
    shape: indices.shape,
    dtype: x.dtype,
  });
}

// The adjoint of takeAlongAxis; `extent` is the axis's.
const PUT_ALONG = /* @__PURE__ */ primitive<{ axis: number; extent: number }>(
  "putAlongAxis",
  {
    kind: "scatter",
    target: (at, { inputs: [indices], attributes: { axis, extent } }, scope) => {
      const found = scope.lookup(indices!, at, extent, 0);
      return at.map((index, d) => (d === axis ? found : index));
    },
  },
  (g, { inputs: [indices], attributes: { axis, extent } }) => [
    null,
    zeroOutside(takeAlongAxis(g, indices!, axis), indices!, 0, extent),
  ],
);
function putAlong(indices: Tensor, updates: Tensor, axis: number, shape: Shape): Tensor {
  if (indices.shape[axis] === 1) {
    // One position per row: a comparison, which fuses with whatever reads it.
    const positions = reshape(
      iota([shape[axis]!]),
      shape.map((extent, d) => (d === axis ? extent : 1)),
    );
    return where(equal(positions, indices), updates, 0);
  }
  return createNode({
    primitive: PUT_ALONG,
    inputs: [indices, updates],
    attributes: { axis, extent: shape[axis]! },
    shape,
    dtype: updates.dtype,
  });
}

// target, update, start → the target with rows start … start + n replaced
const WRITE_SLICE = /* @__PURE__ */ primitive(
  "writeSlice",
  {
    kind: "scatter",
    base: 0,
    target: ([row, ...rest], { inputs }, scope) => {
      const [target, update, start] = inputs as [Tensor, Tensor, Tensor];
      const first = scope.lookup(start, [], 1 + target.shape[0]! - update.shape[0]!, 0);
      return [plus(first, row!), ...rest];
    },
  },
  (g, { inputs }) => {
    const [target, update, start] = inputs as [Tensor, Tensor, Tensor];
    const n = update.shape[0]!;
    const written = gather(g, add(start, iota([n])));
    const fits = logicalAnd(lessEqual(0, start), lessEqual(start, target.shape[0]! - n));
    const zeros = constant(update.shape, 0, g.dtype);
    return [writeSlice(g, zeros, start), where(fits, written, 0), null];
  },
);
/**
 * `target` with its rows `start … start + n` replaced by `update`, like `lax.dynamic_update_slice` along the first axis.
 * `target` has shape `[S, …]`, `update` `[n, …]` and is cast to target's dtype. `start` is a number, or an int32 scalar
 * that is known only when the tensor is evaluated; neither makes a plan anew when it changes.
 *
 * Where nobody needs the target any more, because it was given up ({@link realizeInto}) or was made in the same
 * evaluation, the rows are written where they are, and the others are neither read nor copied. So a cache of
 * keys and values grows by a row a token.
 *
 * @throws for a number outside `0 … S − n`. A tensor outside writes nothing (JAX would write at the nearest place).
 */
export function writeSlice(target: Tensor, update: Tensor, start: Tensor | number): Tensor {
  checkTensor("writeSlice", target);
  checkTensor("writeSlice", update);
  const [extent, ...row] = target.shape;
  const [n, ...updateRow] = update.shape;
  if (extent === undefined || n === undefined || n > extent || !sameShape(row, updateRow)) {
    throw new RangeError(
      `writeSlice: update ${formatShape(update.shape)} is not some rows of target ${formatShape(target.shape)}: ` +
        "all extents but the first must agree, and the first must not be larger",
    );
  }
  if (typeof start !== "number") {
    checkTensor("writeSlice", start);
    if (start.dtype !== "int32" || start.rank > 0) {
      throw new TypeError(
        `writeSlice: start must be a number or an int32 scalar, not ${start.dtype} of shape ${formatShape(start.shape)}`,
      );
    }
  } else if (!Number.isInteger(start) || start < 0 || start > extent - n) {
    throw new RangeError(
      `writeSlice: ${n} rows from ${start} on do not lie within the ${extent} rows of target ${formatShape(target.shape)}`,
    );
  }
  const from = typeof start === "number" ? constant([], start, "int32") : start;
  return createNode({
    primitive: WRITE_SLICE,
    inputs: [heldAsDType(target), cast(update, target.dtype), from],
    attributes: NO_ATTRIBUTES,
    shape: target.shape,
    dtype: target.dtype,
  });
}

/** Options of {@link oneHot}. */
export interface OneHotOptions {
  /** Element type; default `float32`. */
  readonly dtype?: DType;
}

/** `[…, depth]`: 1 at each index, 0 elsewhere; a row of zeros for an index outside. */
export function oneHot(indices: Tensor, depth: number, options: OneHotOptions = {}): Tensor {
  checkIndices("oneHot", indices);
  checkOptions("oneHot", options, "dtype");
  checkShape("oneHot", [depth]);
  return cast(equal(expandDims(indices, -1), iota([depth])), options.dtype ?? "float32");
}
