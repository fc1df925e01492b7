/**
 * Trees: plain nested objects and arrays with tensors at the leaves, as parameters and optimizer
 * states are kept. Leaves that are no tensors (a step count, a name) are carried along untouched.
 * @module
 */

import { describeValue, isPlainObject } from "../checks.js";
import { formatShape, sameShape } from "./shape.js";
import { Tensor } from "./tensor.js";

/** A tensor, or plain objects and arrays of trees. */
export type Tree = Tensor | readonly Tree[] | { readonly [key: string]: Tree };

/** Whether a value is to be looked into; false for leaves. A path is made of the keys for an error only: steps ask often. */
function isBranch(value: unknown, keys: readonly string[]): value is Branch {
  if (typeof value !== "object" || value === null || value instanceof Tensor) return false;
  if (Array.isArray(value) || isPlainObject(value)) return true;
  const instance: object = value;
  const path = keys.join(".");
  const remedy =
    instance instanceof Map
      ? "Object.fromEntries(map) makes one"
      : instance instanceof Promise
        ? "await it first"
        : ArrayBuffer.isView(value)
          ? "tensor(array) makes one"
          : "keep the tensors in a plain object";
  throw new TypeError(
    `a tree is plain objects and arrays of tensors, but found ${describeValue(value)}` +
      `${path && ` at ${path}`}; ${remedy}`,
  );
}

type Branch = Readonly<Record<string, unknown>>;

/** The tensors of a tree, in key order. */
export function treeLeaves(tree: unknown): Tensor[] {
  const leaves: Tensor[] = [];
  visitLeaves(tree, (leaf) => {
    if (leaf instanceof Tensor) leaves.push(leaf);
  });
  return leaves;
}

/** The tensors of a tree that is of nothing else, each in one place; null of another tree. */
export function distinctLeaves(tree: unknown): Tensor[] | null {
  const leaves = new Set<unknown>();
  let isPlain = true;
  visitLeaves(tree, (leaf) => {
    isPlain &&= leaf instanceof Tensor && !leaves.has(leaf);
    leaves.add(leaf);
  });
  return isPlain ? ([...leaves] as Tensor[]) : null;
}

/**
 * The tensors of a tree of parameters.
 * @throws if there are none, or a number stands in the place of one: nothing would train it.
 */
export function parameterLeaves(caller: string, tree: unknown): Tensor[] {
  const leaves: Tensor[] = [];
  visitLeaves(tree, (leaf, keys) => {
    if (leaf instanceof Tensor) leaves.push(leaf);
    if (typeof leaf !== "number") return;
    const place = keys.length > 0 ? ` at ${keys.join(".")}` : "";
    throw new TypeError(
      `${caller}: parameters are tensors, found the number ${leaf}${place}; make it tensor(${leaf})`,
    );
  });
  if (leaves.length === 0) {
    throw new TypeError(`${caller}: ${describeValue(tree)} holds no tensors to be parameters`);
  }
  return leaves;
}

function visitLeaves(
  value: unknown,
  visit: (leaf: unknown, keys: readonly string[]) => void,
  keys: string[] = [],
): void {
  if (!isBranch(value, keys)) {
    visit(value, keys);
    return;
  }
  for (const key of Object.keys(value)) {
    keys.push(key);
    visitLeaves(value[key], visit, keys);
    keys.pop();
  }
}

/**
 * A tree of the same structure with each tensor replaced. `others` must have tensors at the same
 * places.
 * @throws naming the path where a structure differs, or where there is neither a plain object nor an
 * array (a Map, an instance of a class, a typed array).
 */
export function treeMap<T>(
  f: (leaf: Tensor, ...others: Tensor[]) => Tensor,
  tree: T,
  ...others: unknown[]
): T {
  const names = [tree, ...others].map((_, i) => `tree ${i + 1}`);
  return mapTrees("treeMap", names, f, tree, others);
}

/** {@link treeMap} with names, of the caller and of all trees, for its errors. */
export function mapTrees<T>(
  caller: string,
  names: readonly string[],
  f: (leaf: Tensor, ...others: Tensor[]) => Tensor,
  tree: T,
  others: readonly unknown[],
): T {
  const keys: string[] = [];
  const visit = (value: unknown, rest: readonly unknown[]): unknown => {
    if (value instanceof Tensor) {
      const odd = rest.findIndex((other) => !(other instanceof Tensor));
      if (odd < 0) return f(value, ...(rest as Tensor[]));
      throw new TypeError(
        `${caller}: trees differ at ${keys.join(".") || "the root"}: a tensor in ${names[0]}, ` +
          `${describeValue(rest[odd])} in ${names[odd + 1]}`,
      );
    }
    if (!isBranch(value, keys)) return value;
    const child = (key: string): unknown => {
      const below = rest.map((other) => (isBranch(other, keys) ? other[key] : other));
      keys.push(key);
      const mapped = visit(value[key], below);
      keys.pop();
      return mapped;
    };
    if (Array.isArray(value)) return value.map((_, index) => child(String(index)));
    return Object.fromEntries(Object.keys(value).map((key) => [key, child(key)]));
  };
  return visit(tree, others) as T;
}

/** The tree with its tensors, in order, replaced by given ones. */
export function treeUnflatten<T>(tree: T, leaves: readonly Tensor[]): T {
  let next = 0;
  return treeMap(() => leaves[next++]!, tree);
}

/**
 * The tensors of a tree by their names: the keys and indices on the way to them, joined by dots. The name
 * of a tree that is a tensor is `""`. What is no tensor (an optimizer's `step`) has no name.
 *
 * The result is itself a tree, and one that files can hold; {@link treeFromNamed} is the way back.
 *
 * @throws if two tensors have one name, which keys with dots can bring about.
 * @example
 * treeNamed({ bias, layers: [{ weight }] }); // { bias, "layers.0.weight": weight }
 */
export function treeNamed(tree: unknown): Record<string, Tensor> {
  const named = new Map<string, Tensor>();
  visitLeaves(tree, (leaf, keys) => {
    const name = keys.join(".");
    if (!(leaf instanceof Tensor)) return;
    if (named.has(name)) throw new RangeError(`treeNamed: two tensors have the name "${name}"`);
    named.set(name, leaf);
  });
  return Object.fromEntries(named);
}

/**
 * The tree whose tensors have these names, in whatever order they come. `like` gives the structure, and
 * what in it is no tensor; without it, keys that count from 0 make an array and others an object.
 *
 * @param named Tensors as {@link treeNamed} gives them.
 * @param like A tree of the same names and shapes: fresh parameters, the state of an optimizer.
 * @throws listing the names that `like` has and `named` has not, or the reverse; if a shape differs; without
 * `like`, if a name leads through a tensor.
 * @example
 * const parameters = treeFromNamed(named, model.init(1));
 */
export function treeFromNamed<T>(named: Readonly<Record<string, Tensor>>, like: T): T;
export function treeFromNamed(named: Readonly<Record<string, Tensor>>): Tree;
export function treeFromNamed(named: Readonly<Record<string, Tensor>>, like?: unknown): unknown {
  const tensors = treeNamed(named);
  if (like !== undefined) return filled(like, tensors);
  return grown(
    Object.entries(tensors).map(([name, leaf]) => [name === "" ? [] : name.split("."), leaf]),
  );
}

/** The tree with its tensors replaced by those of the same names. */
function filled(like: unknown, named: Readonly<Record<string, Tensor>>): unknown {
  const places = treeNamed(like);
  const missing = Object.keys(places).filter((name) => !Object.hasOwn(named, name));
  const unknown = Object.keys(named).filter((name) => !Object.hasOwn(places, name));
  if (missing.length + unknown.length > 0) {
    const lists = [
      ...(missing.length > 0 ? [`nothing has the name ${listed(missing)}`] : []),
      ...(unknown.length > 0 ? [`the tree has no place for ${listed(unknown)}`] : []),
    ];
    throw new RangeError(`treeFromNamed: ${lists.join("; ")}`);
  }
  const leaves: Tensor[] = [];
  visitLeaves(like, (place, keys) => {
    const name = keys.join(".");
    if (!(place instanceof Tensor)) return;
    const leaf = named[name]!;
    if (!sameShape(leaf.shape, place.shape)) {
      throw new RangeError(
        `treeFromNamed: "${name}" has shape ${formatShape(leaf.shape)}, ` +
          `its place in the tree ${formatShape(place.shape)}`,
      );
    }
    leaves.push(leaf);
  });
  return treeUnflatten(like, leaves);
}

/** The first few names, quoted. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => `"${name}"`);
  const rest = names.length - shown.length;
  return `${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

/** The tree of tensors with the keys that lead to them. */
function grown(tensors: readonly (readonly [keys: readonly string[], leaf: Tensor])[]): Tree {
  const branches = new Map<string, [readonly string[], Tensor][]>();
  for (const [[key, ...rest], leaf] of tensors) {
    if (key === undefined) {
      if (tensors.length === 1) return leaf;
      throw new RangeError("treeFromNamed: a name leads through a tensor, which has no keys");
    }
    const below = branches.get(key);
    if (below) below.push([rest, leaf]);
    else branches.set(key, [[rest, leaf]]);
  }
  const trees = Array.from(branches, ([key, below]) => [key, grown(below)] as const);
  const tree = Object.fromEntries(trees);
  const isList = trees.length > 0 && trees.every((_, index) => branches.has(String(index)));
  return isList ? trees.map((_, index) => tree[index]!) : tree;
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
  const visit = async (value: unknown, keys: readonly string[]): Promise<unknown> => {
    if (value instanceof Tensor) {
      if (value.size === 1) return value.item();
      throw new RangeError(
        `treeNumbers: the tensor at ${keys.join(".") || "the root"} has shape ${formatShape(value.shape)}; ` +
          "only scalars become numbers, `await tensor.array()` reads others",
      );
    }
    if (!isBranch(value, keys)) return value;
    const entries = Object.entries(value).map(async ([key, item]) => [
      key,
      await visit(item, [...keys, key]),
    ]);
    const read = await Promise.all(entries);
    return Array.isArray(value) ? read.map(([, item]) => item) : Object.fromEntries(read);
  };
  return visit(tree, []) as Promise<TreeNumbers<T>>;
}
