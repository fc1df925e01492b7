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

describe("argmax", () => {
  it("is the first of several maxima, or the first NaN", () =>
    forAll([tied(1)], ([x, axis]) => {
      const first = (line: number[]): number => {
        const lost = line.findIndex(Number.isNaN);
        return lost >= 0 ? lost : line.indexOf(Math.max(...line));
      };
      return expectTensor(
        pg.argmax(toTensor(x), axis),
        build(
          x.shape.filter((_, d) => d !== axis),
          (index) =>
            first(
              Array.from({ length: x.shape[axis]! }, (_, i) =>
                at(x, [...index.slice(0, axis), i, ...index.slice(axis)]),
              ),
            ),
        ),
      );
    }));

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
