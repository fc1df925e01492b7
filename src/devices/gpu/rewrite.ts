/**
 * A plan as the GPU can run it. No kernel reads more buffers than a shader may bind. Several threads share a
 * long sum that has few results. Sorts become passes of a merge sort, and long scatters sort their points.
 * @module
 */

import type { DType } from "../../kernels/dtype.js";
import { dependenciesOf, loadIn } from "../../kernels/expressions.js";
import type {
  Expression,
  Kernel,
  LoopKernel,
  MatmulKernel,
  Plan,
  PlanBuffer,
  ScatterKernel,
  SortKernel,
} from "../../kernels/kernel.js";
import { sizeOf, stridesOf } from "../../kernels/layout.js";
import { LARGEST_INTEGER } from "./elements.js";
import type {
  Applied,
  GpuKernel,
  GpuPlan,
  GpuScatter,
  GpuStep,
  MergePass,
  PointKernel,
} from "./plan.js";
import { type Keys, keysOf } from "./target.js";
import {
  dependsOnAxes,
  epilogueOf,
  epilogueOfNothing,
  identity,
  inBatches,
  moveAxis,
  overAxes,
  overOneAxis,
  productAsLoop,
  rootsOf,
  splitAxis,
  summing,
  sumsNothing,
  trim,
  withLoadedAccumulator,
} from "./transform.js";

/** What a device's kernels may do. */
export interface Limits {
  /** Buffers a kernel may read. */
  readonly inputs: number;
  /** Whether the device runs matrix products. If not, they become reductions. */
  readonly products: boolean;
  /** Comparisons from which on a scatter sorts its points. Default: 2²². */
  readonly longSearch?: number;
}

/** Most terms that one thread adds up alone. */
const LONG = 512;
/** Threads that keep a GPU busy: with fewer, long sums are shared. */
const BUSY = 1 << 15;

/** Comparisons from which on a scatter sorts its points. */
const LONG_SEARCH = 1 << 22;
/** A scatter of fewer points does not sort. */
const LEAST_SORTED = 64;
/** A scatter of more points does not sort: positions are exact in float32 up to 2²⁴. */
const MOST_SORTED = 1 << 24;
/** Cost of a comparison of the sort, relative to one of the search. */
const SORT_COST = 4;
/** Rows and columns of a product's tile. */
const TILE = 64;
/** Tiles that keep a GPU busy. */
const ENOUGH_TILES = 64;
/** A product of fewer multiply-adds is not split. */
const LEAST_SPLIT = 1 << 22;
/** Least terms of a piece. */
const LEAST_TERMS = 128;

/** Rewrites a plan. */
export function rewrite(plan: Plan, limits: Limits): GpuPlan {
  const rewriter = new Rewriter(plan, limits);
  for (const { kernel, buffers, constants, operations } of plan.steps) {
    rewriter.add(kernel, { buffers, constants, operations });
  }
  return rewriter;
}

class Rewriter implements GpuPlan {
  readonly buffers: Omit<PlanBuffer, "offset">[];
  readonly steps: GpuStep[] = [];

  constructor(
    plan: Plan,
    private readonly limits: Limits,
  ) {
    this.buffers = [...plan.buffers];
  }

  add(kernel: Kernel, step: Applied): void {
    if (kernel.kind === "sort") this.sort(kernel, step);
    else if (kernel.kind === "scatter" && kernel.replaces) this.write(kernel, step);
    else if (sumsNothing(kernel)) this.loop(...trim(epilogueOfNothing(kernel), step));
    else if (kernel.kind === "matmul") this.product(kernel, step);
    else if (kernel.kind === "scatter") this.scatter(...trim(kernel, step));
    else this.loop(...trim(kernel, step));
  }

  private temporary(dtype: DType, size: number): number {
    return this.buffers.push({ dtype, size, role: "temporary" }) - 1;
  }

  private push(kernel: GpuKernel, step: Applied): void {
    this.steps.push({ kernel, ...step });
  }

  /** A merge sort: runs of 1, 2, 4, … elements are merged until each row is one run. */
  private sort({ dtype, rows, length }: SortKernel, { buffers, operations }: Applied): void {
    if (length > LARGEST_INTEGER) {
      throw new RangeError(
        `rows of ${length} elements are too long to sort on the GPU, where positions are exact to 2^24; ` +
          'use setDevice("wasm")',
      );
    }
    const [output, values] = buffers as [number, number];
    let order: number[] = [];
    for (let width = 1; width === 1 || width < length; width *= 2) {
      const next = 2 * width < length ? this.temporary("int32", rows * length) : output;
      const kernel: MergePass = { kind: "merge", dtype, rows, length, width };
      this.push(kernel, { buffers: [next, values, ...order], constants: [], operations });
      order = [next];
    }
  }

  private product(kernel: MatmulKernel, step: Applied): void {
    const { products, inputs } = this.limits;
    const { dtype, epilogue } = kernel;
    const split = products ? splitOf(kernel) : null;
    if (split !== null) {
      const { axis, pieces } = split;
      const after = epilogueOf(kernel);
      const partial = this.plainProduct(inBatches(kernel, axis, pieces), step);
      this.add(summing(after, step.buffers.length, dtype, pieces), {
        ...step,
        buffers: [...step.buffers, partial],
      });
    } else if (products && step.buffers.length - 1 <= inputs) {
      this.push(kernel, step);
    } else if (epilogue === null) {
      this.add(productAsLoop(kernel), step);
    } else {
      const product = this.plainProduct(kernel, step);
      this.add(withLoadedAccumulator(epilogue, step.buffers.length, dtype), {
        ...step,
        buffers: [...step.buffers, product],
      });
    }
  }

  /** Adds a product without its epilogue. Returns the temporary that holds it. */
  private plainProduct(kernel: MatmulKernel, step: Applied): number {
    const { dtype, batch, m, n, left, right } = kernel;
    const output = this.temporary(dtype, sizeOf([...batch, ...m, ...n]));
    const buffers = [output, step.buffers[left.buffer]!, step.buffers[right.buffer]!];
    const operands = { left: { ...left, buffer: 1 }, right: { ...right, buffer: 2 } };
    const plain = { ...kernel, ...operands, epilogue: null };
    const applied = { ...step, buffers, constants: [] };
    if (this.limits.products) this.push(plain, applied);
    else this.add(productAsLoop(plain), applied);
    return output;
  }

  private loop(kernel: LoopKernel, step: Applied): void {
    const { axes, outputRank, reduce, epilogue } = kernel;
    if (reduce !== null) {
      if (epilogue !== null && step.buffers.length - 1 > this.limits.inputs) {
        this.separateEpilogue(kernel, step);
        return;
      }
      const outputs = sizeOf(axes.slice(0, outputRank));
      const pieces = piecesOf(outputs, sizeOf(axes.slice(outputRank)));
      if (pieces > 1) {
        this.inPieces(kernel, step, pieces);
        return;
      }
    }
    this.push(...this.fit(kernel, step));
  }

  /** Adds a reduction, and its epilogue as a kernel of its own. */
  private separateEpilogue(kernel: LoopKernel, step: Applied): void {
    const { axes, outputRank, expressions, body, epilogue } = kernel;
    const { dtype } = expressions[body]!;
    const outer = axes.slice(0, outputRank);
    const reduced = this.temporary(dtype, sizeOf(outer));
    const plain = { ...kernel, dtype, epilogue: null };
    this.add(plain, { ...step, buffers: [reduced, ...step.buffers.slice(1)] });
    const after = overAxes(kernel, [...outer.keys()]);
    this.add(
      withLoadedAccumulator(
        { ...after, reduce: null, body: epilogue!, epilogue: null },
        step.buffers.length,
        dtype,
      ),
      { ...step, buffers: [...step.buffers, reduced] },
    );
  }

  /**
   * Adds a long reduction as two: each thread reduces a piece, then the pieces are reduced. The pieces
   * interleave, so that neighbouring threads read neighbouring elements.
   */
  private inPieces(kernel: LoopKernel, step: Applied, wanted: number): void {
    const { axes, outputRank, expressions, body } = kernel;
    const { dtype } = expressions[body]!;
    const outer = axes.slice(0, outputRank);
    const axis = longest(axes, outputRank);
    const split = splitAxis(kernel, axis, wanted);
    const from = split.axes.length - 1;
    const pieces = split.axes[from]!;
    const partial = this.temporary(dtype, sizeOf(outer) * pieces);
    const isFastest = stepsFaster(kernel, axis);
    const first = { ...split, dtype, outputRank: outputRank + 1, epilogue: null };
    this.push(
      ...this.fit(
        ...trim(moveAxis(first, from, isFastest ? outputRank : 0), {
          ...step,
          buffers: [partial, ...step.buffers.slice(1)],
        }),
      ),
    );
    const strides = isFastest
      ? stridesOf([...outer, pieces])
      : [...stridesOf(outer), sizeOf(outer)];
    const load: Expression = {
      kind: "load",
      dtype,
      buffer: step.buffers.length,
      index: { offset: 0, strides },
      conditions: [],
    };
    const second = overOneAxis(kernel, pieces);
    this.add(
      { ...second, expressions: [...second.expressions, load], body: expressions.length },
      { ...step, buffers: [...step.buffers, partial] },
    );
  }

  private scatter(kernel: ScatterKernel, step: Applied): void {
    const { size, axes } = kernel;
    const keys = keysOf(kernel);
    const points = sizeOf((keys?.axes ?? []).map((axis) => axes[axis]!));
    if (keys !== null && isWorthSorting(size, points, this.limits.longSearch))
      this.sortedScatter(kernel, step, keys, points);
    else this.searchingScatter(...this.fit(kernel, step));
  }

  /**
   * Adds a scatter that sorts its points by the position they go to. All points of one position are then a
   * run, and each element reads its own run only. That takes log²(points) comparisons per point in place of
   * one per output. The sort is stable, so points are added in their order.
   */
  private sortedScatter(kernel: ScatterKernel, step: Applied, keys: Keys, length: number): void {
    const { size, lookups } = kernel;
    const lookup = lookups[keys.lookup]!;
    const [withKeys, withKeysStep] = this.store(kernel, step, lookup.index, keys.axes);
    const values = withKeysStep.buffers.at(-1)!;
    const order = this.temporary("int32", length);
    const sort = { ...step, buffers: [order, values], constants: [] };
    this.sort({ kind: "sort", dtype: "int32", rows: 1, length }, sort);
    // The run of key k ends where that of k + 1 starts.
    const count = lookup.size + 1;
    const starts = this.temporary("int32", count);
    const search = { ...step, buffers: [starts, values, order], constants: [] };
    this.push({ kind: "starts", dtype: "int32", length, count }, search);
    const [fitted, applied] = this.fit(...trim(withKeys, withKeysStep), this.limits.inputs - 2);
    const { buffers } = applied;
    const pieces = piecesOf(size, length / lookup.size);
    const sorted = { order: buffers.length, starts: buffers.length + 1, pieces };
    const all = { ...applied, buffers: [...buffers, order, starts] };
    this.inPartials({ ...fitted, sorted }, all, pieces);
  }

  /** Copies the elements that are replaced, unless they are in the output, and adds a kernel that replaces them. */
  private write(kernel: ScatterKernel, step: Applied): void {
    const { dtype, size, axes, lookups, expressions, target, required, body } = kernel;
    const [output, base] = step.buffers as [number, number];
    if (output !== base) {
      const copy = withLoadedAccumulator(identity(dtype, [size]), 1, dtype);
      this.push(copy, { ...step, buffers: [output, base], constants: [] });
    }
    if (axes.includes(0)) return;
    const lookup = required[0]!;
    const { index, size: count } = lookups[lookup]!;
    const load = loadIn(expressions[index]!);
    const isPlain = load?.index.strides.every((stride) => stride === 0);
    const start = isPlain
      ? step.buffers[load!.buffer]!
      : this.store(kernel, step, index, [])[1].buffers.at(-1)!;
    const at = isPlain ? load!.index.offset : 0;
    const whole = { outputRank: axes.length, reduce: null, epilogue: null };
    const loop: LoopKernel = { kind: "loop", dtype, axes, lookups, expressions, body, ...whole };
    const [run, applied] = this.fit(...trim(loop, step), this.limits.inputs - 1);
    const { buffers } = applied;
    const stride = target.strides[axes.length + lookup]!;
    this.push(
      { ...run, kind: "write", start: buffers.length, at, stride, count },
      { ...applied, buffers: [...buffers, start] },
    );
  }

  private searchingScatter(kernel: ScatterKernel, step: Applied): void {
    const { axes, size, target } = kernel;
    const searched = axes.map((extent, axis) => (target.strides[axis] ? 1 : extent));
    const pieces = piecesOf(size, sizeOf(searched));
    if (pieces === 1) {
      this.push(kernel, step);
      return;
    }
    const split = splitAxis(kernel, longest(searched, 0), pieces);
    const count = split.axes[split.axes.length - 1]!;
    const strides = [...split.target.strides];
    strides[split.axes.length - 1] = size;
    const apart = { ...split, size: size * count, target: { offset: target.offset, strides } };
    this.inPartials(apart, step, count);
  }

  /** Adds a scatter that computes `count` partial sums of each element, and the sum of these. */
  private inPartials(kernel: GpuScatter, step: Applied, count: number): void {
    if (count === 1) {
      this.push(kernel, step);
      return;
    }
    const { dtype } = kernel;
    const [output, ...read] = step.buffers as [number, ...number[]];
    const { size } = this.buffers[output]!;
    const partial = this.temporary(dtype, size * count);
    this.push(kernel, { ...step, buffers: [partial, ...read] });
    const sum = summing(identity(dtype, [size]), 1, dtype, count);
    this.add(sum, { ...step, buffers: [output, partial], constants: [] });
  }

  /** Stores an expression by a kernel of its own, over the `kept` axes. The given kernel loads it instead. */
  private store<K extends PointKernel>(
    kernel: K,
    step: Applied,
    number: number,
    kept: readonly number[],
  ): [K, Applied] {
    const { axes, lookups, expressions } = kernel;
    const { dtype } = expressions[number]!;
    const sizes = kept.map((axis) => axes[axis]!);
    const temporary = this.temporary(dtype, sizeOf(sizes));
    const part: LoopKernel = {
      kind: "loop",
      dtype,
      axes,
      outputRank: kept.length,
      lookups,
      expressions,
      reduce: null,
      body: number,
      epilogue: null,
    };
    this.loop(
      ...trim(overAxes(part, kept), { ...step, buffers: [temporary, ...step.buffers.slice(1)] }),
    );
    const strides = axes.map((_, axis) => stridesOf(sizes)[kept.indexOf(axis)] ?? 0);
    const load: Expression = {
      kind: "load",
      dtype,
      buffer: step.buffers.length,
      index: { offset: 0, strides },
      conditions: [],
    };
    return [
      { ...kernel, expressions: expressions.map((e, i) => (i === number ? load : e)) },
      { ...step, buffers: [...step.buffers, temporary] },
    ];
  }

  /**
   * The kernel with at most `inputs` buffers to read. Where an expression reads more, kernels before it
   * store parts of it.
   */
  private fit<K extends PointKernel>(
    kernel: K,
    step: Applied,
    inputs = this.limits.inputs,
  ): [K, Applied] {
    if (step.buffers.length - 1 <= inputs) return [kernel, step];
    let [fitted, applied]: [K, Applied] = [kernel, step];
    /** The buffers that each expression reads, its operands' included. */
    const read: ReadonlySet<number>[] = [];
    const readBy = (numbers: readonly number[]): Set<number> =>
      new Set(numbers.flatMap((number) => [...read[number]!]));
    const storeLargest = (numbers: readonly number[]): void => {
      const number = numbers.reduce((a, b) => (read[a]!.size >= read[b]!.size ? a : b));
      [fitted, applied] = this.store(fitted, applied, number, axesOf(fitted, number));
      read[number] = new Set([applied.buffers.length - 1]);
    };
    for (const [number, e] of kernel.expressions.entries()) {
      const operands = dependenciesOf(e, kernel);
      const load = loadIn(e);
      const own = load ? [load.buffer] : [];
      while (readBy(operands).size + own.length > inputs) storeLargest(operands);
      read[number] = new Set([...own, ...readBy(operands)]);
    }
    const roots = rootsOf(fitted);
    while (readBy(roots).size > inputs) storeLargest(roots);
    return trim(fitted, applied);
  }
}

/** The axes over which an expression is stored: the output's, and the reduced ones if it depends on them. */
function axesOf(kernel: PointKernel, number: number): readonly number[] {
  const axes = [...kernel.axes.keys()];
  if (kernel.kind === "scatter") return axes;
  const reduced = axes.slice(kernel.outputRank);
  return dependsOnAxes(kernel, number, reduced) ? axes : axes.slice(0, kernel.outputRank);
}

/**
 * Whether sorting the points of a scatter takes less work than comparing each point with each output. The
 * sort makes log(points) passes, with log(points) comparisons of each point.
 */
function isWorthSorting(outputs: number, points: number, longSearch = LONG_SEARCH): boolean {
  if (points < LEAST_SORTED || points > MOST_SORTED) return false;
  return outputs >= Math.max(longSearch / points, SORT_COST * Math.log2(points) ** 2);
}

/**
 * How to split the sum of a product that has too few tiles to keep a GPU busy; null if it is not split.
 * One axis of the sum is cut evenly, so that each piece is a product, too.
 */
function splitOf({ batch, m, n, k }: MatmulKernel): { axis: number; pieces: number } | null {
  const [batches, rows, columns, terms] = [batch, m, n, k].map(sizeOf) as [
    number,
    number,
    number,
    number,
  ];
  const tiles = batches * Math.ceil(rows / TILE) * Math.ceil(columns / TILE);
  const work = batches * rows * columns * terms;
  if (tiles >= ENOUGH_TILES || terms < LONG || work < LEAST_SPLIT) return null;
  const most = Math.min(ENOUGH_TILES / tiles, terms / LEAST_TERMS);
  let best = { axis: 0, pieces: 1 };
  k.forEach((size, axis) => {
    for (let pieces = best.pieces + 1; pieces <= Math.min(most, size); pieces++) {
      if (size % pieces === 0) best = { axis, pieces };
    }
  });
  return best.pieces > 1 ? best : null;
}

/** Number of pieces to cut a sum of `terms` into, so that enough threads have work. */
function piecesOf(outputs: number, terms: number): number {
  if (terms <= LONG || outputs >= BUSY) return 1;
  const wanted = Math.min(Math.sqrt(terms), (4 * BUSY) / Math.max(1, outputs));
  return 2 ** Math.ceil(Math.log2(Math.max(2, wanted)));
}

function longest(sizes: readonly number[], from: number): number {
  let best = from;
  for (let i = from; i < sizes.length; i++) if (sizes[i]! >= sizes[best]!) best = i;
  return best;
}

/** Whether a load's addresses are closer along a reduced axis than along the last output axis. */
function stepsFaster({ expressions, outputRank }: LoopKernel, axis: number): boolean {
  return expressions.some((e) => {
    const strides = loadIn(e)?.index.strides;
    if (!strides?.[axis]) return false;
    const outer = strides[outputRank - 1] ?? 0;
    return outer === 0 || Math.abs(strides[axis]) < Math.abs(outer);
  });
}
