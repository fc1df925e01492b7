/**
 * Loop and scatter kernels as WebAssembly functions `(buffers, constants, begin, end)`.
 *
 * Vectors run along one axis. Elements that remain at its end are computed one at a time, by the same
 * instructions on splatted values, so that every element is computed alike.
 * @module
 */

import { bytesPerElement, type DType } from "../../../kernels/dtype.js";
import type { LoopKernel, ScatterKernel } from "../../../kernels/kernel.js";
import { range } from "../../../kernels/layout.js";
import { type Code, control, FunctionBuilder, i32, type Local, v128 } from "../assembler.js";
import { emitOperation, isElementary } from "../scalars.js";
import {
  type Ahead,
  askForLines,
  askForRows,
  type LinesAhead,
  linesAhead,
  type RowsAhead,
  rowsAhead,
} from "./ahead.js";
import { Nest } from "./nest.js";
import { combine, createPartial, createTotal } from "./totals.js";
import { ACCUMULATED, Analysis, type Traversal } from "./traversal.js";
import { conjunction, outputIndex, Values } from "./values.js";

/** Sums of more iterations than this are summed in blocks. */
const SHORT_SUM = 128;
/** Vectors computed together, for which 16 registers suffice. */
const UNROLLED = 4;
/** Kernels of more expressions compute one vector at a time. */
const UNROLLED_EXPRESSIONS = 16;

/**
 * How many iterations a running sum takes before it is added to a total: a power of two near the square
 * root of their number, so that neither the running sum nor the total has many rounding errors.
 */
function sumBlock(iterations: number): number {
  return 2 ** Math.round(Math.log2(iterations) / 2);
}

/** What a kernel's function is for. */
export interface LoopOptions {
  /** How many leading output axes form the range. Default: the traversal's rows do. */
  readonly rowAxes?: number | undefined;
  /** What it asks the memory for where it is part of a chain. */
  readonly ahead?: Ahead | undefined;
}

/** Generates the function of a kernel. */
export function buildLoop(
  kernel: LoopKernel | ScatterKernel,
  natural: Traversal,
  { rowAxes, ahead }: LoopOptions = {},
): FunctionBuilder {
  // An epilogue's rows are its range, so none of their axes can be the vector axis.
  const traversal =
    rowAxes === undefined || natural.vector >= rowAxes
      ? natural
      : { vector: -1, wide: false, rows: range(kernel.axes.length) };
  return new LoopGenerator(kernel, traversal, rowAxes, ahead).build();
}

class LoopGenerator {
  private readonly f = new FunctionBuilder(["i32", "i32", "i32", "i32"]);
  private readonly analysis: Analysis;
  private readonly nest: Nest;
  private readonly values: Values;
  private readonly aheadInLines: readonly LinesAhead[] = [];
  private readonly aheadInRows: readonly RowsAhead[] = [];

  constructor(
    private readonly kernel: LoopKernel | ScatterKernel,
    private readonly traversal: Traversal,
    private readonly rowAxes: number | undefined,
    ahead: Ahead | undefined,
  ) {
    this.analysis = new Analysis(kernel);
    this.nest = new Nest(this.f, kernel.axes, traversal, this.analysis.lanes);
    this.values = new Values(this.f, kernel, this.analysis, this.nest);
    // The epilogue of a product runs for a few rows at a time, between the tiles.
    if (kernel.kind === "scatter" || rowAxes !== undefined) return;
    this.aheadInLines = linesAhead(kernel, traversal, this.analysis, ahead);
    this.aheadInRows = rowsAhead(kernel, traversal, this.analysis, ahead);
  }

  build(): FunctionBuilder {
    const { f, kernel, nest } = this;
    const { rows, vector } = this.traversal;
    const [, , begin, end] = f.parameters;
    nest.open(0);
    if (kernel.kind === "scatter") {
      const bytes = kernel.size * bytesPerElement(kernel.dtype);
      nest.append(
        this.scatterStart(kernel, i32.const(bytes)),
        begin.set(i32.const(0)),
        end.set(i32.const(this.product(rows))),
      );
    }
    if (rows.length > 0) {
      // With given row axes, an item of the range is a whole block of rows of the traversal.
      const perItem =
        this.rowAxes === undefined ? 1 : this.product(rows.filter((axis) => axis >= this.rowAxes!));
      nest.rowLoop(begin, end, perItem, () => this.point(null));
    } else if (
      kernel.kind === "loop" &&
      this.rowAxes === undefined &&
      vector >= 0 &&
      vector < kernel.outputRank
    ) {
      this.point([begin, end]);
    } else this.point(null);
    f.body = nest.close();
    return f;
  }

  private product(axes: readonly number[]): number {
    return axes.reduce((count, axis) => count * this.kernel.axes[axis]!, 1);
  }

  /** Everything for one row: the whole vector axis, or its part in `range`. */
  private point(range: readonly [Local, Local] | null): void {
    const { kernel, nest } = this;
    const { vector } = this.traversal;
    if (kernel.kind === "scatter") {
      nest.vectorLoop(1, range, () => this.scatterStore(kernel));
    } else if (kernel.reduce === null) {
      this.mapElements(kernel, range);
    } else if (vector >= kernel.outputRank) {
      this.reduceAlongVector(kernel);
    } else {
      this.reduceAcrossVector(kernel, range);
    }
  }

  /**
   * Computes elements without a reduction: several vectors, then stores them all. No load waits for a
   * store in between, so the processor overlaps the vectors' chains of operations.
   */
  private mapElements(kernel: LoopKernel, range: readonly [Local, Local] | null): void {
    const { nest, values } = this;
    const rare = values.hasShortForms ? this.f.local("v128") : null;
    nest.vectorLoop(this.unrollFactor, range, () => {
      this.askForLines();
      if (rare) nest.append(rare.set(v128.constI32(0)));
      values.rare = rare;
      this.computeFunctions(kernel);
      const results = nest.each(() => values.result(kernel, null));
      values.rare = null;
      this.storeAll(kernel, results);
      if (rare) nest.append(control.if(v128.anyTrue(rare.get), this.again(kernel)));
    });
  }

  /**
   * Computes the results again by forms that hold for all numbers, and stores them. Loaded values are not
   * loaded again, since the results may have been stored in their place.
   */
  private again(kernel: LoopKernel): Code {
    const { nest, values } = this;
    nest.isAgain = true;
    const code = nest.block(() => {
      this.storeAll(
        kernel,
        nest.each(() => values.result(kernel, null)),
      );
    });
    nest.isAgain = false;
    return code;
  }

  /**
   * Computes the elementary functions of elements, one of all vectors before the next of any: a chain of two is longer
   * than the processor looks ahead.
   */
  private computeFunctions({ expressions, reduce }: LoopKernel): void {
    const { analysis, nest, values } = this;
    expressions.forEach((e, number) => {
      const isOfSum = reduce !== null && (analysis.dependence[number]! & ACCUMULATED) !== 0;
      if (isElementary(e) && !isOfSum) nest.each(() => values.value(number));
    });
  }

  /** Asks for lines that later iterations load. */
  private askForLines(): void {
    const { f, nest, values } = this;
    if (nest.width === 1) return;
    for (const load of this.aheadInLines) {
      const address = values.address(load.buffer, load.index, load.storage);
      const step = nest.step * bytesPerElement(load.storage);
      const start = values.bufferAddress(load.buffer).get;
      nest.append(askForLines(address, step, start, load, f.local("i32")));
    }
  }

  /** Asks for rows that later iterations load. */
  private askForRows(): void {
    const { f, kernel, nest, values } = this;
    if (nest.width === 1) return;
    const row = nest.index(kernel.axes.length - 1);
    for (const load of this.aheadInRows) {
      const address = values.address(load.buffer, load.index, load.storage);
      nest.append(askForRows(address, row.get, load, f.local("i32")));
    }
  }

  /** How many vectors are computed together. */
  private get unrollFactor(): number {
    return this.kernel.expressions.length > UNROLLED_EXPRESSIONS ? 1 : UNROLLED;
  }

  // Reductions

  /** Reduces rows: all lanes of a vector belong to one sum. */
  private reduceAlongVector(kernel: LoopKernel): void {
    const { f, analysis, nest, values } = this;
    const { axes, outputRank, body } = kernel;
    const dtype = kernel.expressions[body]!.dtype;
    const reduction = { reduce: kernel.reduce!, dtype };
    const { vector } = this.traversal;
    const unroll = this.unrollFactor;
    const sum = createPartial(f, reduction);
    const single = createTotal(f, reduction);
    const total = createTotal(f, reduction);
    nest.append(sum.clear(), single.clear(), total.clear());
    const flush = (): void => nest.append(total.add(sum.value), sum.clear());
    const outer = axes.map((_, d) => d).filter((d) => d >= outputRank && d !== vector);
    const isEmpty = axes.slice(outputRank).includes(0);
    const iterations = axes[vector]! / (analysis.lanes * unroll);
    const accumulate = (): void => {
      if (nest.width === 1) {
        nest.append(single.add(values.value(body).get));
        return;
      }
      this.askForLines();
      this.computeFunctions(kernel);
      nest.append(sum.add(...nest.each(() => values.value(body))));
      if (iterations > SHORT_SUM && kernel.reduce === "sum") {
        const vectors = i32.divU(nest.index(vector).get, i32.const(analysis.lanes));
        const mask = i32.const(sumBlock(iterations) * unroll - 1);
        nest.append(control.if(i32.eqz(i32.and(vectors, mask)), nest.block(flush)));
      }
    };
    const loops = (rest: readonly number[]): void => {
      const [axis, ...others] = rest;
      if (axis !== undefined) {
        nest.axisLoop(axis, () => loops(others));
        return;
      }
      nest.vectorLoop(unroll, null, accumulate);
      if (outer.length > 0) flush();
    };
    if (!isEmpty) loops(outer);
    flush();
    // Add up the lanes: every lane ends with the result of all.
    const { value } = total;
    const swap = (bytes: readonly number[]): void => {
      const other = f.local("v128");
      nest.append(
        other.set(v128.shuffle(bytes, value.get, value.get)),
        value.set(combine(f, reduction, value.get, other.get)),
      );
    };
    if (analysis.fillsVector(dtype)) swap(SWAP_HALVES);
    if (bytesPerElement(dtype) === 4) swap(SWAP_QUARTERS);
    nest.append(value.set(combine(f, reduction, value.get, single.value.get)));
    nest.width = 1;
    nest.append(nest.block(() => this.store(kernel, values.result(kernel, value))));
  }

  /** Reduces columns: each lane has a sum of its own. */
  private reduceAcrossVector(kernel: LoopKernel, range: readonly [Local, Local] | null): void {
    const { f, nest, values } = this;
    const { axes, outputRank, body } = kernel;
    const reduction = { reduce: kernel.reduce!, dtype: kernel.expressions[body]!.dtype };
    const reduced = axes.map((_, d) => d).filter((d) => d >= outputRank);
    const isEmpty = reduced.some((d) => axes[d] === 0);
    const innermost = reduced[reduced.length - 1];
    const isLong = innermost !== undefined && axes[innermost]! > SHORT_SUM;
    const columns = Array.from({ length: this.unrollFactor }, () => ({
      sum: createPartial(f, reduction),
      total: createTotal(f, reduction),
    }));
    const generate = (): void => {
      const active = nest.each((u) => columns[u]!);
      for (const { sum, total } of active) nest.append(sum.clear(), total.clear());
      const flush = (): void => {
        for (const { sum, total } of active) nest.append(total.add(sum.value), sum.clear());
      };
      const accumulate = (): void => {
        this.askForRows();
        nest.each((u) => nest.append(active[u]!.sum.add(values.value(body))));
        if (kernel.reduce === "sum" && isLong) {
          const mask = i32.const(sumBlock(axes[innermost]!) - 1);
          const due = i32.eqz(i32.and(nest.index(innermost).get, mask));
          nest.append(control.if(due, nest.block(flush)));
        }
      };
      const loops = (rest: readonly number[]): void => {
        const [axis, ...others] = rest;
        if (axis === undefined) {
          accumulate();
          return;
        }
        nest.axisLoop(axis, () => loops(others));
        if (others.length === 0 && reduced.length > 1) flush();
      };
      if (!isEmpty) loops(reduced);
      flush();
      this.storeAll(
        kernel,
        nest.each((u) => values.result(kernel, active[u]!.total.value)),
      );
    };
    nest.vectorLoop(this.unrollFactor, range, generate);
  }

  // Stores

  private store(kernel: LoopKernel, value: Local): void {
    const address = this.values.address(0, outputIndex(kernel), kernel.dtype);
    this.nest.append(this.storeCode(kernel.dtype, address, value));
  }

  /** Stores a result for each unrolled vector. */
  private storeAll(kernel: LoopKernel, results: readonly Local[]): void {
    this.nest.each((u) => this.store(kernel, results[u]!));
  }

  private storeCode(dtype: DType, address: Code, value: Local): Code {
    const stored = dtype === "bool" ? v128.and(value.get, v128.constI32(1)) : value.get;
    if (this.nest.width === 1) return STORE_LANE[bytesPerElement(dtype)](address, stored, 0);
    if (!this.analysis.fillsVector(dtype)) return v128.store64Lane(address, stored, 0);
    return v128.store(address, stored);
  }

  /** Zeros in the output, or the elements some of which are replaced, unless they are there. */
  private scatterStart({ replaces }: ScatterKernel, bytes: Code): Code {
    const output = this.values.bufferAddress(0).get;
    if (!replaces) return control.memoryFill(output, i32.const(0), bytes);
    const base = this.values.bufferAddress(1).get;
    return control.if(i32.sub(output, base), control.memoryCopy(output, base, bytes));
  }

  private scatterStore(kernel: ScatterKernel): void {
    const { f, nest, values } = this;
    const { dtype } = kernel;
    const address = f.local("i32");
    const sum = f.local("v128");
    const value = values.value(kernel.body);
    nest.append(address.set(values.address(0, kernel.target, dtype)));
    const valid = kernel.required.map((lookup) => values.lookup(lookup).valid.get);
    nest.open(0);
    if (kernel.replaces) nest.append(this.storeCode(dtype, address.get, value));
    else {
      const current = values.loadCode(dtype, address.get, nest.width > 1 ? 1 : 0);
      nest.append(
        sum.set(current),
        sum.set(emitOperation(f, "add", dtype, [sum.get, value.get], dtype)),
        this.storeCode(dtype, address.get, sum),
      );
    }
    const code = nest.close();
    nest.append(valid.length === 0 ? code : control.if(conjunction(valid), code));
  }
}

/** Stores one element, by its bytes. */
const STORE_LANE = { 4: v128.store32Lane, 8: v128.store64Lane } as const;

const SWAP_HALVES = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7];
const SWAP_QUARTERS = [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11];
