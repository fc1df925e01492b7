/**
 * Symbolic index arithmetic: affine functions of loop axes, and the axes themselves, which can be
 * split after the fact so that a merged dimension is addressed without division.
 * @module
 */

import type { Affine } from "./kernel.js";

/** A loop index (or a data-dependent one) that runs over `0 … size − 1`. */
export interface Axis {
  readonly size: number;
  /** `index = outer · inner.size + inner` once the axis is split. */
  parts: readonly [outer: Axis, inner: Axis] | null;
  /** Data-dependent indices cannot be split. */
  readonly isLookup: boolean;
}

/** `offset + Σ stride · axis`. */
export interface Index {
  readonly offset: number;
  readonly terms: readonly (readonly [axis: Axis, stride: number])[];
}

/** The index that is always 0. */
export const ZERO: Index = { offset: 0, terms: [] };

/** A fresh loop axis. */
export function axis(size: number, isLookup = false): Axis {
  return { size, parts: null, isLookup };
}

/** The index that equals an axis. */
export function along(of: Axis): Index {
  return of.size === 1 && !of.isLookup ? ZERO : { offset: 0, terms: [[of, 1]] };
}

/** `index · factor + shift`. */
export function affine(index: Index, factor: number, shift: number): Index {
  return {
    offset: index.offset * factor + shift,
    terms: factor === 1 ? index.terms : index.terms.map(([a, stride]) => [a, stride * factor]),
  };
}

/** The sum of two indices. */
export function plus(a: Index, b: Index): Index {
  return { offset: a.offset + b.offset, terms: [...a.terms, ...b.terms] };
}

/** The same index in terms of unsplit axes only, each axis once. */
export function resolve(index: Index): Index {
  const { terms } = index;
  if (isResolved(terms)) return index;
  const strides = new Map<Axis, number>();
  const visit = (a: Axis, stride: number): void => {
    if (a.parts) {
      visit(a.parts[0], stride * a.parts[1].size);
      visit(a.parts[1], stride);
    } else if (a.size !== 1 || a.isLookup) strides.set(a, (strides.get(a) ?? 0) + stride);
  };
  for (const [a, stride] of terms) visit(a, stride);
  return { offset: index.offset, terms: [...strides].filter(([, stride]) => stride !== 0) };
}

function isResolved(terms: Index["terms"]): boolean {
  for (let i = 0; i < terms.length; i++) {
    const [a, stride] = terms[i]!;
    if (a.parts !== null || stride === 0 || (a.size === 1 && !a.isLookup)) return false;
    for (let j = 0; j < i; j++) if (terms[j]![0] === a) return false;
  }
  return true;
}

/** Row-major position of a multi-dimensional index. */
export function linearize(at: readonly Index[], shape: readonly number[]): Index {
  let stride = 1;
  let offset = 0;
  const terms: [Axis, number][] = [];
  for (let d = shape.length - 1; d >= 0; d--) {
    const index = at[d]!;
    offset += index.offset * stride;
    for (const [a, s] of index.terms) terms.push([a, s * stride]);
    stride *= shape[d]!;
  }
  return resolve({ offset, terms });
}

/**
 * The multi-dimensional index of a row-major position, or null where it is not affine.
 * Axes are split where that makes it so: with `i < 6 = 2·3`, `i / 3` and `i mod 3` become the two
 * parts of `i`.
 */
export function delinearize(position: Index, shape: readonly number[]): Index[] | null {
  if (shape.includes(0)) return shape.map(() => ZERO);
  const at: Index[] = new Array(shape.length);
  let rest = position;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (d === 0 || shape.slice(0, d).every((size) => size === 1)) {
      at[d] = rest;
      rest = ZERO;
      continue;
    }
    const divided = divide(rest, shape[d]!);
    if (divided === null) return null;
    [rest, at[d]] = divided;
  }
  return at;
}

/** The least and the largest value of an index over unsplit axes. */
function rangeOf({ offset, terms }: Index): [least: number, most: number] {
  let [least, most] = [offset, offset];
  for (const [a, stride] of terms) {
    if (stride < 0) least += stride * (a.size - 1);
    else most += stride * (a.size - 1);
  }
  return [least, most];
}

/** `[index / divisor, index mod divisor]`, or null where they are not affine. */
function divide(index: Index, divisor: number): [quotient: Index, remainder: Index] | null {
  if (divisor === 1) return [index, ZERO];
  for (;;) {
    const { offset, terms } = resolve(index);
    const quotient: [Axis, number][] = [];
    const remainder: [Axis, number][] = [];
    let split = false;
    for (const [a, stride] of terms) {
      if (stride % divisor === 0) {
        quotient.push([a, stride / divisor]);
      } else if (
        stride > 0 &&
        divisor % stride === 0 &&
        a.size * stride > divisor &&
        a.size % (divisor / stride) === 0 &&
        !a.isLookup
      ) {
        const inner = divisor / stride;
        a.parts = [axis(a.size / inner), axis(inner)];
        split = true;
        break;
      } else {
        remainder.push([a, stride]);
      }
    }
    if (split) continue;
    const shift = ((offset % divisor) + divisor) % divisor;
    const [least, most] = rangeOf({ offset: shift, terms: remainder });
    if (least < 0 || most >= divisor) return null;
    return [
      { offset: (offset - shift) / divisor, terms: quotient },
      { offset: shift, terms: remainder },
    ];
  }
}

/** The axes an axis was split into, outermost first; none for size 1. */
export function leavesOf(a: Axis): Axis[] {
  if (a.parts) return [...leavesOf(a.parts[0]), ...leavesOf(a.parts[1])];
  return a.size === 1 ? [] : [a];
}

/** The index over final axes, which are those it varies with. */
export function toAffine(index: Index, axes: readonly Axis[]): Affine {
  const { offset, terms } = resolve(index);
  const strides = axes.map((a) => terms.find(([of]) => of === a)?.[1] ?? 0);
  return { offset, strides };
}

/** Whether `0 ≤ index < size` wherever the axes go. */
export function alwaysWithin(index: Index, size: number): boolean {
  const [least, most] = rangeOf(resolve(index));
  return least >= 0 && most < size;
}
