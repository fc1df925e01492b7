/**
 * Data-dependent indexing: reading at given positions and its adjoint, adding at given positions.
 * @module
 */

import { type DType, isFloating } from "../kernels/dtype.js";
import { iota } from "../tensor/create.js";
import { primitive } from "../tensor/primitive.js";
import { checkShape, formatShape, normalizeAxis, type Shape, sameShape } from "../tensor/shape.js";
import { checkTensor, Tensor } from "../tensor/tensor.js";
import { add, cast, equal, less, lessEqual, logicalAnd, where } from "./elementwise.js";
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

// x: [before, extent, after], indices: any shape I → [before, I, after]; attributes: axis, rank of I
const GATHER = /* @__PURE__ */ primitive(
  "gather",
  {
    kind: "read",
    source: (at, { inputs, attributes, dtype }, scope) => {
      const [x, indices] = inputs as [Tensor, Tensor];
      const [axis, rank] = attributes as [number, number];
      const where = at.slice(axis, axis + rank);
      const found = scope.lookup(indices, where, x.shape[axis]!, outside(dtype));
      return [...at.slice(0, axis), found, ...at.slice(axis + rank)];
    },
  },
  (g, { inputs: [x, indices], attributes: [axis] }) => [
    scatter(indices!, g, axis!, x!.shape),
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
  return new Tensor({
    primitive: GATHER,
    inputs: [x, cast(indices, "int32")],
    attributes: [d, indices.rank],
    shape,
    dtype: x.dtype,
  });
}

// The adjoint of gather; attributes: axis, rank of the indices, extent of the axis
const SCATTER = /* @__PURE__ */ primitive(
  "scatterAdd",
  {
    kind: "scatter",
    target: (at, { inputs: [indices], attributes }, scope) => {
      const [axis, rank, extent] = attributes as [number, number, number];
      const found = scope.lookup(indices!, at.slice(axis, axis + rank), extent, 0);
      return [...at.slice(0, axis), found, ...at.slice(axis + rank)];
    },
  },
  (g, { inputs: [indices], attributes: [axis, , extent] }) => [
    null,
    zeroOutside(gather(g, indices!, axis!), indices!, axis!, extent!),
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
  return new Tensor({
    primitive: SCATTER,
    inputs: [indices, updates],
    attributes: [axis, indices.rank, shape[axis]!],
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

// attributes: axis
const TAKE_ALONG = /* @__PURE__ */ primitive(
  "takeAlongAxis",
  {
    kind: "read",
    source: (at, { inputs: [x, indices], attributes, dtype }, scope) => {
      const axis = attributes[0]!;
      const found = scope.lookup(indices!, at, x!.shape[axis]!, outside(dtype));
      return at.map((index, d) => (d === axis ? found : index));
    },
  },
  (g, { inputs: [x, indices], attributes: [axis] }) => [
    putAlong(indices!, g, axis!, x!.shape),
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
        `but for axis ${d}`,
    );
  }
  return new Tensor({
    primitive: TAKE_ALONG,
    inputs: [x, cast(indices, "int32")],
    attributes: [d],
    shape: indices.shape,
    dtype: x.dtype,
  });
}

// The adjoint of takeAlongAxis; attributes: axis, extent of the axis
const PUT_ALONG = /* @__PURE__ */ primitive(
  "putAlongAxis",
  {
    kind: "scatter",
    target: (at, { inputs: [indices], attributes }, scope) => {
      const [axis, extent] = attributes as [number, number];
      const found = scope.lookup(indices!, at, extent, 0);
      return at.map((index, d) => (d === axis ? found : index));
    },
  },
  (g, { inputs: [indices], attributes: [axis, extent] }) => [
    null,
    zeroOutside(takeAlongAxis(g, indices!, axis!), indices!, 0, extent!),
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
  return new Tensor({
    primitive: PUT_ALONG,
    inputs: [indices, updates],
    attributes: [axis, shape[axis]!],
    shape,
    dtype: updates.dtype,
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
  checkShape("oneHot", [depth]);
  return cast(equal(expandDims(indices, -1), iota([depth])), options.dtype ?? "float32");
}
