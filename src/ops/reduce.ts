/**
 * Reductions over axes.
 * @module
 */

import { isFloating } from "../kernels/dtype.js";
import { constant } from "../tensor/create.js";
import {
  CONSTANT,
  type Primitive,
  primitive,
  type VectorJacobianProduct,
} from "../tensor/primitive.js";
import { formatShape, normalizeAxes, type Shape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { broadcastTo } from "./broadcast.js";
import { cast, div, equal, mul } from "./elementwise.js";
import { reshape } from "./movement.js";

/** Options of the reductions. */
export interface ReduceOptions {
  /** Keep the reduced axes with extent 1; default false. */
  readonly keepDims?: boolean;
}

/** Axes of a reduction: one, several, or all by default. Negative axes count from the end. */
export type Axes = number | readonly number[];

/** The reduced shape with the reduced axes kept as 1. */
function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((extent, d) => (axes.includes(d) ? 1 : extent));
}

function reduce(operation: Primitive, x: Tensor, axes: readonly number[]): Tensor {
  const shape = x.shape.filter((_, d) => !axes.includes(d));
  return new Tensor({ primitive: operation, inputs: [x], attributes: axes, shape, dtype: x.dtype });
}

function finish(reduced: Tensor, x: Tensor, axes: readonly number[], options?: ReduceOptions) {
  return options?.keepDims ? reshape(reduced, keptShape(x.shape, axes)) : reduced;
}

/** A reduced value (or its cotangent) repeated over the axes it was reduced from. */
function expand(reduced: Tensor, like: Tensor, axes: readonly number[]): Tensor {
  return broadcastTo(reshape(reduced, keptShape(like.shape, axes)), like.shape);
}

// d Σx = Σ dx
const SUM = /* @__PURE__ */ primitive(
  "sum",
  { kind: "reduce", operation: "sum" },
  (g, { inputs: [x], attributes: axes }) => [expand(g, x!, axes)],
);
/** Sum over axes. Booleans are counted as int32. */
export function sum(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const list = normalizeAxes("sum", axes, x.rank);
  const terms = x.dtype === "bool" ? cast(x, "int32") : x;
  const reduced = list.filter((d) => x.shape[d] !== 1);
  if (terms.primitive === CONSTANT) {
    const count = list.reduce((n, d) => n * x.shape[d]!, 1);
    const shape = x.shape.filter((_, d) => !list.includes(d));
    return finish(constant(shape, terms.value * count, terms.dtype), x, list, options);
  }
  if (reduced.length === 0) {
    const shape = x.shape.filter((_, d) => !list.includes(d));
    return finish(reshape(terms, shape), x, list, options);
  }
  return finish(reduce(SUM, terms, list), x, list, options);
}

// The gradient of an extreme is shared equally among the elements that attain it.
const shareAmongEqual: VectorJacobianProduct = (g, node) => {
  const x = node.inputs[0]!;
  const attains = cast(equal(x, expand(node, x, node.attributes)), x.dtype);
  const share = div(g, sum(attains, node.attributes));
  return [mul(attains, expand(share, x, node.attributes))];
};
const MAX = /* @__PURE__ */ primitive("max", { kind: "reduce", operation: "max" }, shareAmongEqual);
const MIN = /* @__PURE__ */ primitive("min", { kind: "reduce", operation: "min" }, shareAmongEqual);

function extreme(operation: Primitive, x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const { name } = operation;
  const list = normalizeAxes(name, axes, x.rank);
  for (const d of list) {
    if (x.shape[d] === 0) {
      throw new RangeError(
        `${name}: axis ${d} of ${formatShape(x.shape)} is empty and has no ${name}imum`,
      );
    }
  }
  const values = x.dtype === "bool" ? cast(x, "int32") : x;
  if (list.length === 0) return values;
  return finish(reduce(operation, values, list), x, list, options);
}

/**
 * Largest element over axes; NaN if any is. Elements that tie share the gradient equally.
 * @throws for axes of extent 0, which have no maximum.
 */
export function max(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  return extreme(MAX, x, axes, options);
}

/**
 * Smallest element over axes; NaN if any is. Elements that tie share the gradient equally.
 * @throws for axes of extent 0, which have no minimum.
 */
export function min(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  return extreme(MIN, x, axes, options);
}

/** Arithmetic mean over axes; NaN over no elements. Integers become float32. */
export function mean(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const list = normalizeAxes("mean", axes, x.rank);
  const count = list.reduce((n, d) => n * x.shape[d]!, 1);
  const values = isFloating(x.dtype) ? x : cast(x, "float32");
  return div(sum(values, list, options), count);
}

/** Mean squared deviation from the mean over axes (divisor n, as in layer normalisation). */
export function variance(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const list = normalizeAxes("variance", axes, x.rank);
  const deviation = x.sub(mean(x, list, { keepDims: true }));
  return mean(mul(deviation, deviation), list, options);
}
