/**
 * Reductions and products large enough for every thread, tile and turn, against plain sums: what
 * differs on the current device, in words, or null.
 * @module
 */

import * as pg from "../../src/index.js";
import { type Tensor, tensor } from "../../src/index.js";

/** Something to compute on the current device. */
export interface Check {
  readonly name: string;
  readonly check: () => Promise<string | null>;
}

const SIDE = 1000;
const next = pg.randomGenerator(1);
const values = Float32Array.from({ length: SIDE * SIDE }, () => next());

const rows = new Float64Array(SIDE);
const columns = new Float64Array(SIDE);
const largest = new Float64Array(SIDE).fill(-1);
for (const [i, value] of values.entries()) {
  rows[Math.floor(i / SIDE)]! += value;
  columns[i % SIDE]! += value;
  largest[i % SIDE] = Math.max(largest[i % SIDE]!, value);
}
const total = rows.reduce((a, b) => a + b);

const x = (): Tensor => tensor(values, { shape: [SIDE, SIDE] });

/** The first of a tensor's elements that is not within a relative tolerance. */
async function relative(
  t: Tensor,
  expected: ArrayLike<number>,
  tolerance = 1e-5,
): Promise<string | null> {
  const found = await t.data();
  if (found.length !== expected.length) return `${found.length} elements for ${expected.length}`;
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(found[i]! / expected[i]! - 1) <= tolerance)) {
      return `element ${i} of [${t.shape}]: ${found[i]} for ${expected[i]}`;
    }
  }
  return null;
}

/** A million elements. */
export const MILLION: readonly Check[] = [
  {
    name: "sum to 1e-5 over all, rows and columns",
    check: async () =>
      (await relative(x().sum(), [total])) ??
      (await relative(x().sum(1), rows)) ??
      (await relative(x().sum(0), columns)) ??
      (await relative(x().transpose().sum(1), columns)) ??
      (await relative(x().reshape([10, 100, SIDE]).sum([0, 1]), columns)) ??
      (await relative(x().reshape([-1]).sum(), [total])),
  },
  {
    name: "sum to 1e-5 where all are equal, which rounds worst",
    check: () => relative(pg.add(x().mul(0), 0.1).sum(), [0.1 * SIDE * SIDE]),
  },
  { name: "have their maxima", check: () => relative(x().max(0), largest, 0) },
  {
    name: "are computed with one by one",
    check: () =>
      relative(
        x().mul(2).add(1),
        Float64Array.from(values, (value) => 2 * value + 1),
        1e-6,
      ),
  },
];

/** Three rows of some length: their sums and maxima, also padded and looked up. */
async function checkLength(length: number): Promise<string | null> {
  const own = values.subarray(0, 3 * length);
  const t = tensor(own, { shape: [3, length] });
  const padded = t.pad([
    [0, 0],
    [1, 2],
  ]);
  const reversed = tensor(
    Array.from({ length }, (_, i) => length - 1 - i),
    { dtype: "int32" },
  );
  const rowsOf = [0, 1, 2].map((row) => own.subarray(row * length, (row + 1) * length));
  const sums = rowsOf.map((row) => row.reduce((a, b) => a + b, 0));
  return (
    (await relative(t.sum(1), sums)) ??
    (await relative(
      t.max(1),
      rowsOf.map((row) => Math.max(...row)),
      0,
    )) ??
    (await relative(
      padded.sub(1).square().sum(1),
      rowsOf.map((row) => row.reduce((sum, value) => sum + (value - 1) ** 2, 3)),
    )) ??
    (await relative(
      pg.gather(t, reversed, 1).mul(t).sum(1),
      rowsOf.map((row) => row.reduce((sum, value, i) => sum + value * row[length - 1 - i]!, 0)),
    ))
  );
}

/** Axes around the lengths that loops over several elements a turn begin and end at. */
export const LENGTHS: readonly Check[] = [1, 3, 4, 7, 8, 15, 16, 17, 18, 19, 31, 33].map(
  (length) => ({ name: `of ${length} elements`, check: () => checkLength(length) }),
);

async function checkProduct(m: number, k: number, n: number): Promise<string | null> {
  const a = values.subarray(0, m * k);
  const b = values
    .subarray(0, k * n)
    .slice()
    .reverse();
  const found = await pg.matmul(tensor(a, { shape: [m, k] }), tensor(b, { shape: [k, n] })).data();
  const turned = await pg
    .matmul(tensor(b, { shape: [n, k] }), tensor(a, { shape: [k, m] }))
    .transpose()
    .data();
  // A sample of the elements: all of the first and last rows and columns.
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j += i === 0 || i === m - 1 ? 1 : Math.max(1, n - 1)) {
      let [sum, other] = [0, 0];
      for (let l = 0; l < k; l++) {
        sum += a[i * k + l]! * b[l * n + j]!;
        other += b[j * k + l]! * a[l * m + i]!;
      }
      const [one, two] = [found[i * n + j]!, turned[i * n + j]!];
      if (!(Math.abs(one / sum - 1) < 1e-5)) return `element ${i},${j}: ${one} for ${sum}`;
      if (!(Math.abs(two / other - 1) < 1e-5)) return `turned, ${i},${j}: ${two} for ${other}`;
    }
  }
  return null;
}

export const PRODUCTS: readonly Check[] = (
  [
    [256, 256, 256],
    [257, 131, 193],
    [1, 1000, 1000],
    [1000, 1000, 1],
    [700, 3, 900],
  ] as const
).map(([m, k, n]) => ({
  name: `[${m},${k}] × [${k},${n}]`,
  check: () => checkProduct(m, k, n),
}));
