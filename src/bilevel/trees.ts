/**
 * Trees of parameters as vectors: copies, gradients, sums.
 * @module
 */

import { gradients } from "../autograd/gradients.js";
import { alias } from "../ops/composite.js";
import { Tensor } from "../tensor/tensor.js";
import { treeLeaves, treeMap, treeUnflatten } from "../tensor/tree.js";

/** A copy of a tree to differentiate with respect to: same values, new nodes. */
export function independent<T>(tree: T): T {
  return treeMap(alias, tree);
}

/** The gradient of a scalar with respect to a tree's tensors. */
export function gradientTree<T>(value: Tensor, tree: T): T {
  return treeUnflatten(tree, gradients(value, treeLeaves(tree)));
}

/** `a + factor·b` of trees a and b and a scalar, in the dtypes of b. */
export function addScaled<T>(a: T, factor: Tensor | number, b: T): T {
  const of = ({ dtype }: Tensor) => (factor instanceof Tensor ? factor.cast(dtype) : factor);
  return treeMap((p, q) => p.add(q!.mul(of(q!))), a, b);
}
