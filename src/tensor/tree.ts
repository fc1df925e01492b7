/**
 * Trees: plain nested objects and arrays with tensors at the leaves, as parameters and optimizer
 * states are kept. Leaves that are no tensors (a step count, a name) are carried along untouched.
 * @module
 */

import { formatShape } from "./shape.js";
import { Tensor } from "./tensor.js";

/** A tensor, or plain objects and arrays of trees. */
export type Tree = Tensor | readonly Tree[] | { readonly [key: string]: Tree };

function isBranch(value: unknown): value is object {
  return typeof value === "object" && value !== null && !ArrayBuffer.isView(value);
}

/** The tensors of a tree, in key order. */
export function treeLeaves(tree: unknown): Tensor[] {
  const leaves: Tensor[] = [];
  const visit = (value: unknown): void => {
    if (value instanceof Tensor) leaves.push(value);
    else if (isBranch(value)) for (const child of Object.values(value)) visit(child);
  };
  visit(tree);
  return leaves;
}

/**
 * A tree of the same structure with each tensor replaced. `others` must have tensors at the same
 * places.
 * @throws naming the path where a structure differs.
 */
export function treeMap<T>(
  f: (leaf: Tensor, ...others: Tensor[]) => Tensor,
  tree: T,
  ...others: unknown[]
): T {
  const visit = (value: unknown, rest: readonly unknown[], path: string): unknown => {
    if (value instanceof Tensor) {
      for (const other of rest) {
        if (!(other instanceof Tensor)) {
          throw new TypeError(`treeMap: trees differ at ${path || "the root"}: expected a tensor`);
        }
      }
      return f(value, ...(rest as Tensor[]));
    }
    if (!isBranch(value)) return value;
    const child = (key: string, item: unknown): unknown =>
      visit(
        item,
        rest.map((other) => (isBranch(other) ? (other as Record<string, unknown>)[key] : other)),
        path ? `${path}.${key}` : key,
      );
    if (Array.isArray(value)) return value.map((item, index) => child(String(index), item));
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, child(key, item)]));
  };
  return visit(tree, others, "") as T;
}

/** The tree with its tensors, in order, replaced by given ones. */
export function treeUnflatten<T>(tree: T, leaves: readonly Tensor[]): T {
  let next = 0;
  return treeMap(() => leaves[next++]!, tree);
}

/** A tree with numbers for tensors. */
export type TreeNumbers<T> = T extends Tensor
  ? number
  : T extends object
    ? { [Key in keyof T]: TreeNumbers<T[Key]> }
    : T;

/**
 * A tree of the same structure with each scalar tensor as a number: a loss's state as JSON can hold it,
 * and as the loss takes it back.
 *
 * @throws (the returned promise rejects) naming the path of a tensor with another number of elements
 * than one.
 * @example
 * const saved = JSON.stringify(await treeNumbers(state));
 * const { loss } = bcoLoss(pairs, { state: JSON.parse(saved) });
 */
export async function treeNumbers<T>(tree: T): Promise<TreeNumbers<T>> {
  const visit = async (value: unknown, path: string): Promise<unknown> => {
    if (value instanceof Tensor) {
      if (value.size === 1) return value.item();
      throw new RangeError(
        `treeNumbers: the tensor at ${path || "the root"} has shape ${formatShape(value.shape)}; ` +
          "only scalars become numbers, `await tensor.array()` reads others",
      );
    }
    if (!isBranch(value)) return value;
    const entries = Object.entries(value).map(async ([key, item]) => [
      key,
      await visit(item, path ? `${path}.${key}` : key),
    ]);
    const read = await Promise.all(entries);
    return Array.isArray(value) ? read.map(([, item]) => item) : Object.fromEntries(read);
  };
  return visit(tree, "") as Promise<TreeNumbers<T>>;
}
