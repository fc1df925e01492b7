/**
 * A plan as the GPU can run it: no kernel reads more buffers than a shader may bind, long reductions
 * over few elements are shared among threads, sorts are passes of a merge sort.
 * @module
 */

import type { DType } from "../../kernels/dtype.js";
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
import type { Applied, GpuKernel, GpuPlan, GpuStep, MergePass, PointKernel } from "./plan.js";
import {
  dependsOnAxes,
  moveAxis,
  operandsOf,
  overOneAxis,
  product,
  productAsLoop,
  rootsOf,
  splitAxis,
  stridesOf,
  trim,
  withAxes,
  withLoadedAccumulator,
} from "./transform.js";

/** Limits the rewriting keeps. */
export interface Limits {
  /** Buffers a kernel may read. */
  readonly inputs: number;
  /** Whether products stay as they are; else they become reductions. */
  readonly products: boolean;
}

/** Terms one thread adds up before several threads share the work. */
const LONG = 512;
/** Threads that keep a GPU busy. */
const BUSY = 1 << 15;

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
    else if (kernel.kind === "matmul") this.product(kernel, step);
    else if (kernel.kind === "scatter") this.scatter(...this.fit(...trim(kernel, step)));
    else this.loop(...trim(kernel, step));
  }

  private temporary(dtype: DType, size: number): number {
    return this.buffers.push({ dtype, size, role: "temporary" }) - 1;
  }

  private push(kernel: GpuKernel, step: Applied): void {
    this.steps.push({ kernel, ...step });
  }

  /** Runs of 1, 2, 4, … elements are merged until a row is one run. */
  private sort({ dtype, rows, length }: SortKernel, { buffers, operations }: Applied): void {
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
    const { epilogue } = kernel;
    if (this.limits.products && step.buffers.length - 1 <= this.limits.inputs) {
      this.push(kernel, step);
      return;
    }
    if (epilogue === null) {
      this.add(productAsLoop(kernel), step);
      return;
    }
    const size = epilogue.axes.reduce((a, b) => a * b, 1);
    const product = this.temporary(kernel.dtype, size);
    const plain = { ...kernel, epilogue: null };
    this.add(plain, { ...step, buffers: [product, ...step.buffers.slice(1)] });
    const after = withLoadedAccumulator(epilogue, step.buffers.length, kernel.dtype);
    this.add(after, { ...step, buffers: [...step.buffers, product] });
  }

  private loop(kernel: LoopKernel, step: Applied): void {
    const { axes, outputRank, reduce, epilogue } = kernel;
    if (reduce !== null) {
      if (epilogue !== null && step.buffers.length - 1 > this.limits.inputs) {
        this.separateEpilogue(kernel, step);
        return;
      }
      const outputs = product(axes.slice(0, outputRank));
      const pieces = piecesOf(outputs, product(axes.slice(outputRank)));
      if (pieces > 1) {
        this.inPieces(kernel, step, pieces);
        return;
      }
    }
    this.push(...this.fit(kernel, step));
  }

  /** A reduction followed by its epilogue as a kernel of its own. */
  private separateEpilogue(kernel: LoopKernel, step: Applied): void {
    const { axes, outputRank, expressions, body, epilogue } = kernel;
    const { dtype } = expressions[body]!;
    const outer = axes.slice(0, outputRank);
    const reduced = this.temporary(dtype, product(outer));
    const plain = { ...kernel, dtype, epilogue: null };
    this.add(plain, { ...step, buffers: [reduced, ...step.buffers.slice(1)] });
    const after = withAxes({ ...kernel, axes: outer }, axes.length);
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
   * A long reduction as one of pieces, then one over the pieces. Neighbouring threads read
   * neighbouring elements: the pieces interleave.
   */
  private inPieces(kernel: LoopKernel, step: Applied, wanted: number): void {
    const { axes, outputRank, expressions, body } = kernel;
    const { dtype } = expressions[body]!;
    const outer = axes.slice(0, outputRank);
    const axis = longest(axes, outputRank);
    const split = splitAxis(kernel, axis, wanted);
    const from = split.axes.length - 1;
    const pieces = split.axes[from]!;
    const partial = this.temporary(dtype, product(outer) * pieces);
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
      : [...stridesOf(outer), product(outer)];
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
    const { axes, size, target } = kernel;
    const searched = axes.map((extent, axis) => (target.strides[axis] ? 1 : extent));
    const pieces = piecesOf(size, product(searched));
    if (pieces === 1) {
      this.push(kernel, step);
      return;
    }
    const axis = longest(searched, 0);
    const split = splitAxis(kernel, axis, pieces);
    const count = split.axes[split.axes.length - 1]!;
    const strides = [...split.target.strides];
    strides[split.axes.length - 1] = size;
    const partial = this.temporary(kernel.dtype, size * count);
    this.push(
      { ...split, size: size * count, target: { offset: target.offset, strides } },
      { ...step, buffers: [partial, ...step.buffers.slice(1)] },
    );
    const sum: LoopKernel = {
      kind: "loop",
      dtype: kernel.dtype,
      axes: [size, count],
      outputRank: 1,
      lookups: [],
      expressions: [
        {
          kind: "load",
          dtype: kernel.dtype,
          buffer: 1,
          index: { offset: 0, strides: [1, size] },
          conditions: [],
        },
      ],
      reduce: "sum",
      body: 0,
      epilogue: null,
    };
    this.add(sum, { ...step, buffers: [step.buffers[0]!, partial], constants: [] });
  }

  /**
   * The kernel with at most as many buffers as may be bound: expressions that read more are
   * preceded by kernels that store a part of them.
   */
  private fit<K extends PointKernel>(kernel: K, step: Applied): [K, Applied] {
    const { inputs } = this.limits;
    if (step.buffers.length - 1 <= inputs) return [kernel, step];
    const buffers = [...step.buffers];
    const expressions = [...kernel.expressions];
    const fitted = { ...kernel, expressions };
    /** Buffers behind each expression. */
    const read: ReadonlySet<number>[] = [];
    const readBy = (numbers: readonly number[]): Set<number> =>
      new Set(numbers.flatMap((number) => [...read[number]!]));
    const store = (number: number): void => {
      const { dtype } = expressions[number]!;
      const axes = this.axesOf(fitted, number);
      const temporary = this.temporary(dtype, product(axes));
      const part: LoopKernel = {
        kind: "loop",
        dtype,
        axes,
        outputRank: axes.length,
        lookups: kernel.lookups,
        expressions,
        reduce: null,
        body: number,
        epilogue: null,
      };
      this.push(
        ...trim(withAxes(part, kernel.axes.length), {
          ...step,
          buffers: [temporary, ...buffers.slice(1)],
        }),
      );
      const strides = kernel.axes.map((_, axis) => stridesOf(axes)[axis] ?? 0);
      expressions[number] = {
        kind: "load",
        dtype,
        buffer: buffers.push(temporary) - 1,
        index: { offset: 0, strides },
        conditions: [],
      };
      read[number] = new Set([buffers.length - 1]);
    };
    const storeLargest = (numbers: readonly number[]): void =>
      store(numbers.reduce((a, b) => (read[a]!.size >= read[b]!.size ? a : b)));
    for (const [number, e] of kernel.expressions.entries()) {
      const operands = operandsOf(e, kernel);
      const own = e.kind === "load" ? [e.buffer] : [];
      while (readBy(operands).size + own.length > inputs) storeLargest(operands);
      read[number] = new Set([...own, ...readBy(operands)]);
    }
    const roots = rootsOf(fitted);
    while (readBy(roots).size > inputs) storeLargest(roots);
    return trim(fitted, { ...step, buffers });
  }

  /** The axes a stored expression needs: a loop kernel's output axes do where nothing reduced matters. */
  private axesOf(kernel: PointKernel, number: number): readonly number[] {
    if (kernel.kind === "scatter" || dependsOnAxes(kernel, number, kernel.outputRank)) {
      return kernel.axes;
    }
    return kernel.axes.slice(0, kernel.outputRank);
  }
}

/** Pieces to cut a sum of `terms` into so that enough threads have something to do. */
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

/** Whether loads step through memory faster along a reduced axis than along the last output axis. */
function stepsFaster({ expressions, outputRank }: LoopKernel, axis: number): boolean {
  for (const e of expressions) {
    if (e.kind !== "load" || !e.index.strides[axis]) continue;
    const outer = e.index.strides[outputRank - 1] ?? 0;
    if (outer === 0 || Math.abs(e.index.strides[axis]!) < Math.abs(outer)) return true;
  }
  return false;
}
