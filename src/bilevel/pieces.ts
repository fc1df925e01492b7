/**
 * The pieces all bilevel methods share.
 * @module
 */

import { gradients } from "../autograd/gradients.js";
import { alias } from "../ops/composite.js";
import { formatShape } from "../tensor/shape.js";
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

/** What the problem's function returned, a scalar. */
export function scalar(level: "upper" | "lower", value: Tensor): Tensor {
  if (value instanceof Tensor && value.size === 1) return value.reshape([]);
  const found = value instanceof Tensor ? `shape ${formatShape(value.shape)}` : typeof value;
  throw new TypeError(`bilevelStep: ${level} must return a scalar tensor, but returned ${found}`);
}

/** Rejects options a method does not have, and lists those it has. */
export function checkKnown<Options extends { readonly method: string }>(
  options: Options,
  ...known: (keyof Options & string)[]
): void {
  for (const key of Object.keys(options)) {
    if (key !== "method" && !known.includes(key as keyof Options & string)) {
      throw new TypeError(
        `bilevelStep: method "${options.method}" has no option \`${key}\`; it has ${known.join(", ")}`,
      );
    }
  }
}

/** Rejects an evaluated loss that is NaN or infinite. */
export async function checkFinite(what: string, loss: Tensor): Promise<void> {
  const value = await loss.item();
  if (!Number.isFinite(value)) throw new Error(`bilevelStep: ${what} is ${value}`);
}
