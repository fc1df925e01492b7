/**
 * Kernels changed without changing what they compute.
 * @module
 */

import type { DType } from "../../kernels/dtype.js";
import { stridesOf } from "../../kernels/indexing.js";
import type {
  Affine,
  Condition,
  Expression,
  Lookup,
  LoopKernel,
  MatmulKernel,
  MatmulOperand,
} from "../../kernels/kernel.js";
import type { Applied, PointKernel } from "./plan.js";

export function product(sizes: readonly number[]): number {
  return sizes.reduce((a, b) => a * b, 1);
}

/** Every affine index of a kernel, replaced. */
function mapAffines<K extends PointKernel>(kernel: K, f: (affine: Affine) => Affine): K {
  const condition = ({ index, size }: Condition): Condition => ({ index: f(index), size });
  const expressions = kernel.expressions.map((e): Expression => {
    if (e.kind === "index") return { ...e, index: f(e.index) };
    if (e.kind === "load")
      return { ...e, index: f(e.index), conditions: e.conditions.map(condition) };
    return e.kind === "guard" ? { ...e, conditions: e.conditions.map(condition) } : e;
  });
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
    moved.splice(to, 0, ...moved.splice(from, 1));
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

/** The kernel over some of its axes; what depends on the others loses its meaning. */
export function overAxes<K extends PointKernel>(kernel: K, kept: readonly number[]): K {
  const rank = kernel.axes.length;
  if (kept.length === rank) return kernel;
  const plain = mapAffines(kernel, ({ offset, strides }) => ({
    offset,
    strides: [...kept.map((axis) => strides[axis] ?? 0), ...strides.slice(rank)],
  }));
  return { ...plain, axes: kept.map((axis) => kernel.axes[axis]!) };
}

/** The reduction over a single axis; only its epilogue's expressions keep a meaning. */
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
  const load = (buffer: number, offset: number, strides: readonly number[]): Expression => ({
    kind: "load",
    dtype,
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
      load(left.buffer, left.offset, [...left.batch, ...left.outer, ...zeros(n), ...left.inner]),
      load(right.buffer, right.offset, [
        ...right.batch,
        ...zeros(m),
        ...right.outer,
        ...right.inner,
      ]),
      { kind: "map", operation: "mul", dtype, inputs: [0, 1] },
    ],
    reduce: "sum",
    body: 2,
    epilogue: null,
  };
}

/** A product whose sum is split: as many products of shorter sums as there are pieces of axis `axis`. */
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

/** What makes a product's elements from its sums. */
export function epilogueOf({ epilogue, dtype, batch, m, n }: MatmulKernel): LoopKernel {
  return epilogue ?? identity(dtype, [...batch, ...m, ...n]);
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

/** An epilogue with the sum it follows, of the last axis of a buffer laid out as [size, …axes]. */
export function summing(
  kernel: LoopKernel,
  buffer: number,
  dtype: DType,
  size: number,
): LoopKernel {
  const { axes, expressions, body } = overOneAxis(kernel, size);
  const outer = axes.slice(0, -1);
  const strides = [...stridesOf(outer), product(outer)];
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

/** An epilogue that finds the accumulator in a buffer. */
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

function lookupsIn(affine: Affine, rank: number): number[] {
  return affine.strides.flatMap((stride, i) => (stride !== 0 && i >= rank ? [i - rank] : []));
}

/** The expressions an expression is computed from. */
export function operandsOf(e: Expression, { axes, lookups }: PointKernel): number[] {
  const affines: Affine[] = [];
  const numbers: number[] = [];
  if (e.kind === "index" || e.kind === "load") affines.push(e.index);
  if (e.kind === "load" || e.kind === "guard") {
    affines.push(...e.conditions.map(({ index }) => index));
  }
  if (e.kind === "guard") {
    numbers.push(e.inside, ...e.lookups.map((lookup) => lookups[lookup]!.index));
  }
  if (e.kind === "map") numbers.push(...e.inputs);
  for (const affine of affines) {
    for (const lookup of lookupsIn(affine, axes.length)) numbers.push(lookups[lookup]!.index);
  }
  return numbers;
}

/** Whether an expression depends on any of these axes. */
export function dependsOnAxes(
  kernel: PointKernel,
  number: number,
  axes: readonly number[],
): boolean {
  const e = kernel.expressions[number]!;
  const steps = ({ strides }: Affine): boolean => axes.some((axis) => strides[axis]);
  if ((e.kind === "index" || e.kind === "load") && steps(e.index)) return true;
  if ((e.kind === "load" || e.kind === "guard") && e.conditions.some(({ index }) => steps(index)))
    return true;
  return operandsOf(e, kernel).some((operand) => dependsOnAxes(kernel, operand, axes));
}

/** What a kernel asks for: its body, epilogue, and the lookups of its target. */
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

/** The kernel without what it does not need, its buffers and constants numbered anew. */
export function trim<K extends PointKernel>(kernel: K, step: Applied): [K, Applied] {
  const needed = new Set<number>();
  const visit = (number: number): void => {
    if (needed.has(number)) return;
    needed.add(number);
    operandsOf(kernel.expressions[number]!, kernel).forEach(visit);
  };
  rootsOf(kernel).forEach(visit);
  const numbers = new Map([...needed].sort((a, b) => a - b).map((number, i) => [number, i]));
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
  const expressions = [...numbers.keys()].map((number): Expression => {
    const e = kernel.expressions[number]!;
    if (e.kind === "load") {
      return { ...e, buffer: place(bufferNumbers, e.buffer, buffers, step.buffers[e.buffer]!) };
    }
    if (e.kind === "constant") {
      return { ...e, slot: place(slots, e.slot, constants, step.constants[e.slot]!) };
    }
    if (e.kind === "map") return { ...e, inputs: e.inputs.map((input) => numbers.get(input)!) };
    if (e.kind === "guard") return { ...e, inside: numbers.get(e.inside)! };
    return e;
  });
  // Lookups keep their numbers, which strides refer to; those nobody needs look up nothing.
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
