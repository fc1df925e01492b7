/**
 * Where the points of a scatter go, read backwards: which axes and lookups an element's position determines.
 * @module
 */

import type { Affine, Lookup, ScatterKernel } from "../../kernels/kernel.js";
import { dependsOnAxes } from "./transform.js";

/** A term of a target, and the local variable that holds its index. Axes are numbered first, then lookups. */
export interface Digit {
  readonly term: number;
  readonly name: string;
  readonly stride: number;
  readonly size: number;
}

/** The terms of a target, largest stride first; null if a position does not determine their indices. */
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

/** What the points of a scatter can be sorted by. */
export interface Keys {
  /** The only lookup of the target. Points are sorted by what it finds. */
  readonly lookup: number;
  /** The axes that a position does not determine. The lookup depends on no others. */
  readonly axes: readonly number[];
}

/** The keys of a scatter. null if a position and its run of keys do not determine which points go there. */
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
