/**
 * How a loop or scatter kernel is run: what its expressions depend on, which axis is run through with
 * vectors, and how the work is divided.
 * @module
 */

import type {
  Affine,
  Condition,
  Expression,
  LoopKernel,
  ScatterKernel,
} from "../../../kernels/kernel.js";

/** How a loop kernel is run. */
export interface Schedule {
  /** The axis run through with vectors; −1 for none. */
  readonly vector: number;
  /** Whether the vector axis can hold full vectors, or only one element at a time. */
  readonly wide: boolean;
  /** Output axes that the outer loop flattens into rows. */
  readonly rows: readonly number[];
}

/** Number of equal parts in which a kernel's work can be divided: its range is `0 … workItems`. */
export function loopWorkItems(kernel: LoopKernel | ScatterKernel): number {
  if (kernel.kind === "scatter") return 1;
  const { rows, vector } = scheduleOf(kernel);
  if (rows.length === 0)
    return vector >= 0 && vector < kernel.outputRank ? kernel.axes[vector]! : 1;
  return rows.reduce((product, axis) => product * kernel.axes[axis]!, 1);
}

/** Parts that are best done together: those of one row are the elements of vectors. */
export function loopGrain(kernel: LoopKernel | ScatterKernel): number {
  return scheduleOf(kernel).rows.length === 0 ? 16 : 1;
}

export function scheduleOf(kernel: LoopKernel | ScatterKernel): Schedule {
  const { axes } = kernel;
  const analysis = new Analysis(kernel);
  const upTo = (end: number): number[] => Array.from({ length: end }, (_, d) => d);
  if (kernel.kind === "scatter") {
    const vector = axes.length - 1;
    const wide =
      vector >= 0 && analysis.canVectorize(vector) && kernel.target.strides[vector] === 1;
    return { vector, wide, rows: upTo(Math.max(0, vector)) };
  }
  const { outputRank, reduce } = kernel;
  const last = outputRank - 1;
  if (reduce === null) {
    return {
      vector: last,
      wide: last >= 0 && analysis.canVectorize(last),
      rows: upTo(Math.max(0, last)),
    };
  }
  const inner = axes.length - 1;
  const across = last >= 0 && analysis.canVectorize(last) && analysis.prefers(last, inner);
  if (inner < outputRank || across) {
    return {
      vector: last,
      wide: last >= 0 && analysis.canVectorize(last),
      rows: upTo(Math.max(0, last)),
    };
  }
  return { vector: inner, wide: analysis.canVectorize(inner), rows: upTo(outputRank) };
}

/** What the expressions of a kernel depend on. */
export class Analysis {
  /** For each expression, a bit per axis; the bit {@link ACCUMULATED} for the accumulator. */
  readonly dependence: number[] = [];
  /** The same for lookups. */
  readonly lookupDependence: number[] = [];
  readonly lanes: 2 | 4;

  constructor(private readonly kernel: LoopKernel | ScatterKernel) {
    let wide = kernel.dtype === "float64";
    kernel.expressions.forEach((e, number) => {
      wide ||= e.dtype === "float64";
      this.dependence[number] = this.dependenceOf(e);
      kernel.lookups.forEach(({ index }, lookup) => {
        if (index === number) this.lookupDependence[lookup] = this.dependence[number]!;
      });
    });
    this.lanes = wide ? 2 : 4;
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

  private conditions(conditions: readonly Condition[]): number {
    return conditions.reduce((bits, { index }) => bits | this.affine(index), 0);
  }

  private dependenceOf(e: Expression): number {
    switch (e.kind) {
      case "constant":
        return 0;
      case "index":
        return this.affine(e.index);
      case "load":
        return this.affine(e.index) | this.conditions(e.conditions);
      case "accumulator":
        return ACCUMULATED;
      case "map":
        return e.inputs.reduce((bits, input) => bits | this.dependence[input]!, 0);
      case "guard":
        return (
          this.conditions(e.conditions) |
          this.dependence[e.inside]! |
          e.lookups.reduce((bits, lookup) => bits | this.lookupDependence[lookup]!, 0)
        );
    }
  }

  /** Whether neighbouring elements along an axis can be computed together. */
  canVectorize(axis: number): boolean {
    if (this.lookupDependence.some((bits) => (bits & (1 << axis)) !== 0)) return false;
    const simple = (conditions: readonly Condition[]): boolean =>
      conditions.every(({ index }) => index.strides[axis] === 0 || index.strides[axis] === 1);
    return this.kernel.expressions.every((e) => {
      if (e.kind === "guard") return simple(e.conditions);
      if (e.kind !== "load") return true;
      const stride = e.index.strides[axis]!;
      const near = stride === 0 || stride === 1;
      const cut = e.conditions.some(({ index }) => index.strides[axis] !== 0);
      return simple(e.conditions) && (near || !cut);
    });
  }

  /** Whether vectors along one axis cost fewer separate loads than along another. */
  prefers(axis: number, other: number): boolean {
    const count = (along: number, holds: (stride: number) => boolean): number =>
      this.kernel.expressions.filter((e) => e.kind === "load" && holds(e.index.strides[along]!))
        .length;
    const scattered = (stride: number): boolean => stride !== 0 && stride !== 1;
    const difference = count(axis, scattered) - count(other, scattered);
    const isUnit = (stride: number): boolean => stride === 1;
    return difference < 0 || (difference === 0 && count(axis, isUnit) > count(other, isUnit));
  }
}

/** The dependence bit of the accumulator. */
export const ACCUMULATED = 1 << 30;
