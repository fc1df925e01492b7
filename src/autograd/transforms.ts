/**
 * Derivatives of functions over parameter trees.
 * @module
 */

import { checkFunction, checkOptions, describeValue } from "../checks.js";
import { alias } from "../ops/composite.js";
import { mul } from "../ops/elementwise.js";
import { sum } from "../ops/reduce.js";
import { formatShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { parameterLeaves, treeLeaves, treeMap, treeUnflatten } from "../tensor/tree.js";
import { gradients } from "./gradients.js";

/** A scalar function whose first argument is a tree of tensors. */
export type ScalarFunction<P, Rest extends unknown[]> = (parameters: P, ...rest: Rest) => Tensor;

/** A scalar function that returns more than is differentiated: what it computed by the way, a state, metrics. */
export type ScalarFunctionWithAux<P, Rest extends unknown[], Aux> = (
  parameters: P,
  ...rest: Rest
) => readonly [value: Tensor, aux: Aux];

/** Options of {@link valueAndGrad}. */
export interface ValueAndGradOptions {
  /** Whether the function returns a pair, `[value, aux]`, of which the value is differentiated; default false. */
  readonly hasAux?: boolean;
}

/**
 * A function that returns the value of `f` and its gradient with respect to the first argument, a
 * tree of tensors, as a tree of the same structure. Other arguments are passed on as constants.
 * With `hasAux`, `f` returns `[value, aux]`, and that pair stands in the value's place.
 *
 * @throws if f does not return a scalar tensor (with `hasAux`: first in an array).
 * @example
 * const [loss, gradient] = valueAndGrad(lossOf)(parameters, batch);
 * const [[loss, state], gradient] = valueAndGrad(lossWithState, { hasAux: true })(parameters, batch);
 */
export function valueAndGrad<P, Rest extends unknown[], Aux>(
  f: ScalarFunctionWithAux<P, Rest, Aux>,
  options: { readonly hasAux: true },
): (parameters: P, ...rest: Rest) => [valueAndAux: readonly [value: Tensor, aux: Aux], gradient: P];
export function valueAndGrad<P, Rest extends unknown[]>(
  f: ScalarFunction<P, Rest>,
  options?: { readonly hasAux?: false },
): (parameters: P, ...rest: Rest) => [value: Tensor, gradient: P];
export function valueAndGrad<P, Rest extends unknown[]>(
  f: (parameters: P, ...rest: Rest) => unknown,
  options: ValueAndGradOptions = {},
): (parameters: P, ...rest: Rest) => [result: unknown, gradient: P] {
  checkOptions("valueAndGrad", options, "hasAux");
  return differentiated("valueAndGrad", f, options.hasAux);
}

/** {@link valueAndGrad} with the caller's name for errors. */
function differentiated<P, Rest extends unknown[], Result>(
  caller: string,
  f: (parameters: P, ...rest: Rest) => Result,
  hasAux = false,
): (parameters: P, ...rest: Rest) => [result: Result, gradient: P] {
  checkFunction(caller, f);
  return (parameters, ...rest) => {
    parameterLeaves(caller, parameters);
    const inputs = treeMap(alias, parameters);
    const result = f(inputs, ...rest);
    const value = hasAux ? Array.isArray(result) && result[0] : result;
    if (!(value instanceof Tensor) || value.size !== 1) {
      const found =
        value instanceof Tensor
          ? `shape ${formatShape(value.shape)}: sum or average it`
          : value instanceof Promise
            ? "a Promise: leave out async, await and item()"
            : describeValue(result);
      throw new TypeError(
        `${caller}: the function must return a scalar tensor, but returned ${found}`,
      );
    }
    return [result, treeUnflatten(parameters, gradients(value, treeLeaves(inputs)))];
  };
}

/** The gradient of a scalar function with respect to its first argument, a tree of tensors. */
export function grad<P, Rest extends unknown[]>(
  f: ScalarFunction<P, Rest>,
): (parameters: P, ...rest: Rest) => P {
  const both = differentiated("grad", f);
  return (parameters, ...rest) => both(parameters, ...rest)[1];
}

/**
 * The Hessian of a scalar function times a tree of vectors, `∇²f(x)·v`, as the gradient of
 * `⟨∇f(x), v⟩`. No Hessian is formed.
 */
export function hessianVectorProduct<P, Rest extends unknown[]>(
  f: ScalarFunction<P, Rest>,
): (parameters: P, vector: P, ...rest: Rest) => P {
  const both = differentiated("hessianVectorProduct", f);
  return (parameters, vector, ...rest) => {
    const directional = (at: P): Tensor => treeDot(both(at, ...rest)[1], vector);
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
