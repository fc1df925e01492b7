/**
 * Sorting, positions of maxima, running sums.
 */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { setDevice, type Tensor, tensor } from "../../src/index.js";
import {
  arrayOf,
  at,
  build,
  expectTensor,
  forAll,
  type Reference,
  replaced,
  shapes,
  toTensor,
} from "./reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

/** An array with few distinct values, some of them NaN, and one of its axes. */
const tied = (minExtent: number): fc.Arbitrary<[Reference, number]> =>
  shapes({ minRank: 1, maxRank: 3, minExtent }).chain((shape) =>
    fc.tuple(
      arrayOf(shape, 0, 6).map((x) => ({
        shape,
        values: x.values.map((value) => [0, 1, 2, -1, nan, infinity][Math.floor(value)]!),
      })),
      fc.nat({ max: shape.length - 1 }),
    ),
  );

/** The stable ascending order of numbers, NaN last. */
function orderOf(values: number[]): number[] {
  const rank = (value: number): [number, number] => [
    Number(Number.isNaN(value)),
    Number.isNaN(value) ? 0 : value,
  ];
  return values
    .map((value, i) => [...rank(value), i] as const)
    .sort((a, b) => a[0] - b[0] || (a[1] === b[1] ? 0 : a[1] - b[1]) || a[2] - b[2])
    .map(([, , i]) => i);
}

function alongAxis(x: Reference, axis: number, f: (values: number[]) => number[]): Reference {
  return build([...x.shape], (index) => {
    const line = Array.from({ length: x.shape[axis]! }, (_, i) => at(x, replaced(index, axis, i)));
    return f(line)[index[axis]!]!;
  });
}

/** The first position along an axis of an extreme, or of NaN. */
function firstOf(x: Reference, axis: number, extreme: (line: number[]) => number): Reference {
  const first = alongAxis(x, axis, (line) => {
    const lost = line.findIndex(Number.isNaN);
    return line.map(() => (lost >= 0 ? lost : line.indexOf(extreme(line))));
  });
  return build(
    x.shape.filter((_, d) => d !== axis),
    (index) => at(first, [...index.slice(0, axis), 0, ...index.slice(axis)]),
  );
}

describe("argsort and sort", () => {
  it("argsort is the stable ascending order along any axis, NaN last", () =>
    forAll([tied(0)], async ([x, axis]) => {
      const order = pg.argsort(toTensor(x), axis);
      expect(order.dtype).toBe("int32");
      await expectTensor(order, alongAxis(x, axis, orderOf));
    }));

  it("sort puts the elements in that order", () =>
    forAll([tied(0)], ([x, axis]) =>
      expectTensor(
        pg.sort(toTensor(x), axis),
        alongAxis(x, axis, (line) => orderOf(line).map((i) => line[i]!)),
      ),
    ));

  it("sort of views and of computed values", async () => {
    const x = tensor([
      [3, 1, 2],
      [0, 5, 4],
    ]);
    expect(await pg.sort(x.transpose()).array()).toEqual([
      [0, 3],
      [1, 5],
      [2, 4],
    ]);
    expect(await x.neg().sort().array()).toEqual([
      [-3, -2, -1],
      [-5, -4, -0],
    ]);
    expect(await pg.sort(pg.flip(x, 1)).array()).toEqual([
      [1, 2, 3],
      [0, 4, 5],
    ]);
    expect(await pg.sort(tensor([3, 1], { dtype: "int32" })).array()).toEqual([1, 3]);
    expect(await pg.sort(pg.full([3], 7)).array()).toEqual([7, 7, 7]);
  });

  it("a scalar has no order", () => {
    expect(() => pg.sort(tensor(1))).toThrow(
      "argsort: axis -1 is out of range: a scalar has no axes",
    );
  });
});

describe("topK", () => {
  /** Descending, NaN first, equal ones in their order. */
  const descending = (values: number[]): number[] => {
    const key = (i: number): number => (Number.isNaN(values[i]) ? infinity : values[i]!);
    const isLost = (i: number): number => Number(Number.isNaN(values[i]));
    return [...values.keys()].sort(
      (i, j) => isLost(j) - isLost(i) || (key(i) === key(j) ? i - j : key(j) - key(i)),
    );
  };

  it("gives the k largest in descending order with their positions, along any axis", () =>
    forAll([tied(1), fc.nat(4), fc.boolean()], async ([x, axis], wanted, largest) => {
      const k = Math.min(wanted, x.shape[axis]!);
      const { values, indices } = pg.topK(toTensor(x), k, axis, { largest });
      const shape = replaced(x.shape, axis, k);
      const order = alongAxis(x, axis, largest ? descending : orderOf);
      const chosen = build(shape, (index) => at(order, index));
      expect(indices.dtype).toBe("int32");
      await expectTensor(indices, chosen);
      await expectTensor(
        values,
        build(shape, (index) => at(x, replaced(index, axis, at(chosen, index)))),
      );
    }));

  it("of integers and of booleans", async () => {
    const { values, indices } = pg.topK(tensor([3, -9, 3, 7], { dtype: "int32" }), 3);
    expect(await values.array()).toEqual([7, 3, 3]);
    expect(await indices.array()).toEqual([3, 0, 2]);
    expect(await pg.topK(tensor([false, true]), 1).values.array()).toEqual([true]);
  });

  it("refuses a k that is no number of elements, and unknown options", () => {
    for (const k of [-1, 1.5, Number.NaN]) {
      expect(() => pg.topK(pg.zeros([4, 2]), k)).toThrow(
        `topK: k must be an integer ≥ 0, got ${k}`,
      );
    }
    expect(() => pg.topK(pg.zeros([4, 2]), 3)).toThrow(
      "topK: k must be at most 2, the extent of axis 1, got 3",
    );
    expect(() => pg.topK(pg.zeros([2]), 1, 0, { sorted: true } as never)).toThrow(
      "topK: has no option `sorted`; it has largest",
    );
  });
});

describe("argmin", () => {
  it("is the first of several minima, or the first NaN", () =>
    forAll([tied(1)], ([x, axis]) =>
      expectTensor(
        pg.argmin(toTensor(x), axis),
        firstOf(x, axis, (line) => Math.min(...line)),
      ),
    ));

  it("is int32, along the last axis by default", async () => {
    const x = tensor([
      [1, 9, 1],
      [7, 2, 2],
    ]);
    expect(await pg.argmin(x, 0, { keepDims: true }).array()).toEqual([[0, 1, 0]]);
    expect(await x.argmax(1, { keepDims: true }).array()).toEqual([[1], [0]]);
    expect(pg.argmin(x).dtype).toBe("int32");
    expect(await pg.argmin(x).array()).toEqual([0, 1]);
    expect(await pg.argmin(x, 0).array()).toEqual([0, 1, 0]);
    expect(await pg.argmin(tensor([true, false])).item()).toBe(1);
    expect(await pg.argmin(tensor([infinity, infinity])).item()).toBe(0);
  });

  it("of int32 reaches the end of the range", async () => {
    const ends = [2147483647, -2147483648, -2147483647];
    expect(await pg.argmin(tensor(ends, { dtype: "int32" })).item()).toBe(1);
  });

  it("refuses empty axes", () => {
    expect(() => pg.argmin(pg.zeros([2, 0]))).toThrow("argmin: axis 1 of [2,0] is empty");
  });
});

describe("argmax", () => {
  it("is the first of several maxima, or the first NaN", () =>
    forAll([tied(1)], ([x, axis]) =>
      expectTensor(
        pg.argmax(toTensor(x), axis),
        firstOf(x, axis, (line) => Math.max(...line)),
      ),
    ));

  it("is int32, along the last axis by default", async () => {
    const x = tensor([
      [1, 9, 3],
      [7, 2, 7],
    ]);
    expect(x.argmax().dtype).toBe("int32");
    expect(await x.argmax().array()).toEqual([1, 0]);
    expect(await x.argmax(0).array()).toEqual([1, 0, 1]);
    expect(await pg.argmax(tensor([-infinity, -infinity])).item()).toBe(0);
    expect(await pg.argmax(tensor([1, 2, 2], { dtype: "int32" })).item()).toBe(1);
    expect(await pg.argmax(tensor([false, true])).item()).toBe(1);
  });

  it("refuses empty axes", () => {
    expect(() => pg.argmax(pg.zeros([2, 0]))).toThrow("argmax: axis 1 of [2,0] is empty");
  });
});

describe("cumsum", () => {
  const running = (line: number[]): number[] => {
    let sum = 0;
    return line.map((value) => {
      sum += value;
      return sum;
    });
  };

  it("sums up along any axis", () =>
    forAll(
      [
        shapes({ minRank: 1, maxRank: 3, maxExtent: 9 }).chain((shape) =>
          fc.tuple(arrayOf(shape), fc.nat({ max: shape.length - 1 })),
        ),
      ],
      ([x, axis]) => expectTensor(pg.cumsum(toTensor(x), axis), alongAxis(x, axis, running)),
      30,
    ));

  it("counts booleans, wraps integers, and leaves what comes before a NaN alone", async () => {
    const counts: Tensor = pg.cumsum(tensor([true, false, true]));
    expect(counts.dtype).toBe("int32");
    expect(await counts.array()).toEqual([1, 1, 2]);
    expect(await pg.cumsum(tensor([2147483647, 1], { dtype: "int32" })).array()).toEqual([
      2147483647, -2147483648,
    ]);
    expect(await pg.cumsum(tensor([1, nan, 2])).array()).toEqual([1, nan, nan]);
    expect(await pg.cumsum(tensor([1, infinity, 2])).array()).toEqual([1, infinity, infinity]);
  });
});
