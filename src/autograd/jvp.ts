/**
 * Forward-mode derivatives: how a function's results change along a direction.
 * @module
 */

import { checkFunction, describeValue } from "../checks.js";
import { alias } from "../ops/composite.js";
import { zerosLike } from "../tensor/create.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import { parameterLeaves, treeLeaves, treeMap, treeUnflatten } from "../tensor/tree.js";
import { gradients } from "./gradients.js";
import { treeDot } from "./transforms.js";

/**
 * A function that returns the results of `f` and their derivative along `tangent`, the Jacobian-vector product `J·v`.
 * The first argument and `tangent` are trees of tensors of one structure; the results, a tensor or a tree of them, and
 * their derivatives are another. Differentiable again, and inside itself.
 *
 * @throws if the tangent has another structure or other shapes than the parameters, or `f` returns no tensors.
 * @example const [logits, change] = jvp(model)(parameters, direction, tokens);
 */
export function jvp<P, Rest extends unknown[], Result>(
  f: (parameters: P, ...rest: Rest) => Result,
): (parameters: P, tangent: P, ...rest: Rest) => [value: Result, tangent: Result] {
  checkFunction("jvp", f);
  return (parameters, tangent, ...rest) => {
    parameterLeaves("jvp", parameters);
    const inputs = treeMap(alias, parameters);
    const directions = treeMap(
      (x, v) => {
        if (sameShape(x.shape, v.shape)) return v;
        throw new RangeError(
          `jvp: a tangent has shape ${formatShape(v.shape)}, its parameter ${formatShape(x.shape)}`,
        );
      },
      inputs,
      tangent,
    );
    const value = f(inputs, ...rest);
    if (treeLeaves(value).length === 0) {
      throw new TypeError(`jvp: the function must return tensors, got ${describeValue(value)}`);
    }
    // uᵀJ is linear in u: whatever u is, the derivative of ⟨uᵀJ, v⟩ with respect to it is J·v.
    const u = treeMap(zerosLike, value);
    const products = gradients(treeDot(value, u), treeLeaves(inputs));
    const along = treeDot(products, treeLeaves(directions));
    return [value, treeUnflatten(value, gradients(along, treeLeaves(u)))];
  };
}
