/**
 * Reductions over axes.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { isFloating } from "../kernels/dtype.js";
import type { Reduction } from "../kernels/kernel.js";
import { constant } from "../tensor/create.js";
import {
  CONSTANT,
  type Lowering,
  type Primitive,
  primitive,
  type VectorJacobianProduct,
} from "../tensor/primitive.js";
import { formatShape, normalizeAxes, type Shape } from "../tensor/shape.js";
import { checkTensor, createNode, type Tensor } from "../tensor/tensor.js";
import { broadcastTo } from "./broadcast.js";
import { alias } from "./composite.js";
import { cast, div, equal, mul, sqrt, where } from "./elementwise.js";
import { reshape } from "./movement.js";

/** Options of the reductions. */
export interface ReduceOptions {
  /** Keep the reduced axes with extent 1; default false. */
  readonly keepDims?: boolean;
}

/** Axes of a reduction: one, several, or all by default. Negative axes count from the end. */
export type Axes = number | readonly number[];

/** The reduced shape with the reduced axes kept as 1. */
export function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((extent, d) => (axes.includes(d) ? 1 : extent));
}

/** The reduced shape without the reduced axes. */
function remainingShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.filter((_, d) => !axes.includes(d));
}

/** The axes a reduction combines. */
type Reduced = { readonly axes: readonly number[] };

/** How a reduction lowers. */
/* @__NO_SIDE_EFFECTS__ */
function reducing(operation: Reduction): Lowering<Reduced> {
  return { kind: "reduce", operation, axes: ({ attributes }) => attributes.axes };
}

function reduce(operation: Primitive<Reduced>, x: Tensor, axes: readonly number[]): Tensor {
  const shape = remainingShape(x.shape, axes);
  const attributes = { axes };
  return createNode({ primitive: operation, inputs: [x], attributes, shape, dtype: x.dtype });
}

/** The axes to reduce, in order, the options checked. */
export function reducedAxes(
  operation: string,
  x: Tensor,
  axes?: Axes,
  options?: ReduceOptions,
): number[] {
  checkTensor(operation, x);
  if (options !== undefined) checkOptions(operation, options, "keepDims");
  return normalizeAxes(operation, axes, x.rank);
}

/** Number of elements that are reduced to one. */
function extentOf(x: Tensor, axes: readonly number[]): number {
  return axes.reduce((n, d) => n * x.shape[d]!, 1);
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
  /* @__PURE__ */ reducing("sum"),
  (g, { inputs: [x], attributes: { axes } }) => [expand(g, x!, axes)],
);
/** Sum over axes. Booleans are counted as int32. */
export function sum(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const list = reducedAxes("sum", x, axes, options);
  const terms = x.dtype === "bool" ? cast(x, "int32") : x;
  const reduced = list.filter((d) => x.shape[d] !== 1);
  const shape = remainingShape(x.shape, list);
  if (terms.primitive === CONSTANT) {
    const count = extentOf(x, list);
    const value = count === 0 ? 0 : terms._element * count;
    return finish(constant(shape, value, terms.dtype), x, list, options);
  }
  if (reduced.length === 0) return finish(reshape(terms, shape), x, list, options);
  return finish(reduce(SUM, terms, list), x, list, options);
}

// The gradient of an extreme is shared equally among the elements that attain it: the extreme and the
// elements are those of one evaluation, for {@link extreme} hands out another node than this one.
const shareAmongEqual: VectorJacobianProduct<Reduced> = (g, node) => {
  const x = node.inputs[0]!;
  const { axes } = node.attributes;
  const attains = cast(equal(x, expand(node, x, axes)), x.dtype);
  const share = div(g, sum(attains, axes));
  return [mul(attains, expand(share, x, axes))];
};
const MAX = /* @__PURE__ */ primitive("max", /* @__PURE__ */ reducing("max"), shareAmongEqual);
const MIN = /* @__PURE__ */ primitive("min", /* @__PURE__ */ reducing("min"), shareAmongEqual);

function extreme(
  operation: Primitive<Reduced>,
  x: Tensor,
  axes?: Axes,
  options?: ReduceOptions,
): Tensor {
  const { name } = operation;
  const list = reducedAxes(name, x, axes, options);
  for (const d of list) {
    if (x.shape[d] === 0) {
      throw new RangeError(
        `${name}: axis ${d} of ${formatShape(x.shape)} is empty and has no ${name}imum`,
      );
    }
  }
  const values = x.dtype === "bool" ? cast(x, "int32") : x;
  if (list.length === 0) return values;
  // An alias, so that the extreme itself is never given: its gradient would compare a number known from an
  // earlier evaluation, perhaps on another device, with elements that are computed again.
  return finish(alias(reduce(operation, values, list)), x, list, options);
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
  const list = reducedAxes("mean", x, axes, options);
  const count = extentOf(x, list);
  const values = isFloating(x.dtype) ? x : cast(x, "float32");
  return div(sum(values, list, options), count);
}

/** Options of {@link variance} and {@link std}. */
export interface VarianceOptions extends ReduceOptions {
  /** Taken from the number of elements n in the divisor; default 0. 1 estimates from a sample. */
  readonly correction?: number;
}

/**
 * Mean squared deviation from the mean over axes, `Σ (x − mean)² / (n − correction)`: over the population
 * (correction 0) by default, where PyTorch's default is 1. NaN if no more than `correction` elements are reduced.
 */
export function variance(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  return varianceFor("variance", x, axes, options);
}

function varianceFor(
  operation: string,
  x: Tensor,
  axes: Axes | undefined,
  options: VarianceOptions,
): Tensor {
  checkOptions(operation, options, "correction", "keepDims");
  const { correction = 0, ...rest } = options;
  checkNumber(operation, "correction", correction, (c) => c >= 0, "≥ 0");
  const list = reducedAxes(operation, x, axes, rest);
  const count = extentOf(x, list);
  const deviation = x.sub(mean(x, list, { keepDims: true }));
  return div(sum(mul(deviation, deviation), list, rest), Math.max(0, count - correction));
}

/** `√v`, with gradient 0 at 0. */
function root(v: Tensor): Tensor {
  const isZero = equal(v, 0);
  return where(isZero, 0, sqrt(where(isZero, 1, v)));
}

/** Standard deviation over axes: the root of {@link variance}, with gradient 0 where all elements are equal. */
export function std(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  return root(varianceFor("std", x, axes, options));
}

/** Euclidean length `√Σ x²` over axes; of all elements by default. The gradient at 0 is 0. */
export function norm(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  return root(sum(mul(x, x), reducedAxes("norm", x, axes, options), options));
}
