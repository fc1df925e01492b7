/**
 * What the expressions of a kernel are at the elements that its loops are at: arithmetic, indices, addresses
 * and loads. Each is computed in the outermost loop in which it varies.
 * @module
 */

import {
  bytesPerElement,
  type DType,
  type FloatDType,
  type StorageType,
} from "../../../kernels/dtype.js";
import { operandsOf } from "../../../kernels/expressions.js";
import type {
  Affine,
  Condition,
  Expression,
  LoopKernel,
  ScatterKernel,
} from "../../../kernels/kernel.js";
import { stridesOf } from "../../../kernels/layout.js";
import {
  type Code,
  control,
  type FunctionBuilder,
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
import { emitOperation, FORMATS, splatConstant, widenMask } from "../scalars.js";
import type { Nest } from "./nest.js";
import { ACCUMULATED, type Analysis } from "./traversal.js";

/** The values of a kernel. Its function takes `(buffers, constants, …)`. */
export class Values {
  /**
   * Lanes for which a short form does not hold: it holds for most numbers only. Null where short forms may
   * not be used.
   */
  rare: Local | null = null;
  /** Expressions that are or contain a logarithm for which there is a short form. */
  private readonly afterLog = new Set<number>();
  private accumulator: Local | null = null;

  constructor(
    private readonly f: FunctionBuilder,
    private readonly kernel: LoopKernel | ScatterKernel,
    private readonly analysis: Analysis,
    private readonly nest: Nest,
  ) {
    kernel.expressions.forEach((e, number) => {
      const follows =
        this.hasShortForm(number) || operandsOf(e).some((operand) => this.afterLog.has(operand));
      if (follows) this.afterLog.add(number);
    });
    // Lookups are not computed a second time, so none may follow from a short form.
    if (kernel.lookups.some(({ index }) => this.afterLog.has(index))) this.afterLog.clear();
  }

  /** Whether some expression is computed in a short form where {@link rare} allows it. */
  get hasShortForms(): boolean {
    return this.afterLog.size > 0;
  }

  /** Whether an expression is a logarithm that differs from element to element, and its vectors are full. */
  private hasShortForm(number: number): boolean {
    const e = this.kernel.expressions[number]!;
    if (e.kind !== "map" || e.operation !== "log") return false;
    // A vector that is not full holds 0 in its other lanes, and the short form does not hold for 0.
    return this.nest.isOwn(this.analysis.dependence[number]!) && this.analysis.fillsVector(e.dtype);
  }

  /** The kernel's result at the current elements. */
  result(kernel: LoopKernel, reduced: Local | null): Local {
    if (reduced !== null && kernel.epilogue === null) return reduced;
    this.accumulator = reduced;
    const result = this.value(kernel.epilogue ?? kernel.body);
    this.accumulator = null;
    return result;
  }

  /** The value of an expression at the current elements. */
  value(number: number): Local {
    const e = this.kernel.expressions[number]!;
    const dependence =
      e.kind === "accumulator" && !this.accumulator
        ? this.outputDependence()
        : this.analysis.dependence[number]!;
    if (e.kind === "accumulator" && this.accumulator) return this.accumulator;
    const key = this.nest.isAgain && this.afterLog.has(number) ? `again${number}` : `e${number}`;
    return this.nest.once(key, "v128", dependence, () => this.expression(number, dependence));
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
        // A matrix product leaves its elements in the output, where its epilogue finds them.
        const kernel = this.kernel as LoopKernel;
        const index = outputIndex(kernel);
        return this.loadCode(
          e.dtype,
          this.address(0, index, e.dtype),
          this.nest.vectorStride(index),
        );
      }
      case "map": {
        const inputs = e.inputs.map((input) => this.value(input).get);
        if (this.rare && this.hasShortForm(number)) {
          const format = FORMATS[e.dtype as FloatDType];
          return emitLogOfNormal(this.f, format, inputs[0]!, this.rare);
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
        // 0 has no bit set, so a mask suffices.
        if (e.otherwise !== "nan") return v128.and(inside, mask);
        return v128.bitselect(inside, splatConstant(Number.NaN, e.dtype), mask);
      }
    }
  }

  private constant(slot: number, dtype: DType): Code {
    const value = f64.load(this.f.parameters[1]!.get, 8 * slot);
    switch (dtype) {
      case "float32":
        return f32x4.splat(f32.demoteF64(value));
      case "float64":
        return f64x2.splat(value);
      case "int32":
        return i32x4.splat(i32.truncSatF64S(value));
      case "bool":
        return i32x4.splat(i32.sub(i32.const(0), f64.ne(value, f64.const(0))));
    }
  }

  // Indices and addresses

  /** An index in each lane: the scalar plus the lane's number times the stride. */
  private lanesOf(first: Code, index: Affine, dependence: number): Code {
    const stride = this.nest.vectorStride(index);
    if (!this.nest.isWide(dependence) || stride === 0) return i32x4.splat(first);
    return i32x4.add(i32x4.splat(first), v128.constI32(0, stride, 2 * stride, 3 * stride));
  }

  /** The lookup as a scalar: clamped for addresses, and whether it was in range. */
  lookup(number: number): { index: Local; valid: Local } {
    const { index, size } = this.kernel.lookups[number]!;
    const dependence = this.analysis.lookupDependence[number]!;
    const raw = this.nest.once(`raw${number}`, "i32", dependence, () =>
      i32x4.extractLane(0, this.value(index).get),
    );
    const valid = this.nest.once(`valid${number}`, "i32", dependence, () =>
      i32.ltU(raw.get, i32.const(size)),
    );
    const clamped = this.nest.once(`found${number}`, "i32", dependence, () =>
      control.select(raw.get, i32.const(0), valid.get),
    );
    return { index: clamped, valid };
  }

  /** The scalar value of an affine index times a scale, plus a start; summed up loop by loop. */
  private affine({ offset, strides }: Affine, scale = 1, start: Local | null = null): Local {
    const { axes } = this.kernel;
    const terms = strides.flatMap((stride, d) => {
      if (stride === 0) return [];
      const isAxis = d < axes.length;
      const bits = isAxis ? 1 << d : this.analysis.lookupDependence[d - axes.length]!;
      return [{ d, stride, bits, isAxis }];
    });
    const { nest } = this;
    terms.sort((a, b) => nest.depthOf(a.bits) - nest.depthOf(b.bits) || a.d - b.d);
    const name = start ? `@${start.get}` : "i";
    let key = `${name}x${scale}+${offset}`;
    let dependence = 0;
    let sum = this.nest.once(key, "i32", 0, () =>
      start ? i32.add(start.get, i32.const(offset * scale)) : i32.const(offset * scale),
    );
    for (const { d, stride, bits, isAxis } of terms) {
      key += `+${stride}#${d}`;
      dependence |= bits;
      const before = sum;
      const index = (): Code =>
        isAxis ? nest.index(d).get : this.lookup(d - axes.length).index.get;
      sum = this.nest.once(key, "i32", dependence, () => {
        const factor = stride * scale;
        if (factor === 1) return i32.add(before.get, index());
        const scaled = this.nest.once(`${d}x${factor}`, "i32", bits, () =>
          i32.mul(index(), i32.const(factor)),
        );
        return i32.add(before.get, scaled.get);
      });
    }
    return sum;
  }

  /** Where a buffer begins. */
  bufferAddress(buffer: number): Local {
    const [buffers] = this.f.parameters;
    return this.nest.once(`b${buffer}`, "i32", 0, () => i32.load(buffers!.get, 4 * buffer));
  }

  /** Where an element of a buffer is. */
  address(buffer: number, index: Affine, storage: StorageType): Code {
    return this.affine(index, bytesPerElement(storage), this.bufferAddress(buffer)).get;
  }

  /** Whether a condition holds for any of the current elements, as an i32. */
  private holds({ index, size }: Condition): Code {
    const value = this.affine(index).get;
    if (this.nest.vectorStride(index) === 0) return i32.ltU(value, i32.const(size));
    const reach = this.analysis.lanes - 1;
    return i32.ltU(i32.add(value, i32.const(reach)), i32.const(size + reach));
  }

  /** Where a condition holds, as a mask. */
  private mask({ index, size }: Condition): Code {
    const value = this.affine(index).get;
    if (this.nest.vectorStride(index) === 0) {
      return i32x4.splat(i32.sub(i32.const(0), i32.ltU(value, i32.const(size))));
    }
    const positions = i32x4.add(i32x4.splat(value), v128.constI32(0, 1, 2, 3));
    return i32x4.ltU(positions, v128.constI32(size));
  }

  private load(e: Extract<Expression, { kind: "load" }>, dependence: number): Code {
    const { dtype, storage = dtype, index, buffer, conditions } = e;
    const stride = this.nest.isWide(dependence) ? this.nest.vectorStride(index) : 0;
    let address = this.address(buffer, index, storage);
    if (conditions.length > 0) {
      const all = conjunction(conditions.map((condition) => this.holds(condition)));
      const safe = this.nest.once(`safe ${JSON.stringify(e)}`, "i32", dependence, () =>
        control.select(address, this.bufferAddress(buffer).get, all),
      );
      address = safe.get;
    }
    return this.loadCode(storage, address, stride);
  }

  /** Elements at an address, `stride` elements apart along the lanes; stride 0: one in every lane. */
  loadCode(storage: StorageType, address: Code, stride: number): Code {
    if (storage === "bfloat16") return this.widenedLoad(address, stride);
    const loaded = this.rawLoad(bytesPerElement(storage), address, stride);
    return storage === "bool" ? i32x4.neg(loaded) : loaded;
  }

  /** bfloat16s as float32: the bits of each become the upper half of its lane. */
  private widenedLoad(address: Code, stride: number): Code {
    const upper = (bits: Code): Code => i32x4.shl(bits, i32.const(16));
    if (stride === 0) return upper(v128.load16Splat(address));
    const { lanes } = this.analysis;
    if (stride === 1) {
      return upper(
        lanes === 2 ? i32x4.extendLowI16x8U(v128.load32Zero(address)) : v128.load16x4U(address),
      );
    }
    let result: Code = v128.constI32(0);
    for (let lane = 0; lane < lanes; lane++) {
      const at = i32.add(address, i32.const(lane * stride * 2));
      result = v128.load16Lane(at, result, 2 * lane + 1);
    }
    return result;
  }

  private rawLoad(bytes: 4 | 8, address: Code, stride: number): Code {
    if (stride === 0) return bytes === 8 ? v128.load64Splat(address) : v128.load32Splat(address);
    if (stride === 1) {
      return this.analysis.lanes === 2 && bytes === 4
        ? v128.load64Zero(address)
        : v128.load(address);
    }
    let result: Code = bytes === 8 ? v128.load64Splat(address) : v128.load32Splat(address);
    for (let lane = 1; lane < this.analysis.lanes; lane++) {
      const at = i32.add(address, i32.const(lane * stride * bytes));
      result = bytes === 8 ? v128.load64Lane(at, result, lane) : v128.load32Lane(at, result, lane);
    }
    return result;
  }
}

/** The index of a kernel's output. */
export function outputIndex({ axes, outputRank, lookups }: LoopKernel): Affine {
  const others = [...axes.slice(outputRank), ...lookups].map(() => 0);
  return { offset: 0, strides: [...stridesOf(axes.slice(0, outputRank)), ...others] };
}

/** Whether all of several i32 conditions hold. */
export function conjunction(conditions: readonly Code[]): Code {
  return conditions.reduce((all, one) => i32.and(all, one));
}
