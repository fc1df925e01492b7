/**
 * Movement: operations that only say where each element comes from. They become index arithmetic
 * in the kernels that read them, never copies.
 * @module
 */

import { promote } from "../kernels/dtype.js";
import { affine } from "../kernels/indexing.js";
import { constant, iota } from "../tensor/create.js";
import {
  type Attributes,
  CONSTANT,
  NO_ATTRIBUTES,
  type Primitive,
  primitive,
} from "../tensor/primitive.js";
import {
  checkShape,
  formatShape,
  normalizeAxes,
  normalizeAxis,
  type Shape,
  sameShape,
  sizeOf,
} from "../tensor/shape.js";
import { checkTensor, createNode, type Tensor } from "../tensor/tensor.js";
import { broadcastTo } from "./broadcast.js";
import { cast, less, lessEqual, sub, where } from "./elementwise.js";

function move<A extends Attributes>(
  operation: Primitive<A>,
  x: Tensor,
  attributes: NoInfer<A>,
  shape: Shape,
): Tensor {
  if (x.primitive === CONSTANT) return constant(shape, x._element, x.dtype);
  return createNode({ primitive: operation, inputs: [x], attributes, shape, dtype: x.dtype });
}

const RESHAPE = /* @__PURE__ */ primitive("reshape", { kind: "reshape" }, (g, { inputs: [x] }) => [
  reshape(g, x!.shape),
]);
/** The elements in row-major order under another shape; one extent may be −1 and is worked out. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  let target = shape;
  const open = shape.indexOf(-1);
  if (open >= 0) {
    const rest = sizeOf(shape) / -1;
    target = shape.map((extent, d) => (d === open ? (rest === 0 ? 0 : x.size / rest) : extent));
  }
  if (!target.every((n) => Number.isInteger(n) && n >= 0) || sizeOf(target) !== x.size) {
    throw new RangeError(
      `reshape: shape ${formatShape(x.shape)} (${x.size} elements) does not fit ${formatShape(shape)}`,
    );
  }
  if (sameShape(target, x.shape)) return x;
  const source = x.primitive === RESHAPE ? x.inputs[0]! : x;
  return sameShape(target, source.shape) ? source : move(RESHAPE, source, NO_ATTRIBUTES, target);
}

// Output axis d is input axis order[d].
const PERMUTE = /* @__PURE__ */ primitive<{ order: readonly number[] }>(
  "transpose",
  {
    kind: "read",
    source: (at, { attributes: { order } }) => {
      const source = new Array(at.length);
      order.forEach((from, d) => {
        source[from] = at[d];
      });
      return source;
    },
  },
  (g, { attributes: { order } }) => {
    const inverse: number[] = [];
    order.forEach((from, d) => {
      inverse[from] = d;
    });
    return [transpose(g, inverse)];
  },
);
/** Axes in another order: output axis d is input axis `axes[d]`. Default: reversed. A view. */
export function transpose(x: Tensor, axes?: readonly number[]): Tensor {
  const rank = x.shape.length;
  const order = axes
    ? axes.map((axis) => normalizeAxis("transpose", axis, rank))
    : x.shape.map((_, d) => rank - 1 - d);
  if (order.length !== rank || new Set(order).size !== rank) {
    throw new RangeError(
      `transpose: axes ${formatShape(axes ?? [])} are not an order of the ${rank} axes of ${formatShape(x.shape)}`,
    );
  }
  if (order.every((from, d) => from === d)) return x;
  const shape = order.map((from) => x.shape[from]!);
  return move(PERMUTE, x, { order }, shape);
}

/** The tensor with two axes exchanged. */
export function swapAxes(x: Tensor, a: number, b: number): Tensor {
  const order = x.shape.map((_, d) => d);
  const [i, j] = [normalizeAxis("swapAxes", a, x.rank), normalizeAxis("swapAxes", b, x.rank)];
  [order[i], order[j]] = [j, i];
  return transpose(x, order);
}

/** The first position and the distance between positions along each axis. */
type Slice = { readonly starts: readonly number[]; readonly steps: readonly number[] };
const SLICE = /* @__PURE__ */ primitive<Slice>(
  "slice",
  {
    kind: "read",
    source: (at, { attributes: { starts, steps } }) =>
      at.map((index, d) => affine(index, steps[d]!, starts[d]!)),
  },
  (g, { inputs: [x], attributes }) => [spread(g, x!.shape, attributes)],
);
/** A range of one axis: `[start, stop]`, `[start, stop, step]`, one index (kept as an axis of extent 1), or null for all. Negative positions count from the end. */
export type SliceRange =
  | number
  | null
  | readonly [start: number | null, stop?: number | null, step?: number];
/**
 * A part of the tensor as a view, like Python's `x[start:stop:step, …]`: one range per leading axis, later axes whole.
 * A range that reaches outside is cut. An index keeps its axis with extent 1 (see {@link squeeze}).
 */
export function slice(x: Tensor, ...ranges: SliceRange[]): Tensor {
  if (ranges.length > x.rank) {
    throw new RangeError(
      `slice: ${ranges.length} ranges for the ${x.rank} axes of ${formatShape(x.shape)}`,
    );
  }
  const starts: number[] = [];
  const steps: number[] = [];
  const shape = x.shape.map((extent, d) => {
    const range = ranges[d] ?? null;
    const [start, stop, step] = resolveRange(range, extent, d);
    starts.push(start);
    steps.push(step);
    return Math.max(0, Math.ceil((stop - start) / step));
  });
  if (sameShape(shape, x.shape) && steps.every((step) => step === 1)) return x;
  return move(SLICE, x, { starts, steps }, shape);
}

function resolveRange(range: SliceRange, extent: number, d: number): [number, number, number] {
  if (range === null) return [0, extent, 1];
  if (typeof range === "number") {
    const index = positionOf("slice", range, extent, d);
    return [index, index + 1, 1];
  }
  const [start, stop, step = 1] = range;
  if (!Number.isInteger(step) || step === 0) {
    throw new RangeError(`slice: step ${step} of axis ${d} is not an integer ≠ 0`);
  }
  for (const position of [start, stop]) {
    if (position != null && !Number.isInteger(position)) {
      throw new RangeError(`slice: position ${position} of axis ${d} is not an integer`);
    }
  }
  const clamp = (position: number | null | undefined, whenOpen: number): number => {
    if (position === null || position === undefined) return whenOpen;
    const fromStart = position < 0 ? position + extent : position;
    return step > 0
      ? Math.min(Math.max(fromStart, 0), extent)
      : Math.min(Math.max(fromStart, -1), extent - 1);
  };
  return step > 0
    ? [clamp(start, 0), clamp(stop, extent), step]
    : [clamp(start, extent - 1), clamp(stop, -1), step];
}

function positionOf(operation: string, index: number, extent: number, d: number): number {
  if (!Number.isInteger(index) || index < -extent || index >= extent) {
    throw new RangeError(
      `${operation}: index ${index} is out of range for axis ${d} of extent ${extent}`,
    );
  }
  return index < 0 ? index + extent : index;
}

/**
 * The part of the tensor at a position of each leading axis, without those axes, like Python's `x[i, …]`. Negative
 * positions count from the end.
 */
export function at(x: Tensor, ...positions: number[]): Tensor {
  const found = positions.map((position, d) => positionOf("at", position, x.shape[d]!, d));
  return reshape(slice(x, ...found), x.shape.slice(positions.length));
}

/**
 * Parts of the tensor along an axis, as views: each of `size` elements, the last of what is left; or of the sizes in a
 * list, which add up to the axis's extent.
 */
export function split(x: Tensor, size: number | readonly number[], axis = 0): Tensor[] {
  const d = normalizeAxis("split", axis, x.rank);
  const extent = x.shape[d]!;
  const sizes =
    typeof size === "number"
      ? Array.from({ length: Math.ceil(extent / (size || 1)) || 1 }, (_, i) =>
          Math.min(size, extent - i * size),
        )
      : size;
  checkShape("split", sizes);
  const whole = x.shape.slice(0, d).map(() => null);
  let stop = 0;
  const parts = sizes.map((n) => {
    stop += n;
    return slice(x, ...whole, [stop - n, stop]);
  });
  if (stop !== extent) {
    throw new RangeError(
      `split: sizes ${formatShape(sizes)} do not add up to ${extent}, the extent of axis ${d}`,
    );
  }
  return parts;
}

/** The adjoint of a slice: its elements at their places in zeros of `shape`. */
function spread(g: Tensor, shape: Shape, { starts, steps }: Slice): Tensor {
  if (g.size === 0) return constant(shape, 0, g.dtype);
  let result = g;
  if (steps.some((step) => step < 0)) {
    const flips = steps.map((step) => (step < 0 ? ([null, null, -1] as const) : null));
    result = slice(result, ...flips);
  }
  const gaps = steps.map((step) => Math.abs(step) - 1);
  if (gaps.some((gap) => gap > 0)) result = dilate(result, gaps);
  const widths = shape.map((extent, d) => {
    const lowest =
      steps[d]! > 0 ? starts[d]! : starts[d]! + steps[d]! * Math.max(0, g.shape[d]! - 1);
    return [lowest, extent - lowest - result.shape[d]!] as const;
  });
  return pad(result, widths);
}

/** Puts `gaps[d]` zeros between neighbours along each axis. */
function dilate(x: Tensor, gaps: readonly number[]): Tensor {
  let result = x;
  gaps.forEach((gap, d) => {
    const extent = result.shape[d]!;
    if (gap === 0 || extent === 0) return;
    const before = result.shape.slice(0, d);
    const after = result.shape.slice(d + 1);
    const column = reshape(result, [...before, extent, 1, ...after]);
    const widths = column.shape.map((_, i) => [0, i === d + 1 ? gap : 0] as const);
    const wide = reshape(pad(column, widths), [...before, extent * (gap + 1), ...after]);
    result = slice(wide, ...before.map(() => null), [0, extent * (gap + 1) - gap]);
  });
  return result;
}

// `before`: zeros before each axis. How many follow, the shape says.
const PAD = /* @__PURE__ */ primitive<{ before: readonly number[] }>(
  "pad",
  {
    kind: "read",
    source: (at, { inputs: [x], attributes: { before } }, scope) =>
      at.map((index, d) => {
        const inside = affine(index, 1, -before[d]!);
        scope.require(inside, x!.shape[d]!, 0);
        return inside;
      }),
  },
  (g, { inputs: [x], attributes: { before } }) => [
    slice(g, ...x!.shape.map((extent, d) => [before[d]!, before[d]! + extent] as const)),
  ],
);
/** The tensor with zeros (or false) around it: `widths[d]` is the number before and after axis d. */
export function pad(x: Tensor, widths: readonly (readonly [number, number])[]): Tensor {
  const valid = widths.every(([a, b]) => [a, b].every((w) => Number.isInteger(w) && w >= 0));
  if (widths.length !== x.rank || !valid) {
    throw new RangeError(
      `pad: needs a pair of widths ≥ 0 for each of the ${x.rank} axes of ${formatShape(x.shape)}, ` +
        `got ${JSON.stringify(widths)}`,
    );
  }
  if (widths.every(([a, b]) => a === 0 && b === 0)) return x;
  return createNode({
    primitive: PAD,
    inputs: [x],
    attributes: { before: widths.map(([before]) => before) },
    shape: x.shape.map((extent, d) => extent + widths[d]![0] + widths[d]![1]),
    dtype: x.dtype,
  });
}

/** The tensor without the given axes of extent 1; without all such axes by default. */
export function squeeze(x: Tensor, axes?: number | readonly number[]): Tensor {
  const drop =
    axes === undefined
      ? x.shape.flatMap((extent, d) => (extent === 1 ? [d] : []))
      : normalizeAxes("squeeze", axes, x.rank);
  for (const d of drop) {
    if (x.shape[d] !== 1) {
      throw new RangeError(
        `squeeze: axis ${d} of ${formatShape(x.shape)} has extent ${x.shape[d]}, not 1`,
      );
    }
  }
  return reshape(
    x,
    x.shape.filter((_, d) => !drop.includes(d)),
  );
}

/** The tensor with a new axis of extent 1 at position `axis` of the result. */
export function expandDims(x: Tensor, axis: number): Tensor {
  const d = normalizeAxis("expandDims", axis, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
}

/** The tensor with the order of elements reversed along axes; along all by default. A view. */
export function flip(x: Tensor, axes?: number | readonly number[]): Tensor {
  const list = normalizeAxes("flip", axes, x.rank);
  return slice(
    x,
    ...x.shape.map((_, d) => (list.includes(d) ? ([null, null, -1] as const) : null)),
  );
}

/** `count` copies along an axis: of each element in a row if `place` is the axis after it, of the whole if it is the axis. */
function copies(x: Tensor, count: number, axis: number, place: number): Tensor {
  const wide = expandDims(x, place);
  return reshape(
    broadcastTo(
      wide,
      wide.shape.map((extent, d) => (d === place ? count : extent)),
    ),
    x.shape.map((extent, d) => (d === axis ? extent * count : extent)),
  );
}

/** The tensor tiled: `repeats[d]` copies side by side along axis d. More numbers than axes add leading axes. */
export function repeat(x: Tensor, repeats: readonly number[]): Tensor {
  const shape = [...x.shape];
  while (shape.length < repeats.length) shape.unshift(1);
  if (shape.length > repeats.length) {
    throw new RangeError(`repeat: needs a number for each of the ${x.rank} axes, got ${repeats}`);
  }
  return repeats.reduce((tiled, count, d) => copies(tiled, count, d, d), reshape(x, shape));
}

/** Each element `repeats` times in a row along an axis; of all elements in row-major order where no axis is given. */
export function repeatInterleave(x: Tensor, repeats: number, axis?: number): Tensor {
  if (axis === undefined) return repeatInterleave(reshape(x, [x.size]), repeats, 0);
  const d = normalizeAxis("repeatInterleave", axis, x.rank);
  return copies(x, repeats, d, d + 1);
}

/** x where the element's column less its row satisfies a condition, else 0. */
function triangle(operation: string, x: Tensor, holds: (offset: Tensor) => Tensor): Tensor {
  const rows = x.shape[normalizeAxis(operation, -2, x.rank)]!;
  const offset = sub(iota([x.shape.at(-1)!]), reshape(iota([rows]), [rows, 1]));
  return where(holds(offset), x, constant([], 0, x.dtype));
}

/** The lower triangle of the matrices in the last two axes: 0 above diagonal `diagonal`, which counts to the right. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return triangle("tril", x, (offset) => lessEqual(offset, diagonal));
}

/** The upper triangle of the matrices in the last two axes: 0 below diagonal `diagonal`, which counts to the right. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return triangle("triu", x, (offset) => lessEqual(diagonal, offset));
}

/** Tensors joined along an axis; other extents must agree. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  for (const t of tensors) checkTensor("concat", t);
  const first = tensors[0];
  if (!first) throw new RangeError("concat: needs at least one tensor");
  const d = normalizeAxis("concat", axis, first.rank);
  for (const t of tensors) {
    const fits =
      t.rank === first.rank && t.shape.every((extent, i) => i === d || extent === first.shape[i]);
    if (!fits) {
      throw new RangeError(
        `concat: shapes ${formatShape(first.shape)} and ${formatShape(t.shape)} differ outside axis ${d}`,
      );
    }
  }
  const dtype = tensors.reduce((common, t) => promote(common, t.dtype), first.dtype);
  const parts = tensors.filter((t) => t.shape[d] !== 0).map((t) => cast(t, dtype));
  if (parts.length <= 1) return parts[0] ?? cast(first, dtype);
  const total = parts.reduce((sum, t) => sum + t.shape[d]!, 0);
  const shape = first.shape.map((extent, i) => (i === d ? total : extent));
  const positions = reshape(
    iota([total]),
    shape.map((_, i) => (i === d ? total : 1)),
  );
  let start = 0;
  let result: Tensor | null = null;
  for (const part of parts) {
    const widths = shape.map((_, i) =>
      i === d ? ([start, total - start - part.shape[d]!] as const) : ([0, 0] as const),
    );
    const placed = pad(part, widths);
    result = result === null ? placed : where(less(positions, start), result, placed);
    start += part.shape[d]!;
  }
  return result!;
}

/** Equally shaped tensors joined along a new axis. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  return concat(
    tensors.map((t) => expandDims(t, axis)),
    axis,
  );
}
