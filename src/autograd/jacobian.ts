/**
 * Jacobians, row by row.
 * @module
 */

import { checkFunction, describeValue } from "../checks.js";
import { alias } from "../ops/composite.js";
import { at, reshape, stack } from "../ops/movement.js";
import { eye, zeros } from "../tensor/create.js";
import { Tensor } from "../tensor/tensor.js";
import { parameterLeaves, treeLeaves, treeMap, treeUnflatten } from "../tensor/tree.js";
import { gradients } from "./gradients.js";

/**
 * A function that returns the derivatives of every element of `f`'s result with respect to every element of the first
 * argument: for each tensor of that tree `∂y_i/∂x_j` of shape `[...y.shape, ...x.shape]`. It takes one backward pass for
 * each element of the result; {@link jvp} and a cotangent in {@link gradients} give products without the matrix. The
 * Hessian of a scalar function of a tensor is `jacobian(grad(f))`.
 *
 * @throws if f does not return a tensor.
 */
export function jacobian<P, Rest extends unknown[]>(
  f: (parameters: P, ...rest: Rest) => Tensor,
): (parameters: P, ...rest: Rest) => P {
  checkFunction("jacobian", f);
  return (parameters, ...rest) => {
    parameterLeaves("jacobian", parameters);
    const inputs = treeMap(alias, parameters);
    const y = f(inputs, ...rest);
    if (!(y instanceof Tensor)) {
      throw new TypeError(`jacobian: the function must return a tensor, got ${describeValue(y)}`);
    }
    const xs = treeLeaves(inputs);
    const units = reshape(eye(y.size, { dtype: y.dtype }), [y.size, ...y.shape]);
    const rows = Array.from({ length: y.size }, (_, i) => gradients(y, xs, at(units, i)));
    const matrices = xs.map((x, j) => {
      const shape = [...y.shape, ...x.shape];
      if (rows.length === 0) return zeros(shape, { dtype: x.dtype });
      return reshape(stack(rows.map((row) => row[j]!)), shape);
    });
    return treeUnflatten(parameters, matrices);
  };
}
