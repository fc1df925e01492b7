/**
 * Kernels in another form that compute the same.
 * @module
 */

import type { DType } from "../../kernels/dtype.js";
import {
  dependenciesOf,
  indicesOf,
  lookupsIn,
  mapIndices,
  reachable,
  renumber,
} from "../../kernels/expressions.js";
import type {
  Affine,
  Condition,
  Expression,
  Kernel,
  Lookup,
  LoopKernel,
  MatmulKernel,
  MatmulOperand,
  SortKernel,
} from "../../kernels/kernel.js";
import { sizeOf, stridesOf } from "../../kernels/layout.js";
import type { Applied, PointKernel } from "./plan.js";

/** Every affine index of a kernel, replaced. */
function mapAffines<K extends PointKernel>(kernel: K, f: (affine: Affine) => Affine): K {
  const condition = ({ index, size }: Condition): Condition => ({ index: f(index), size });
  const expressions = kernel.expressions.map((e) => mapIndices(e, f));
  const counted = kernel.counted ? { counted: kernel.counted.map(condition) } : {};
  const target = kernel.kind === "scatter" ? { target: f(kernel.target) } : {};
  return { ...kernel, expressions, ...counted, ...target };
}

/**
 * An axis of size n as two: index = step · pieces + piece. The steps stay in its place, the pieces
 * become the last axis; points with an index beyond n do not count.
 */
export function splitAxis<K extends PointKernel>(kernel: K, axis: number, wanted: number): K {
  const size = kernel.axes[axis]!;
  const pieces = Math.min(wanted, size);
  const steps = Math.ceil(size / pieces);
  const rank = kernel.axes.length;
  const split = mapAffines(kernel, ({ offset, strides }) => {
    const axes = strides.slice(0, rank);
    const stride = axes[axis] ?? 0;
    while (axes.length < rank) axes.push(0);
    axes[axis] = stride * pieces;
    return { offset, strides: [...axes, stride, ...strides.slice(rank)] };
  });
  const axes = [...kernel.axes, pieces];
  axes[axis] = steps;
  const strides = axes.map((_, i) => (i === axis ? pieces : i === rank ? 1 : 0));
  const bound = steps * pieces > size ? [{ index: { offset: 0, strides }, size }] : [];
  return { ...split, axes, counted: [...(split.counted ?? []), ...bound] };
}

/** The kernel with one axis in another place. */
export function moveAxis<K extends PointKernel>(kernel: K, from: number, to: number): K {
  const move = <T>(list: readonly T[]): T[] => {
    const moved = [...list];
    const [item] = moved.splice(from, 1);
    moved.splice(to, 0, item!);
    return moved;
  };
  const rank = kernel.axes.length;
  return {
    ...mapAffines(kernel, ({ offset, strides }) => ({
      offset,
      strides: [...move(strides.slice(0, rank)), ...strides.slice(rank)],
    })),
    axes: move(kernel.axes),
  };
}

/** The kernel over the `kept` axes. Expressions that depend on another axis have no meaning any more. */
export function overAxes<K extends PointKernel>(kernel: K, kept: readonly number[]): K {
  const rank = kernel.axes.length;
  if (kept.length === rank) return kernel;
  const plain = mapAffines(kernel, ({ offset, strides }) => ({
    offset,
    strides: [...kept.map((axis) => strides[axis] ?? 0), ...strides.slice(rank)],
  }));
  return { ...plain, axes: kept.map((axis) => kernel.axes[axis]!) };
}

/** The reduction over one axis of `size`. Only the expressions of its epilogue keep their meaning. */
export function overOneAxis(kernel: LoopKernel, size: number): LoopKernel {
  const { axes, outputRank } = kernel;
  const plain = mapAffines(kernel, ({ offset, strides }) => ({
    offset,
    strides: [
      ...axes.slice(0, outputRank).map((_, axis) => strides[axis] ?? 0),
      0,
      ...strides.slice(axes.length),
    ],
  }));
  return { ...plain, axes: [...axes.slice(0, outputRank), size] };
}

/** A product as a sum of products. */
export function productAsLoop(kernel: MatmulKernel): LoopKernel {
  const { dtype, batch, m, n, k, left, right } = kernel;
  const zeros = (axes: readonly number[]): number[] => axes.map(() => 0);
  const load = (
    { buffer, storage, offset }: MatmulOperand,
    strides: readonly number[],
  ): Expression => ({
    kind: "load",
    dtype,
    ...(storage && { storage }),
    buffer,
    index: { offset, strides },
    conditions: [],
  });
  return {
    kind: "loop",
    dtype,
    axes: [...batch, ...m, ...n, ...k],
    outputRank: batch.length + m.length + n.length,
    lookups: [],
    expressions: [
      load(left, [...left.batch, ...left.outer, ...zeros(n), ...left.inner]),
      load(right, [...right.batch, ...zeros(m), ...right.outer, ...right.inner]),
      { kind: "map", operation: "mul", dtype, inputs: [0, 1] },
    ],
    reduce: "sum",
    body: 2,
    epilogue: null,
  };
}

/** A product whose sum is split along an axis: a batch of `pieces` products with shorter sums. */
export function inBatches(kernel: MatmulKernel, axis: number, pieces: number): MatmulKernel {
  const rest = kernel.k[axis]! / pieces;
  const operand = (one: MatmulOperand): MatmulOperand => ({
    ...one,
    batch: [one.inner[axis]! * rest, ...one.batch],
  });
  return {
    ...kernel,
    batch: [pieces, ...kernel.batch],
    k: kernel.k.map((size, i) => (i === axis ? rest : size)),
    left: operand(kernel.left),
    right: operand(kernel.right),
  };
}

/** The kernel that makes a product's elements of its sums. */
export function epilogueOf({ epilogue, dtype, batch, m, n }: MatmulKernel): LoopKernel {
  return epilogue ?? identity(dtype, [...batch, ...m, ...n]);
}

/** Whether every element of a kernel's output is a sum over no points. */
export function sumsNothing(kernel: Exclude<Kernel, SortKernel>): boolean {
  if (kernel.kind === "matmul") return kernel.k.includes(0);
  if (kernel.kind === "scatter") return kernel.axes.includes(0);
  return kernel.reduce === "sum" && kernel.axes.slice(kernel.outputRank).includes(0);
}

/**
 * What a kernel that sums nothing becomes: its epilogue, with an accumulator of 0. The 0 is an argument:
 * from a literal, compilers would make 0·x = 0 even where x is NaN or ∞.
 */
export function epilogueOfNothing(kernel: Exclude<Kernel, SortKernel>): LoopKernel {
  if (kernel.kind === "matmul") return epilogueOf(kernel);
  const { kind, dtype, axes } = kernel;
  if (kind === "scatter") return identity(dtype, [kernel.size]);
  const { outputRank, epilogue } = kernel;
  if (epilogue === null) return identity(dtype, axes.slice(0, outputRank));
  const outer = overAxes(kernel, [...axes.keys()].slice(0, outputRank));
  return { ...outer, reduce: null, body: epilogue, epilogue: null };
}

/** The epilogue that changes nothing. */
export function identity(dtype: DType, axes: readonly number[]): LoopKernel {
  return {
    kind: "loop",
    dtype,
    axes,
    outputRank: axes.length,
    lookups: [],
    expressions: [{ kind: "accumulator", dtype }],
    reduce: null,
    body: 0,
    epilogue: null,
  };
}

/** The epilogue after a sum over the first axis of a buffer of shape [size, …axes]. */
export function summing(
  kernel: LoopKernel,
  buffer: number,
  dtype: DType,
  size: number,
): LoopKernel {
  const { axes, expressions, body } = overOneAxis(kernel, size);
  const outer = axes.slice(0, -1);
  const strides = [...stridesOf(outer), sizeOf(outer)];
  const load: Expression = {
    kind: "load",
    dtype,
    buffer,
    index: { offset: 0, strides },
    conditions: [],
  };
  return {
    ...kernel,
    axes,
    expressions: [...expressions, load],
    reduce: "sum",
    body: expressions.length,
    epilogue: body,
  };
}

/** The epilogue with its accumulator read from a buffer. */
export function withLoadedAccumulator(
  kernel: LoopKernel,
  buffer: number,
  dtype: DType,
): LoopKernel {
  const index = { offset: 0, strides: stridesOf(kernel.axes) };
  const expressions = kernel.expressions.map(
    (e): Expression =>
      e.kind === "accumulator" ? { kind: "load", dtype, buffer, index, conditions: [] } : e,
  );
  return { ...kernel, expressions };
}

/** Whether an expression depends on any of these axes. */
export function dependsOnAxes(
  kernel: PointKernel,
  number: number,
  axes: readonly number[],
): boolean {
  const e = kernel.expressions[number]!;
  const steps = ({ strides }: Affine): boolean => axes.some((axis) => strides[axis]);
  if (indicesOf(e).some(steps)) return true;
  return dependenciesOf(e, kernel).some((needed) => dependsOnAxes(kernel, needed, axes));
}

/** The expressions a kernel must compute: its body, its epilogue, and the lookups of its target. */
export function rootsOf(kernel: PointKernel): number[] {
  if (kernel.kind === "loop") {
    const { reduce, body, epilogue } = kernel;
    if (reduce === null) return [epilogue ?? body];
    return epilogue === null ? [body] : [body, epilogue];
  }
  const { target, axes, required, lookups, body } = kernel;
  const used = new Set([...lookupsIn(target, axes.length), ...required]);
  return [body, ...[...used].map((lookup) => lookups[lookup]!.index)];
}

/** The kernel without unused expressions, buffers and constants. The others are numbered anew. */
export function trim<K extends PointKernel>(kernel: K, step: Applied): [K, Applied] {
  const needed = reachable(rootsOf(kernel), (number) =>
    dependenciesOf(kernel.expressions[number]!, kernel),
  );
  const numbers = new Map(needed.map((number, i) => [number, i]));
  const buffers = [step.buffers[0]!];
  const bufferNumbers = new Map<number, number>();
  const constants: number[] = [];
  const slots = new Map<number, number>();
  const place = <T>(known: Map<number, number>, number: number, list: T[], value: T): number => {
    let found = known.get(number);
    if (found === undefined) {
      found = list.push(value) - 1;
      known.set(number, found);
    }
    return found;
  };
  const expressions = needed.map((number) =>
    renumber(kernel.expressions[number]!, {
      expression: (of) => numbers.get(of)!,
      buffer: (of) => place(bufferNumbers, of, buffers, step.buffers[of]!),
      slot: (of) => place(slots, of, constants, step.constants[of]!),
    }),
  );
  // Lookups keep their numbers, because strides refer to these. An unused lookup has no expression: −1.
  const lookups = kernel.lookups.map(({ index, size }) => ({
    index: numbers.get(index) ?? -1,
    size,
  }));
  const body = numbers.get(kernel.body) ?? 0;
  const epilogue =
    kernel.kind === "loop"
      ? { epilogue: kernel.epilogue === null ? null : numbers.get(kernel.epilogue)! }
      : {};
  return [
    { ...kernel, expressions, lookups: lookups as Lookup[], body, ...epilogue },
    { ...step, buffers, constants },
  ];
}
