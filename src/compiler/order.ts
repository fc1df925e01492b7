/**
 * Which kernel runs when: an order that keeps few values alive.
 * @module
 */

import { bytesPerElement } from "../kernels/dtype.js";
import { sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { findWaits } from "./givenUp.js";
import type { LoweredKernel } from "./kernelBuilder.js";
import { lower } from "./lower.js";
import { isGiven, type Part } from "./partition.js";
import type { Graph } from "./structure.js";

/** A kernel and the node whose value it stores. */
export type RootedKernel = LoweredKernel & { readonly root: Tensor };

/** Longest path from a leaf, by node position. */
function depths(nodes: readonly Tensor[]): Uint32Array {
  const depth = new Uint32Array(nodes.length);
  for (const node of nodes) {
    if (isGiven(node)) continue;
    let deepest = 0;
    for (const input of node.inputs) deepest = Math.max(deepest, depth[input._position]!);
    depth[node._position] = deepest + 1;
  }
  return depth;
}

/** The kernels of a graph in execution order. */
export function orderKernels(graph: Graph, parts: readonly Part[]): RootedKernel[] {
  const order = depthFirst(graph, parts);
  return freeEarly(order, new Set(graph.outputs), findWaits(order, graph));
}

/**
 * The input with the longest history is computed first. One with a short history is then computed just
 * before it is needed and takes no memory meanwhile, so a checkpointed function is computed again late.
 * A kernel is lowered before those it reads, for it may demand that they be stored.
 */
function depthFirst(graph: Graph, parts: readonly Part[]): RootedKernel[] {
  const depth = depths(graph.nodes);
  const done = new Set<Tensor>();
  const lowered = new Map<Tensor, LoweredKernel>();
  const order: RootedKernel[] = [];
  // The top of the stack comes next: of equally deep nodes the one that is read first.
  const deepestLast = (nodes: readonly Tensor[]): Tensor[] =>
    [...nodes].reverse().sort((a, b) => depth[a._position]! - depth[b._position]!);
  const stack = deepestLast(graph.outputs);
  while (stack.length > 0) {
    const root = stack[stack.length - 1]!;
    if (done.has(root) || isGiven(root)) {
      stack.pop();
      continue;
    }
    const known = lowered.get(root);
    if (known) {
      done.add(root);
      order.push({ root, ...known });
      stack.pop();
      continue;
    }
    const kernel = lower(parts[root._position]!, parts);
    lowered.set(root, kernel);
    const missing = kernel.reads.filter((node) => !isGiven(node) && !done.has(node));
    for (const node of deepestLast(missing)) stack.push(node);
  }
  return order;
}

/**
 * The same kernels, each moved forward to where it becomes possible if running it leaves less memory
 * in use: a weight's gradient, say, as soon as it lets go of a layer's activations. A kernel runs after those
 * it waits for.
 */
function freeEarly(
  order: readonly RootedKernel[],
  outputs: ReadonlySet<Tensor>,
  waits: readonly (readonly number[])[],
): RootedKernel[] {
  const made = new Map(order.map((kernel, i) => [kernel.root, i]));
  const inputs = order.map(({ reads }) =>
    reads.map((node) => made.get(node)).filter((i) => i !== undefined),
  );
  const users: number[][] = order.map(() => []);
  inputs.forEach((list, user) => {
    for (const input of list) users[input]!.push(user);
  });
  const bytes = order.map(({ root }) =>
    outputs.has(root) ? 0 : sizeOf(root.shape) * bytesPerElement(root.dtype),
  );
  const unread = users.map((list) => list.length);
  const missing = inputs.map((list, i) => list.length + waits[i]!.length);
  waits.forEach((list, user) => {
    for (const first of list) users[first]!.push(user);
  });
  const ready = new Set<number>();
  missing.forEach((count, i) => {
    if (count === 0) ready.add(i);
  });
  const gain = (i: number): number =>
    inputs[i]!.reduce((freed, input) => freed + (unread[input] === 1 ? bytes[input]! : 0), 0) -
    bytes[i]!;
  const result: RootedKernel[] = [];
  const run = (i: number): void => {
    ready.delete(i);
    result.push(order[i]!);
    for (const input of inputs[i]!) unread[input]!--;
    for (const user of users[i]!) if (--missing[user]! === 0) ready.add(user);
  };
  while (ready.size > 0) {
    let first = order.length;
    let best = -1;
    let most = 0;
    for (const i of ready) {
      first = Math.min(first, i);
      const freed = gain(i);
      if (freed > most) [best, most] = [i, freed];
    }
    run(best >= 0 ? best : first);
  }
  return result;
}
