/**
 * Loop and scatter kernels as WebAssembly functions `(buffers, constants, begin, end)`.
 *
 * One axis is run through with vectors (what remains at its end, one element at a time by the same
 * instructions on splatted values, so that every element is computed alike). Each expression is
 * computed in the outermost loop in which it varies.
 * @module
 */

import { bytesPerElement, type DType } from "../../../kernels/dtype.js";
import { stridesOf } from "../../../kernels/indexing.js";
import type {
  Affine,
  Condition,
  Expression,
  LoopKernel,
  ScatterKernel,
} from "../../../kernels/kernel.js";
import {
  type Code,
  control,
  FunctionBuilder,
  f32,
  f32x4,
  f64,
  f64x2,
  i32,
  i32x4,
  type Local,
  v128,
} from "../assembler.js";
import { emitLogOfNormal } from "../math.js";
import { emitOperation, splatConstant, widenMask } from "../scalars.js";
import { ACCUMULATED, Analysis, type Schedule, scheduleOf } from "./schedule.js";
import { combine, createPartial, createTotal } from "./totals.js";

/** Iterations up to which a sum runs on; longer ones are summed in blocks. */
const SHORT_SUM = 128;
/** Vectors computed together. */
const UNROLLED = 4;
/** Expressions up to which they are. */
const UNROLLED_EXPRESSIONS = 16;

/**
 * Iterations after which a running sum is added to a total: about the square root of their number, so
 * that neither adds up many rounding errors. A power of two.
 */
function sumBlock(iterations: number): number {
  return 2 ** Math.round(Math.log2(iterations) / 2);
}

/** A loop being generated: code that runs at the start of each iteration, and what it computed. */
interface Scope {
  /** Bits of the axes whose indices are set when the scope's code runs. */
  readonly axes: number;
  readonly code: Code[];
  readonly known: Map<string, Local>;
}

/** Generates the function of a kernel. `rowAxes` leading output axes form the range, when given; otherwise the schedule's rows do. */
export function buildLoop(kernel: LoopKernel | ScatterKernel, rowAxes?: number): FunctionBuilder {
  return new LoopGenerator(kernel, rowAxes).build();
}

class LoopGenerator {
  private readonly f = new FunctionBuilder(["i32", "i32", "i32", "i32"]);
  private readonly analysis: Analysis;
  private readonly schedule: Schedule;
  private readonly lanes: 2 | 4;
  private readonly scopes: Scope[] = [];
  /** Index of each axis; for the vector axis, of the first element of each unrolled vector. */
  private readonly indices: Local[];
  private vectorIndices: Local[] = [];
  /** Which unrolled vector is being generated. */
  private unrolled = 0;
  /** Elements at a time along the vector axis. */
  private width = 1;
  private accumulator: Local | null = null;
  /** Set where forms may be used that hold for most numbers only: they note there when one does not. */
  private rare: Local | null = null;
  /** Expressions that are or contain a logarithm for which there is a short form. */
  private readonly afterLog = new Set<number>();
  /** Whether those are computed a second time. */
  private isAgain = false;

  constructor(
    private readonly kernel: LoopKernel | ScatterKernel,
    private readonly rowAxes: number | undefined,
  ) {
    this.analysis = new Analysis(kernel);
    this.lanes = this.analysis.lanes;
    const natural = scheduleOf(kernel);
    // An epilogue's rows are its range, so none of their axes can be the vector axis.
    this.schedule =
      rowAxes === undefined || natural.vector >= rowAxes
        ? natural
        : { vector: -1, wide: false, rows: kernel.axes.map((_, d) => d) };
    this.indices = kernel.axes.map(() => this.f.local("i32"));
    kernel.expressions.forEach((e, number) => {
      const inputs = e.kind === "map" ? e.inputs : e.kind === "guard" ? [e.inside] : [];
      const follows = this.hasShortForm(number) || inputs.some((input) => this.afterLog.has(input));
      if (follows) this.afterLog.add(number);
    });
    // Lookups are not computed again.
    if (kernel.lookups.some(({ index }) => this.afterLog.has(index))) this.afterLog.clear();
  }

  build(): FunctionBuilder {
    const { f, kernel } = this;
    const [, , begin, end] = f.parameters as [Local, Local, Local, Local];
    const entry = this.open(0);
    if (kernel.kind === "scatter") {
      const bytes = kernel.size * bytesPerElement(kernel.dtype);
      entry.code.push(control.memoryFill(this.bufferAddress(0), i32.const(0), i32.const(bytes)));
      entry.code.push(
        begin.set(i32.const(0)),
        end.set(i32.const(this.product(this.schedule.rows))),
      );
    }
    const { rows, vector } = this.schedule;
    if (rows.length > 0) this.rowLoop(begin, end);
    else if (
      this.rowAxes === undefined &&
      vector >= 0 &&
      (kernel.kind === "scatter" || vector < kernel.outputRank)
    ) {
      this.point(kernel.kind === "scatter" ? null : [begin, end]);
    } else this.point(null);
    f.body = this.close();
    return f;
  }

  private product(axes: readonly number[]): number {
    return axes.reduce((count, axis) => count * this.kernel.axes[axis]!, 1);
  }

  // Loops

  private open(axes: number): Scope {
    const outer = this.scopes[this.scopes.length - 1];
    const scope: Scope = { axes: (outer?.axes ?? 0) | axes, code: [], known: new Map() };
    this.scopes.push(scope);
    return scope;
  }

  private close(): Code {
    return this.scopes.pop()!.code;
  }

  private get scope(): Scope {
    return this.scopes[this.scopes.length - 1]!;
  }

  private append(...code: Code[]): void {
    this.scope.code.push(...code);
  }

  /** Runs through the flattened row axes from `begin` to `end`. */
  private rowLoop(begin: Local, end: Local): void {
    const { f, kernel } = this;
    const { rows } = this.schedule;
    const item = f.local("i32");
    const last = f.local("i32");
    const rest = f.local("i32");
    // With given row axes, an item of the range is a whole block of rows of the schedule.
    const perItem =
      this.rowAxes === undefined ? 1 : this.product(rows.filter((axis) => axis >= this.rowAxes!));
    const scaled = (range: Local): Code =>
      perItem === 1 ? range.get : i32.mul(range.get, i32.const(perItem));
    this.append(item.set(scaled(begin)), last.set(scaled(end)), rest.set(item.get));
    for (const axis of [...rows].reverse()) {
      const size = i32.const(kernel.axes[axis]!);
      if (axis === rows[0]) this.append(this.indices[axis]!.set(rest.get));
      else {
        this.append(
          this.indices[axis]!.set(i32.remU(rest.get, size)),
          rest.set(i32.divU(rest.get, size)),
        );
      }
    }
    this.open(rows.reduce((bits, axis) => bits | (1 << axis), 0));
    this.point(null);
    // Advance the indices like an odometer.
    let advance: Code = [];
    for (const axis of rows) {
      const index = this.indices[axis]!;
      const next = index.set(i32.add(index.get, i32.const(1)));
      advance =
        axis === rows[0]
          ? next
          : [
              next,
              control.if(i32.eq(index.get, i32.const(kernel.axes[axis]!)), [
                index.set(i32.const(0)),
                advance,
              ]),
            ];
    }
    const body = this.close();
    const step = item.tee(i32.add(item.get, i32.const(1)));
    this.append(
      control.if(
        i32.ltU(item.get, last.get),
        control.loop([body, advance, control.branchIf(0, i32.ltU(step, last.get))]),
      ),
    );
  }

  /** Everything for one row: the whole vector axis, or its part in `range`. */
  private point(range: readonly [Local, Local] | null): void {
    const { kernel } = this;
    const { vector } = this.schedule;
    if (kernel.kind === "scatter") {
      this.vectorLoop(1, range, () => this.scatterStore(kernel));
    } else if (kernel.reduce === null) {
      this.mapElements(kernel, range);
    } else if (vector >= kernel.outputRank) {
      this.reduceAlongVector(kernel);
    } else {
      this.reduceAcrossVector(kernel, range);
    }
  }

  /**
   * Elements are computed without a reduction: several vectors, then all of them are stored. No load
   * waits for a store in between, so the processor overlaps their chains of operations.
   */
  private mapElements(kernel: LoopKernel, range: readonly [Local, Local] | null): void {
    const rare = this.afterLog.size > 0 ? this.f.local("v128") : null;
    this.vectorLoop(this.unrollFactor, range, () => {
      if (rare) this.append(rare.set(v128.constI32(0)));
      this.rare = rare;
      const results = this.each(() => this.result(kernel, null));
      this.rare = null;
      this.storeAll(kernel, results);
      if (rare) this.append(control.if(v128.anyTrue(rare.get), this.again(kernel)));
    });
  }

  /** Whether an expression is a logarithm of what differs from element to element. */
  private hasShortForm(number: number): boolean {
    const e = this.kernel.expressions[number]!;
    if (e.kind !== "map" || e.operation !== "log") return false;
    // Beside float64 lanes, float32 has lanes that are always 0.
    return (
      this.isOwn(this.analysis.dependence[number]!) && (e.dtype === "float64" || this.lanes === 4)
    );
  }

  /**
   * Stores the results anew, computed by forms that hold for all numbers. What was loaded is used again:
   * the results may have been stored in its place.
   */
  private again(kernel: LoopKernel): Code {
    this.isAgain = true;
    const code = this.block(() => {
      this.storeAll(
        kernel,
        this.each(() => this.result(kernel, null)),
      );
    });
    this.isAgain = false;
    return code;
  }

  /** A loop over a whole axis with its own scope. */
  private axisLoop(axis: number, body: () => void): void {
    const size = this.kernel.axes[axis]!;
    const index = this.indices[axis]!;
    this.append(index.set(i32.const(0)));
    this.open(1 << axis);
    body();
    const code = this.close();
    const step = index.tee(i32.add(index.get, i32.const(1)));
    this.append(control.loop([code, control.branchIf(0, i32.ltU(step, i32.const(size)))]));
  }

  private get unrollFactor(): number {
    return this.kernel.expressions.length <= UNROLLED_EXPRESSIONS ? UNROLLED : 1;
  }

  /** Generates something for each of the vectors that are computed together. */
  private each<T>(generate: (copy: number) => T): T[] {
    const copies = this.schedule.vector >= 0 ? this.vectorIndices.length : 1;
    const generated: T[] = [];
    for (this.unrolled = 0; this.unrolled < copies; this.unrolled++)
      generated.push(generate(this.unrolled));
    this.unrolled = 0;
    return generated;
  }

  /**
   * Runs along the vector axis: `unroll` vectors at a time, then one, then single elements. The body
   * is generated for each of these; its vectors are those of {@link each}.
   */
  private vectorLoop(
    unroll: number,
    range: readonly [Local, Local] | null,
    body: () => void,
  ): void {
    const { f, kernel, lanes } = this;
    const { vector, wide } = this.schedule;
    if (vector < 0) {
      this.open(0);
      this.width = 1;
      body();
      const code = this.close();
      this.append(code);
      return;
    }
    const size = kernel.axes[vector]!;
    if (size === 0) return;
    const start = this.indices[vector]!;
    const end = range ? range[1] : null;
    this.append(start.set(range ? range[0].get : i32.const(0)));
    const widths = wide ? (unroll > 1 ? [unroll * lanes, lanes, 1] : [lanes, 1]) : [1];
    let done = 0;
    for (const width of widths) {
      const possible = size - done;
      if (possible < width) continue;
      const whole = Math.floor(possible / width) * width;
      const limit = done + whole;
      if (!end) done = limit;
      const copies = Math.max(1, width / lanes);
      const bound: Code = end ? end.get : i32.const(limit);
      const fits: Code = end
        ? i32.leU(i32.add(start.get, i32.const(width)), bound)
        : i32.ltU(start.get, bound);
      this.vectorIndices = Array.from({ length: copies }, (_, u) =>
        u === 0 ? start : f.local("i32"),
      );
      this.open(1 << vector);
      this.width = width === 1 ? 1 : lanes;
      this.vectorIndices.forEach((index, u) => {
        if (u > 0) this.append(index.set(i32.add(start.get, i32.const(u * lanes))));
      });
      body();
      const code = this.close();
      const next = start.set(i32.add(start.get, i32.const(width)));
      this.append(control.if(fits, control.loop([code, next, control.branchIf(0, fits)])));
    }
    this.width = 1;
  }

  // Reductions

  /** Rows are reduced: each vector holds elements that end up in one sum. */
  private reduceAlongVector(kernel: LoopKernel): void {
    const { f } = this;
    const { axes, outputRank, body } = kernel;
    const dtype = kernel.expressions[body]!.dtype;
    const reduction = { reduce: kernel.reduce!, dtype };
    const { vector } = this.schedule;
    const unroll = this.unrollFactor;
    const sum = createPartial(f, reduction);
    const single = createTotal(f, reduction);
    const total = createTotal(f, reduction);
    this.append(sum.clear(), single.clear(), total.clear());
    const flush = (): void => this.append(total.add(sum.value), sum.clear());
    const outer = axes.map((_, d) => d).filter((d) => d >= outputRank && d !== vector);
    const isEmpty = axes.slice(outputRank).includes(0);
    const iterations = axes[vector]! / (this.lanes * unroll);
    const accumulate = (): void => {
      if (this.width === 1) {
        this.append(single.add(this.value(body).get));
        return;
      }
      this.append(sum.add(...this.each(() => this.value(body))));
      if (iterations > SHORT_SUM && kernel.reduce === "sum") {
        const vectors = i32.divU(this.vectorIndices[0]!.get, i32.const(this.lanes));
        const mask = i32.const(sumBlock(iterations) * unroll - 1);
        this.append(control.if(i32.eqz(i32.and(vectors, mask)), this.block(flush)));
      }
    };
    const nest = (rest: readonly number[]): void => {
      const [axis, ...others] = rest;
      if (axis !== undefined) {
        this.axisLoop(axis, () => nest(others));
        return;
      }
      this.vectorLoop(unroll, null, accumulate);
      if (outer.length > 0) flush();
    };
    if (!isEmpty) nest(outer);
    flush();
    // Add up the lanes: every lane ends with the result of all.
    const { value } = total;
    const swap = (bytes: readonly number[]): void => {
      const other = f.local("v128");
      this.append(
        other.set(v128.shuffle(bytes, value.get, value.get)),
        value.set(combine(f, reduction, value.get, other.get)),
      );
    };
    if (dtype === "float64" || this.lanes === 4) swap(SWAP_HALVES);
    if (dtype !== "float64") swap(SWAP_QUARTERS);
    this.append(value.set(combine(f, reduction, value.get, single.value.get)));
    this.width = 1;
    this.append(this.block(() => this.store(kernel, this.result(kernel, value))));
  }

  /** Code generated in a scope of its own. */
  private block(generate: () => void): Code {
    this.open(0);
    generate();
    return this.close();
  }

  /** Columns are reduced: each lane holds its own sum. */
  private reduceAcrossVector(kernel: LoopKernel, range: readonly [Local, Local] | null): void {
    const { f } = this;
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
      const active = this.each((u) => columns[u]!);
      for (const { sum, total } of active) this.append(sum.clear(), total.clear());
      const flush = (): void => {
        for (const { sum, total } of active) this.append(total.add(sum.value), sum.clear());
      };
      const accumulate = (): void => {
        this.each((u) => this.append(active[u]!.sum.add(this.value(body))));
        if (kernel.reduce === "sum" && isLong) {
          const mask = i32.const(sumBlock(axes[innermost]!) - 1);
          const due = i32.eqz(i32.and(this.indices[innermost]!.get, mask));
          this.append(control.if(due, this.block(flush)));
        }
      };
      const nest = (rest: readonly number[]): void => {
        const [axis, ...others] = rest;
        if (axis === undefined) {
          accumulate();
          return;
        }
        this.axisLoop(axis, () => nest(others));
        if (others.length === 0 && reduced.length > 1) flush();
      };
      if (!isEmpty) nest(reduced);
      flush();
      this.storeAll(
        kernel,
        this.each((u) => this.result(kernel, active[u]!.total.value)),
      );
    };
    this.vectorLoop(this.unrollFactor, range, generate);
  }

  // Values

  /** The kernel's result at the current elements. */
  private result(kernel: LoopKernel, reduced: Local | null): Local {
    if (reduced !== null && kernel.epilogue === null) return reduced;
    this.accumulator = reduced;
    const result = this.value(kernel.epilogue ?? kernel.body);
    this.accumulator = null;
    return result;
  }

  private outputIndex(kernel: LoopKernel): Affine {
    const { axes, outputRank, lookups } = kernel;
    const others = [...axes.slice(outputRank), ...lookups].map(() => 0);
    return { offset: 0, strides: [...stridesOf(axes.slice(0, outputRank)), ...others] };
  }

  private store(kernel: LoopKernel, value: Local): void {
    const address = this.address(0, this.outputIndex(kernel), kernel.dtype);
    this.append(this.storeCode(kernel.dtype, address, value));
  }

  /** Stores a result for each unrolled vector. */
  private storeAll(kernel: LoopKernel, results: readonly Local[]): void {
    this.each((u) => this.store(kernel, results[u]!));
  }

  private storeCode(dtype: DType, address: Code, value: Local): Code {
    const stored = dtype === "bool" ? v128.and(value.get, v128.constI32(1)) : value.get;
    if (this.width === 1) {
      return dtype === "float64"
        ? v128.store64Lane(address, stored, 0)
        : v128.store32Lane(address, stored, 0);
    }
    if (this.lanes === 2 && dtype !== "float64") return v128.store64Lane(address, stored, 0);
    return v128.store(address, stored);
  }

  private scatterStore(kernel: ScatterKernel): void {
    const { f } = this;
    const { dtype } = kernel;
    const address = f.local("i32");
    const sum = f.local("v128");
    const value = this.value(kernel.body);
    this.append(address.set(this.address(0, kernel.target, dtype)));
    const isWide = this.width > 1;
    const current = this.loadCode(dtype, address.get, isWide ? 1 : 0);
    const valid = kernel.required.map((lookup) => this.lookup(lookup).valid.get);
    this.open(0);
    this.append(
      sum.set(current),
      sum.set(emitOperation(f, "add", dtype, [sum.get, value.get], dtype)),
      this.storeCode(dtype, address.get, sum),
    );
    const code = this.close();
    this.append(valid.length === 0 ? code : control.if(conjunction(valid), code));
  }

  /** The outermost scope in which everything with the given dependence is known. */
  private scopeFor(dependence: number): Scope {
    // What is computed again belongs to the block that does so.
    if (dependence & ACCUMULATED || this.isAgain) return this.scope;
    const needed = this.scopes.find(({ axes }) => (dependence & ~axes) === 0);
    return needed ?? this.scope;
  }

  /** Computes once per scope. Values along the vector axis are told apart by the unrolled vector. */
  private once(key: string, type: "i32" | "v128", dependence: number, compute: () => Code): Local {
    const scope = this.scopeFor(dependence);
    const full = this.isOwn(dependence) ? `${key}/${this.unrolled}` : key;
    // Between scopes of one axis set (an inner block), what an outer one knows holds as well.
    for (const outer of this.scopes) {
      const known = outer.known.get(full);
      if (known) return known;
      if (outer === scope) break;
    }
    const local = this.f.local(type);
    const code = compute();
    scope.code.push(local.set(code));
    scope.known.set(full, local);
    return local;
  }

  /** The value of an expression at the current elements. */
  private value(number: number): Local {
    const e = this.kernel.expressions[number]!;
    const dependence =
      e.kind === "accumulator" && !this.accumulator
        ? this.outputDependence()
        : this.analysis.dependence[number]!;
    if (e.kind === "accumulator" && this.accumulator) return this.accumulator;
    const key = this.isAgain && this.afterLog.has(number) ? `again${number}` : `e${number}`;
    return this.once(key, "v128", dependence, () => this.expression(number, dependence));
  }

  private outputDependence(): number {
    return this.kernel.axes.reduce((bits, _, d) => bits | (1 << d), 0) | ACCUMULATED;
  }

  private expression(number: number, dependence: number): Code {
    const e = this.kernel.expressions[number]!;
    switch (e.kind) {
      case "constant":
        return this.constant(e.slot, e.dtype);
      case "index":
        return this.lanesOf(this.affine(e.index).get, e.index, dependence);
      case "load":
        return this.load(e, dependence);
      case "accumulator": {
        // The epilogue of a matrix product finds the product in the output.
        const kernel = this.kernel as LoopKernel;
        const index = this.outputIndex(kernel);
        return this.loadCode(e.dtype, this.address(0, index, e.dtype), this.vectorStride(index));
      }
      case "map": {
        const inputs = e.inputs.map((input) => this.value(input).get);
        if (this.rare && this.hasShortForm(number)) {
          const lanes = e.dtype === "float64" ? "f64" : "f32";
          return emitLogOfNormal(this.f, lanes, inputs[0]!, this.rare);
        }
        const from = this.kernel.expressions[e.inputs[e.operation === "where" ? 1 : 0]!]!.dtype;
        return emitOperation(this.f, e.operation, e.dtype, inputs, from);
      }
      case "guard": {
        const masks = [
          ...e.conditions.map((condition) => this.mask(condition)),
          ...e.lookups.map((lookup) =>
            i32x4.splat(i32.sub(i32.const(0), this.lookup(lookup).valid.get)),
          ),
        ];
        const mask = widenMask(
          masks.reduce((all, one) => v128.and(all, one)),
          e.dtype,
        );
        const inside = this.value(e.inside).get;
        // All bits of 0 are clear.
        if (e.otherwise !== "nan") return v128.and(inside, mask);
        return v128.bitselect(inside, splatConstant(Number.NaN, e.dtype), mask);
      }
    }
  }

  private constant(slot: number, dtype: DType): Code {
    const value = f64.load(this.f.parameters[1]!.get, 8 * slot);
    if (dtype === "float32") return f32x4.splat(f32.demoteF64(value));
    if (dtype === "float64") return f64x2.splat(value);
    if (dtype === "int32") return i32x4.splat(i32.truncSatF64S(value));
    return i32x4.splat(i32.sub(i32.const(0), f64.ne(value, f64.const(0))));
  }

  // Indices and addresses

  /** Whether each unrolled vector has its own. */
  private isOwn(dependence: number): boolean {
    return this.varies(dependence) || (dependence & ACCUMULATED) !== 0;
  }

  /** Whether something differs along the vector axis. */
  private varies(dependence: number): boolean {
    const { vector } = this.schedule;
    return vector >= 0 && (dependence & (1 << vector)) !== 0;
  }

  private isWide(dependence: number): boolean {
    return this.width > 1 && this.varies(dependence);
  }

  private vectorStride({ strides }: Affine): number {
    const { vector } = this.schedule;
    return this.width > 1 && vector >= 0 ? strides[vector]! : 0;
  }

  /** An index in each lane: the scalar plus the lane's number times the stride. */
  private lanesOf(first: Code, index: Affine, dependence: number): Code {
    const stride = this.vectorStride(index);
    if (!this.isWide(dependence) || stride === 0) return i32x4.splat(first);
    return i32x4.add(i32x4.splat(first), v128.constI32(0, stride, 2 * stride, 3 * stride));
  }

  /** The lookup as a scalar: clamped for addresses, and whether it was in range. */
  private lookup(number: number): { index: Local; valid: Local } {
    const { index, size } = this.kernel.lookups[number]!;
    const dependence = this.analysis.lookupDependence[number]!;
    const raw = this.once(`raw${number}`, "i32", dependence, () =>
      i32x4.extractLane(0, this.value(index).get),
    );
    const valid = this.once(`valid${number}`, "i32", dependence, () =>
      i32.ltU(raw.get, i32.const(size)),
    );
    const clamped = this.once(`found${number}`, "i32", dependence, () =>
      control.select(raw.get, i32.const(0), valid.get),
    );
    return { index: clamped, valid };
  }

  /** The scalar value of an affine index times a scale, plus a start; summed up loop by loop. */
  private affine({ offset, strides }: Affine, scale = 1, start: Local | null = null): Local {
    const { axes } = this.kernel;
    const { vector } = this.schedule;
    const terms = strides.flatMap((stride, d) => {
      if (stride === 0) return [];
      const isAxis = d < axes.length;
      const bits = isAxis ? 1 << d : this.analysis.lookupDependence[d - axes.length]!;
      return [{ d, stride, bits, isAxis }];
    });
    const depth = (bits: number): number => this.scopes.indexOf(this.scopeFor(bits));
    terms.sort((a, b) => depth(a.bits) - depth(b.bits) || a.d - b.d);
    const name = start ? `@${start.get}` : "i";
    let key = `${name}x${scale}+${offset}`;
    let dependence = 0;
    let sum = this.once(key, "i32", 0, () =>
      start ? i32.add(start.get, i32.const(offset * scale)) : i32.const(offset * scale),
    );
    for (const { d, stride, bits, isAxis } of terms) {
      key += `+${stride}#${d}`;
      dependence |= bits;
      const before = sum;
      const index = (): Code => {
        if (!isAxis) return this.lookup(d - axes.length).index.get;
        return d === vector && this.vectorIndices.length > 0
          ? this.vectorIndices[this.unrolled]!.get
          : this.indices[d]!.get;
      };
      sum = this.once(key, "i32", dependence, () => {
        const factor = stride * scale;
        if (factor === 1) return i32.add(before.get, index());
        const scaled = this.once(`${d}x${factor}`, "i32", bits, () =>
          i32.mul(index(), i32.const(factor)),
        );
        return i32.add(before.get, scaled.get);
      });
    }
    return sum;
  }

  private bufferAddress(buffer: number): Code {
    const [buffers] = this.f.parameters;
    return this.once(`b${buffer}`, "i32", 0, () => i32.load(buffers!.get, 4 * buffer)).get;
  }

  private address(buffer: number, index: Affine, dtype: DType): Code {
    const start = this.once(`b${buffer}`, "i32", 0, () =>
      i32.load(this.f.parameters[0]!.get, 4 * buffer),
    );
    return this.affine(index, bytesPerElement(dtype), start).get;
  }

  /** Whether a condition holds for any of the current elements, as an i32. */
  private holds({ index, size }: Condition): Code {
    const value = this.affine(index).get;
    if (this.vectorStride(index) === 0) return i32.ltU(value, i32.const(size));
    const reach = this.lanes - 1;
    return i32.ltU(i32.add(value, i32.const(reach)), i32.const(size + reach));
  }

  /** Where a condition holds, as a mask. */
  private mask({ index, size }: Condition): Code {
    const value = this.affine(index).get;
    if (this.vectorStride(index) === 0) {
      return i32x4.splat(i32.sub(i32.const(0), i32.ltU(value, i32.const(size))));
    }
    const positions = i32x4.add(i32x4.splat(value), v128.constI32(0, 1, 2, 3));
    return i32x4.ltU(positions, v128.constI32(size));
  }

  private load(e: Extract<Expression, { kind: "load" }>, dependence: number): Code {
    const { dtype, index, buffer, conditions } = e;
    const stride = this.isWide(dependence) ? this.vectorStride(index) : 0;
    let address = this.address(buffer, index, dtype);
    if (conditions.length > 0) {
      const all = conjunction(conditions.map((condition) => this.holds(condition)));
      const safe = this.once(`safe ${JSON.stringify(e)}`, "i32", dependence, () =>
        control.select(address, this.bufferAddress(buffer), all),
      );
      address = safe.get;
    }
    return this.loadCode(dtype, address, stride);
  }

  /** Elements at an address, `stride` elements apart along the lanes; stride 0: one in every lane. */
  private loadCode(dtype: DType, address: Code, stride: number): Code {
    const loaded = this.rawLoad(dtype === "float64" ? 8 : 4, address, stride);
    return dtype === "bool" ? i32x4.neg(loaded) : loaded;
  }

  private rawLoad(bytes: 4 | 8, address: Code, stride: number): Code {
    if (stride === 0) return bytes === 8 ? v128.load64Splat(address) : v128.load32Splat(address);
    if (stride === 1) {
      return this.lanes === 2 && bytes === 4 ? v128.load64Zero(address) : v128.load(address);
    }
    let result: Code = bytes === 8 ? v128.load64Splat(address) : v128.load32Splat(address);
    for (let lane = 1; lane < this.lanes; lane++) {
      const at = i32.add(address, i32.const(lane * stride * bytes));
      result = bytes === 8 ? v128.load64Lane(at, result, lane) : v128.load32Lane(at, result, lane);
    }
    return result;
  }
}

const SWAP_HALVES = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7];
const SWAP_QUARTERS = [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11];

function conjunction(conditions: readonly Code[]): Code {
  return conditions.reduce((all, one) => i32.and(all, one));
}
