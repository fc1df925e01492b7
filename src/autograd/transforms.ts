/**
 * Derivatives of functions over parameter trees.
 * @module
 */

import { alias } from "../ops/composite.js";
import { mul } from "../ops/elementwise.js";
import { sum } from "../ops/reduce.js";
import { formatShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { treeLeaves, treeMap, treeUnflatten } from "../tensor/tree.js";
import { gradients } from "./gradients.js";

/** A scalar function whose first argument is a tree of tensors. */
export type ScalarFunction<P, Rest extends unknown[]> = (parameters: P, ...rest: Rest) => Tensor;

/**
 * A function that returns the value of `f` and its gradient with respect to the first argument, a
 * tree of tensors, as a tree of the same structure. Other arguments are passed on as constants.
 *
 * @throws if f does not return a scalar tensor.
 * @example const [loss, gradient] = valueAndGrad(lossOf)(parameters, batch);
 */
export function valueAndGrad<P, Rest extends unknown[]>(
  f: ScalarFunction<P, Rest>,
): (parameters: P, ...rest: Rest) => [value: Tensor, gradient: P] {
  return (parameters, ...rest) => {
    const inputs = treeMap(alias, parameters);
    const value = f(inputs, ...rest);
    if (!(value instanceof Tensor) || value.size !== 1) {
      const found = value instanceof Tensor ? `shape ${formatShape(value.shape)}` : typeof value;
      throw new TypeError(`grad: the function must return a scalar tensor, but returned ${found}`);
    }
    return [value, treeUnflatten(parameters, gradients(value, treeLeaves(inputs)))];
  };
}

/** The gradient of a scalar function with respect to its first argument, a tree of tensors. */
export function grad<P, Rest extends unknown[]>(
  f: ScalarFunction<P, Rest>,
): (parameters: P, ...rest: Rest) => P {
  const both = valueAndGrad(f);
  return (parameters, ...rest) => both(parameters, ...rest)[1];
}

/**
 * The Hessian of a scalar function times a tree of vectors, `∇²f(x)·v`, as the gradient of
 * `⟨∇f(x), v⟩`. No Hessian is formed.
 */
export function hessianVectorProduct<P, Rest extends unknown[]>(
  f: ScalarFunction<P, Rest>,
): (parameters: P, vector: P, ...rest: Rest) => P {
  const gradient = grad(f);
  return (parameters, vector, ...rest) => {
    const directional = (at: P): Tensor => treeDot(gradient(at, ...rest), vector);
    return grad(directional)(parameters);
  };
}

/** Inner product of two trees of the same structure: the sum over all pairs of elements. */
export function treeDot<T>(a: T, b: T): Tensor {
  const products = treeLeaves(treeMap((x, y) => sum(mul(x, y)), a, b));
  const [first, ...rest] = products;
  if (!first) throw new RangeError("treeDot: the trees have no tensors");
  return rest.reduce((total, product) => total.add(product), first);
}
