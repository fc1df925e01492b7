/**
 * Where the points of a scatter go: which axes and lookups follow from an element's position.
 * @module
 */

import type { Affine, Lookup, ScatterKernel } from "../../kernels/kernel.js";
import { dependsOnAxes } from "./transform.js";

/** A term of a target and the local that holds its digit. Terms number axes, then lookups. */
export interface Digit {
  readonly term: number;
  readonly name: string;
  readonly stride: number;
  readonly size: number;
}

/** The terms of a target, largest stride first, where a position determines them; else null. */
export function nestedDigits(
  { strides }: Affine,
  axes: readonly number[],
  lookups: readonly Lookup[],
): Digit[] | null {
  const sizes = [...axes, ...lookups.map(({ size }) => size)];
  const digits = sizes
    .map((size, term): Digit => ({ term, name: `digit${term}`, stride: strides[term] ?? 0, size }))
    .filter(({ stride, size, term }) => stride !== 0 && (size > 1 || term >= axes.length))
    .sort((a, b) => b.stride - a.stride);
  let span = 1;
  for (const { stride, size } of [...digits].reverse()) {
    if (stride < span) return null;
    span = stride * (size - 1) + span;
  }
  return digits;
}

/** Points in the order of what a lookup finds at them. */
export interface Keys {
  /** The lookup, the only one of the target. */
  readonly lookup: number;
  /** The axes it depends on, which are those that a position does not determine. */
  readonly axes: readonly number[];
}

/** What to sort the points of a scatter by; null where that does not lead from positions to points. */
export function keysOf(kernel: ScatterKernel): Keys | null {
  const { axes, target, lookups } = kernel;
  const digits = nestedDigits(target, axes, lookups);
  const found = digits?.filter(({ term }) => term >= axes.length);
  if (found?.length !== 1) return null;
  const lookup = found[0]!.term - axes.length;
  const isDigit = (axis: number): boolean => digits!.some(({ term }) => term === axis);
  const numbers = [...axes.keys()];
  if (dependsOnAxes(kernel, lookups[lookup]!.index, numbers.filter(isDigit))) return null;
  return { lookup, axes: numbers.filter((axis) => !isDigit(axis)) };
}
