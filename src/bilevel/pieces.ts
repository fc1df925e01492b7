/**
 * The pieces all bilevel methods share.
 * @module
 */

import { gradients } from "../autograd/gradients.js";
import { alias, stopGradient } from "../ops/composite.js";
import { isfinite, stack, sum, where } from "../ops/index.js";
import { checkOption } from "../optim/optimizer.js";
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

/**
 * The check that trees, given by what they are, have no NaN or infinite elements. `counts` is graph, to
 * be evaluated along with them; `check` then rejects, naming the first tensor that has such elements.
 */
export function finiteness(trees: Readonly<Record<string, unknown>>) {
  const tensors = Object.entries(trees).flatMap(([what, tree]) => named(what, tree));
  const counts = stack(tensors.map(([, t]) => sum(where(isfinite(t), 0, 1))));
  const check = async (): Promise<void> => {
    for (const [i, count] of (await counts.data()).entries()) {
      if (count > 0) {
        throw new Error(`bilevelStep: ${tensors[i]![0]} has ${count} NaN or infinite elements`);
      }
    }
  };
  return { counts, check };
}

/** A tree's tensors, each with the name its path gives it. */
function named(what: string, tree: unknown, path = ""): (readonly [string, Tensor])[] {
  if (tree instanceof Tensor) return [[path === "" ? what : `${what} at ${path}`, tree]];
  if (typeof tree !== "object" || tree === null) return [];
  return Object.entries(tree).flatMap(([key, child]) =>
    named(what, child, path === "" ? key : `${path}.${key}`),
  );
}

/** An option that is a constant: a finite number or a scalar tensor. */
export function scalarOption(option: string, value: number | Tensor): number | Tensor {
  if (!(value instanceof Tensor)) {
    checkOption("bilevelStep", option, value, true, "or a scalar tensor");
    return value;
  }
  if (value.size !== 1) {
    throw new RangeError(`bilevelStep: ${option} must be a scalar, got shape [${value.shape}]`);
  }
  return stopGradient(value.reshape([]));
}
