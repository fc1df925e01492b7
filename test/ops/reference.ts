/**
 * NumPy's semantics in plain loops over plain numbers: what the operations are held to. Nothing
 * here shares code with the library.
 * @module
 */

import fc from "fast-check";
import { expect } from "vitest";
import { type DType, type Tensor, tensor } from "../../src/index.js";

/** A row-major array. */
export interface Reference {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** Number of elements. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, extent) => size * extent, 1);
}

/** Every index of a shape, row-major. */
export function indicesOf(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (all, extent) => all.flatMap((at) => Array.from({ length: extent }, (_, i) => [...at, i])),
    [[]],
  );
}

/** The array whose element at each index a function gives. */
export function build(shape: readonly number[], f: (at: number[]) => number): Reference {
  return { shape, values: indicesOf(shape).map(f) };
}

/** The element at an index. */
export function at(x: Reference, index: readonly number[]): number {
  return x.values[index.reduce((position, i, d) => position * x.shape[d]! + i, 0)]!;
}

/** The element of an array that broadcasts to the indexed shape. */
function broadcastAt(x: Reference, index: readonly number[]): number {
  const added = index.length - x.shape.length;
  return at(
    x,
    x.shape.map((extent, d) => (extent === 1 ? 0 : index[d + added]!)),
  );
}

/** NumPy's common shape. */
export function broadcastShape(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, d) => {
    const extents = shapes.map((shape) => shape[d - rank + shape.length] ?? 1);
    return extents.find((extent) => extent !== 1) ?? 1;
  });
}

/** A function applied to broadcast arguments. */
export function map(f: (...values: number[]) => number, ...xs: Reference[]): Reference {
  return build(broadcastShape(...xs.map((x) => x.shape)), (index) =>
    f(...xs.map((x) => broadcastAt(x, index))),
  );
}

/** Reduces axes by a function of all their elements, row-major. */
export function reduce(
  f: (values: number[]) => number,
  x: Reference,
  axes: readonly number[],
  keepDims = false,
): Reference {
  const dropped = new Set(axes.map((axis) => (axis + x.shape.length) % x.shape.length));
  const kept = x.shape.map((extent, d) => (dropped.has(d) ? 1 : extent));
  const inner = x.shape.map((extent, d) => (dropped.has(d) ? extent : 1));
  const reduced = build(kept, (outer) =>
    f(
      indicesOf(inner).map((index) =>
        at(
          x,
          index.map((i, d) => i + outer[d]!),
        ),
      ),
    ),
  );
  if (keepDims) return reduced;
  return { shape: x.shape.filter((_, d) => !dropped.has(d)), values: reduced.values };
}

/** The sum of numbers. */
export function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** `[…, m, k] × […, k, n]` with broadcast leading axes. */
export function matmul(a: Reference, b: Reference): Reference {
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const [m, k] = a.shape.slice(-2) as [number, number];
  const n = b.shape[b.shape.length - 1]!;
  return build([...batch, m, n], (index) => {
    const [row, column] = index.slice(-2) as [number, number];
    const of = (x: Reference, i: number, j: number): number => {
      const at = index.slice(0, -2).slice(batch.length - (x.shape.length - 2));
      return broadcastAt(x, [...at, i, j].slice(-x.shape.length));
    };
    let sum = 0;
    for (let inner = 0; inner < k; inner++) sum += of(a, row, inner) * of(b, inner, column);
    return sum;
  });
}

/** A list with one of its items, counted from either end, replaced. */
export function replaced(list: readonly number[], position: number, item: number): number[] {
  const copy = [...list];
  copy[position < 0 ? position + list.length : position] = item;
  return copy;
}

/** The tensor with the array's elements. */
export function toTensor(x: Reference, dtype: DType = "float64"): Tensor {
  const { shape, values } = x;
  return tensor(Float64Array.from(values), { shape, dtype });
}

/** The tensor's elements. */
async function fromTensor(t: Tensor): Promise<Reference> {
  return { shape: t.shape, values: Array.from(await t.data()) };
}

/** Whether two numbers differ by no more than `tolerance` relative to the second (or to 1 if it is smaller). */
function isClose(found: number, expected: number, tolerance: number): boolean {
  if (Object.is(found, expected) || found === expected) return true;
  return Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected));
}

/** Holds a tensor's shape and elements against an array. */
export async function expectTensor(
  t: Tensor,
  expected: Reference,
  tolerance = 1e-12,
): Promise<void> {
  const found = await fromTensor(t);
  expect(found.shape).toEqual(expected.shape);
  const wrong = found.values.findIndex(
    (value, i) => !isClose(value, expected.values[i]!, tolerance),
  );
  if (wrong >= 0 || found.values.length !== expected.values.length) {
    // The whole arrays make the better message.
    expect(found).toEqual(expected);
    expect(found.values[wrong]).toBe(expected.values[wrong]);
  }
}

/** An array of given dimensions with elements in [low, high). */
export function arrayOf(shape: readonly number[], low = -2, high = 2): fc.Arbitrary<Reference> {
  const size = sizeOf(shape);
  return fc
    .array(fc.integer({ min: 0, max: 4095 }), { minLength: size, maxLength: size })
    .map((steps) => ({ shape, values: steps.map((step) => low + ((high - low) * step) / 4096) }));
}

/** A shape of some rank. */
export function shapes(
  options: { minRank?: number; maxRank?: number; minExtent?: number; maxExtent?: number } = {},
): fc.Arbitrary<number[]> {
  const { minRank = 0, maxRank = 4, minExtent = 0, maxExtent = 4 } = options;
  return fc.array(fc.integer({ min: minExtent, max: maxExtent }), {
    minLength: minRank,
    maxLength: maxRank,
  });
}

/** A shape and one that broadcasts to it: leading axes dropped, others replaced by 1. */
export function broadcastPair(
  options: { maxRank?: number; minExtent?: number; maxExtent?: number } = {},
): fc.Arbitrary<[full: number[], part: number[]]> {
  return shapes(options).chain((full) =>
    fc
      .tuple(
        fc.nat({ max: full.length }),
        fc.array(fc.boolean(), { minLength: full.length, maxLength: full.length }),
      )
      .map(([dropped, ones]): [number[], number[]] => [
        full,
        full.map((extent, d) => (ones[d] ? 1 : extent)).slice(dropped),
      ]),
  );
}

/** Runs a property, `FUZZ_RUNS` times as often where that is given. */
export async function forAll<Values extends unknown[]>(
  arbitraries: { [K in keyof Values]: fc.Arbitrary<Values[K]> },
  property: (...values: Values) => Promise<void>,
  runs = 60,
): Promise<void> {
  const { FUZZ_RUNS = "1" } = process.env;
  const values = fc.tuple(...arbitraries) as fc.Arbitrary<Values>;
  await fc.assert(
    fc.asyncProperty(values, (drawn) => property(...drawn)),
    { numRuns: runs * Number(FUZZ_RUNS) },
  );
}
