/**
 * A graph as a plan: kernels in an order that keeps few values alive, and scratch memory shared by
 * values that are not alive together.
 * @module
 */

import { bytesPerElement } from "../kernels/dtype.js";
import { stridesOf } from "../kernels/indexing.js";
import type { Expression, Kernel, Plan, PlanBuffer, Step } from "../kernels/kernel.js";
import { formatShape, sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { type LoweredKernel, lower } from "./lower.js";
import { isGiven, type Part, partition } from "./partition.js";

/** Buffers start at multiples of this many bytes. */
const ALIGNMENT = 64;

/** What a plan is compiled from. */
export interface Graph {
  /** Every node, inputs before their users; a node's `position` is its place here. */
  readonly nodes: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Nodes whose elements are given, and constants, in the order the plan takes them. */
  readonly inputs: readonly Tensor[];
  readonly constants: readonly Tensor[];
}

/** Compiles a graph; `cheap` is what its device says of itself. */
export function compile(graph: Graph, cheap: number): Plan {
  const parts = partition(graph.nodes, new Set(graph.outputs), cheap);
  const kernels = freeEarly(schedule(graph, parts), new Set(graph.outputs));
  const buffers: Omit<PlanBuffer, "offset">[] = [];
  const numbers = new Map<Tensor, number>();
  const add = (node: Tensor, role: PlanBuffer["role"]): number => {
    const { dtype, shape, primitive } = node;
    numbers.set(node, buffers.length);
    const name = `a ${dtype} tensor of shape ${formatShape(shape)} (${primitive.name})`;
    return buffers.push({ dtype, size: sizeOf(shape), role, name }) - 1;
  };
  const inputs = graph.inputs.map((node) => add(node, "input"));
  const outputs = graph.outputs.map((node) => add(node, "output"));
  for (const { root } of kernels) if (!numbers.has(root)) add(root, "temporary");
  const constantNumbers = new Map(graph.constants.map((node, i) => [node, i]));
  const steps = kernels
    .filter(({ root }) => sizeOf(root.shape) > 0)
    .map(
      ({ root, kernel, reads, constants, operations }): Step => ({
        kernel,
        key: JSON.stringify(kernel),
        buffers: [root, ...reads].map((node) => numbers.get(node)!),
        constants: constants.map((node) => constantNumbers.get(node)!),
        operations,
      }),
    );
  const { offsets, scratchBytes } = assignScratch(buffers, steps);
  return {
    buffers: buffers.map((buffer, i) => ({ ...buffer, offset: offsets[i]! })),
    steps,
    inputs,
    outputs,
    scratchBytes,
  };
}

/** A kernel and the node whose value it stores. */
type RootedKernel = LoweredKernel & { readonly root: Tensor };

/** Longest path from a leaf, by node position. */
function depths(nodes: readonly Tensor[]): Uint32Array {
  const depth = new Uint32Array(nodes.length);
  for (const node of nodes) {
    if (isGiven(node)) continue;
    let deepest = 0;
    for (const input of node.inputs) deepest = Math.max(deepest, depth[input.position]!);
    depth[node.position] = deepest + 1;
  }
  return depth;
}

/**
 * Kernels in execution order. Of a kernel's inputs the one with the longest history is computed
 * first: what can be had quickly is made when it is needed and not kept in the meantime. That is
 * what lets a checkpointed function be computed again late.
 */
function schedule(graph: Graph, parts: readonly Part[]): RootedKernel[] {
  const depth = depths(graph.nodes);
  const done = new Set<Tensor>();
  const lowered = new Map<Tensor, LoweredKernel>();
  const order: RootedKernel[] = [];
  // The top of the stack comes next: of equally deep nodes the one that is read first.
  const deepestLast = (nodes: readonly Tensor[]): Tensor[] =>
    [...nodes].reverse().sort((a, b) => depth[a.position]! - depth[b.position]!);
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
    const kernel = lower(parts[root.position]!, parts);
    lowered.set(root, kernel);
    stack.push(...deepestLast(kernel.reads.filter((node) => !isGiven(node) && !done.has(node))));
  }
  return order;
}

/**
 * The same kernels, each moved forward to where it becomes possible if running it leaves less memory
 * in use: a weight's gradient, say, as soon as it lets go of a layer's activations.
 */
function freeEarly(order: readonly RootedKernel[], outputs: ReadonlySet<Tensor>): RootedKernel[] {
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
  const missing = inputs.map((list) => list.length);
  const unread = users.map((list) => list.length);
  const done = new Uint8Array(order.length);
  const ready = new Set<number>();
  missing.forEach((count, i) => {
    if (count === 0) ready.add(i);
  });
  const gain = (i: number): number =>
    inputs[i]!.reduce((freed, input) => freed + (unread[input] === 1 ? bytes[input]! : 0), 0) -
    bytes[i]!;
  const result: RootedKernel[] = [];
  const run = (i: number): void => {
    done[i] = 1;
    ready.delete(i);
    result.push(order[i]!);
    for (const input of inputs[i]!) unread[input]!--;
    for (const user of users[i]!) if (--missing[user]! === 0) ready.add(user);
  };
  for (let next = 0; next < order.length; ) {
    let best = -1;
    let most = 0;
    for (const i of ready) {
      const freed = gain(i);
      if (freed > most) [best, most] = [i, freed];
    }
    if (best >= 0) run(best);
    else {
      while (done[next]) next++;
      if (next < order.length) run(next);
    }
  }
  return result;
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Byte offsets of the temporaries: best fit among the gaps left by values no longer needed. */
function assignScratch(
  buffers: readonly Omit<PlanBuffer, "offset">[],
  steps: readonly Step[],
): { offsets: number[]; scratchBytes: number } {
  const lastUse = new Int32Array(buffers.length).fill(-1);
  steps.forEach((step, time) => {
    for (const buffer of step.buffers) lastUse[buffer] = time;
  });
  const bytesOf = (buffer: number): number => {
    const { size, dtype } = buffers[buffer]!;
    return align(size * bytesPerElement(dtype));
  };
  const offsets: number[] = new Array(buffers.length).fill(0);
  const gaps: { offset: number; bytes: number }[] = [];
  let scratchBytes = 0;
  const allocate = (bytes: number): number => {
    let best = -1;
    gaps.forEach((gap, i) => {
      if (gap.bytes >= bytes && (best < 0 || gap.bytes < gaps[best]!.bytes)) best = i;
    });
    if (best >= 0) {
      const gap = gaps[best]!;
      const { offset } = gap;
      if (gap.bytes === bytes) gaps.splice(best, 1);
      else gaps[best] = { offset: offset + bytes, bytes: gap.bytes - bytes };
      return offset;
    }
    // Nothing fits: extend the end, starting in a gap that reaches it.
    const last = gaps.findIndex((gap) => gap.offset + gap.bytes === scratchBytes);
    const offset = last >= 0 ? gaps.splice(last, 1)[0]!.offset : scratchBytes;
    scratchBytes = offset + bytes;
    return offset;
  };
  const release = (offset: number, bytes: number): void => {
    const freed = { offset, bytes };
    for (let i = gaps.length - 1; i >= 0; i--) {
      const gap = gaps[i]!;
      if (gap.offset + gap.bytes === freed.offset) freed.offset = gap.offset;
      else if (freed.offset + freed.bytes !== gap.offset) continue;
      freed.bytes += gap.bytes;
      gaps.splice(i, 1);
    }
    gaps.push(freed);
  };
  steps.forEach((step, time) => {
    const [output, ...reads] = step.buffers as [number, ...number[]];
    const ends = new Set(
      reads.filter((b) => buffers[b]!.role === "temporary" && lastUse[b] === time),
    );
    if (buffers[output]!.role === "temporary" && bytesOf(output) > 0) {
      const inPlace = [...ends].find(
        (b) => bytesOf(b) === bytesOf(output) && overwritable(step.kernel, step.buffers.indexOf(b)),
      );
      if (inPlace !== undefined) {
        offsets[output] = offsets[inPlace]!;
        ends.delete(inPlace);
      } else {
        offsets[output] = allocate(bytesOf(output));
      }
    }
    for (const b of ends) if (bytesOf(b) > 0) release(offsets[b]!, bytesOf(b));
    // A value nobody reads: its kernel was scheduled for an output of the same step only.
    if (buffers[output]!.role === "temporary" && lastUse[output] === time && bytesOf(output) > 0) {
      release(offsets[output]!, bytesOf(output));
    }
  });
  return { offsets, scratchBytes };
}

/** Whether each element of a read buffer is needed only for the output element at the same place. */
function overwritable(kernel: Kernel, buffer: number): boolean {
  if (kernel.kind !== "loop" || kernel.reduce !== null) return false;
  const strides = stridesOf(kernel.axes);
  return kernel.expressions.every(
    (e: Expression) =>
      e.kind !== "load" ||
      e.buffer !== buffer ||
      (e.conditions.length === 0 &&
        bytesPerElement(e.dtype) === bytesPerElement(kernel.dtype) &&
        e.index.offset === 0 &&
        e.index.strides.every((s, d) => s === (strides[d] ?? 0))),
  );
}
