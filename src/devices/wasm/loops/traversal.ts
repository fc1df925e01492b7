/**
 * How a loop or scatter kernel is run: what its expressions depend on, which axis is run through with
 * vectors, and how the work is divided.
 * @module
 */

import { bytesPerElement, type DType } from "../../../kernels/dtype.js";
import {
  conditionsOf,
  indicesOf,
  loadIn,
  lookupsOf,
  operandsOf,
} from "../../../kernels/expressions.js";
import type {
  Affine,
  Condition,
  Expression,
  LoopKernel,
  ScatterKernel,
} from "../../../kernels/kernel.js";
import { range, sizeOf } from "../../../kernels/layout.js";

/** The order in which a loop kernel visits its points. */
export interface Traversal {
  /** The axis run through with vectors; −1 for none. */
  readonly vector: number;
  /** Whether the vector axis can hold full vectors, or only one element at a time. */
  readonly wide: boolean;
  /** Output axes that the outer loop flattens into rows. */
  readonly rows: readonly number[];
}

/** Shares of a kernel without rows, whose items are the elements of vectors, start at multiples of it. */
export const VECTOR_GRAIN = 16;

/** Number of equal parts in which a kernel's work can be divided: its range is `0 … items`. */
export function loopItems(kernel: LoopKernel | ScatterKernel, { rows, vector }: Traversal): number {
  if (kernel.kind === "scatter") return 1;
  if (rows.length > 0) return sizeOf(rows.map((axis) => kernel.axes[axis]!));
  return vector >= 0 && vector < kernel.outputRank ? kernel.axes[vector]! : 1;
}

/** Chooses the axis that vectors run along: the one with more neighbouring loads. */
export function traversalOf(kernel: LoopKernel | ScatterKernel): Traversal {
  const { axes } = kernel;
  const analysis = new Analysis(kernel);
  if (kernel.kind === "scatter") {
    const vector = axes.length - 1;
    const wide =
      vector >= 0 && analysis.canVectorize(vector) && kernel.target.strides[vector] === 1;
    return { vector, wide, rows: range(Math.max(0, vector)) };
  }
  const { outputRank, reduce } = kernel;
  const last = outputRank - 1;
  const wide = last >= 0 && analysis.canVectorize(last);
  const inner = axes.length - 1;
  if (reduce === null || inner < outputRank || (wide && analysis.prefers(last, inner))) {
    return { vector: last, wide, rows: range(Math.max(0, last)) };
  }
  return { vector: inner, wide: analysis.canVectorize(inner), rows: range(outputRank) };
}

/** What the expressions of a kernel depend on. */
export class Analysis {
  /** For each expression, a bit per axis; the bit {@link ACCUMULATED} for the accumulator. */
  readonly dependence: number[] = [];
  /** The same for lookups. */
  readonly lookupDependence: number[] = [];
  readonly lanes: 2 | 4;

  constructor(private readonly kernel: LoopKernel | ScatterKernel) {
    let wide = bytesPerElement(kernel.dtype) === 8;
    kernel.expressions.forEach((e, number) => {
      wide ||= bytesPerElement(e.dtype) === 8;
      this.dependence[number] = this.dependenceOf(e);
      kernel.lookups.forEach(({ index }, lookup) => {
        if (index === number) this.lookupDependence[lookup] = this.dependence[number]!;
      });
    });
    this.lanes = wide ? 2 : 4;
  }

  /** Whether elements of the dtype fill a vector. Beside float64, 4-byte values fill half of one. */
  fillsVector(dtype: DType): boolean {
    return this.lanes * bytesPerElement(dtype) === 16;
  }

  /** Axes an affine index varies with. */
  affine({ strides }: Affine): number {
    const { axes } = this.kernel;
    let bits = 0;
    strides.forEach((stride, d) => {
      if (stride !== 0) bits |= d < axes.length ? 1 << d : this.lookupDependence[d - axes.length]!;
    });
    return bits;
  }

  private dependenceOf(e: Expression): number {
    let bits = e.kind === "accumulator" ? ACCUMULATED : 0;
    for (const index of indicesOf(e)) bits |= this.affine(index);
    for (const operand of operandsOf(e)) bits |= this.dependence[operand]!;
    for (const lookup of lookupsOf(e, this.kernel.axes.length)) {
      bits |= this.lookupDependence[lookup]!;
    }
    return bits;
  }

  /** Whether neighbouring elements along an axis can be computed together. */
  canVectorize(axis: number): boolean {
    if (this.lookupDependence.some((bits) => (bits & (1 << axis)) !== 0)) return false;
    const simple = (conditions: readonly Condition[]): boolean =>
      conditions.every(({ index }) => index.strides[axis] === 0 || index.strides[axis] === 1);
    return this.kernel.expressions.every((e) => {
      const conditions = conditionsOf(e);
      const stride = loadIn(e)?.index.strides[axis] ?? 0;
      const near = stride === 0 || stride === 1;
      const cut = conditions.some(({ index }) => index.strides[axis] !== 0);
      return simple(conditions) && (near || !cut);
    });
  }

  /** Whether vectors along one axis cost fewer separate loads than along another. */
  prefers(axis: number, other: number): boolean {
    const loads = this.kernel.expressions.flatMap((e) => loadIn(e) ?? []);
    const count = (along: number, holds: (stride: number) => boolean): number =>
      loads.filter(({ index }) => holds(index.strides[along]!)).length;
    const scattered = (stride: number): boolean => stride !== 0 && stride !== 1;
    const difference = count(axis, scattered) - count(other, scattered);
    const isUnit = (stride: number): boolean => stride === 1;
    return difference < 0 || (difference === 0 && count(axis, isUnit) > count(other, isUnit));
  }
}

/** The dependence bit of the accumulator, above those of all axes. */
export const ACCUMULATED = 1 << 30;
