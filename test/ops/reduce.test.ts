/**
 * Reductions over any axes against plain loops.
 */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { type Axes, type ReduceOptions, setDevice, type Tensor, tensor } from "../../src/index.js";
import {
  arrayOf,
  expectTensor,
  forAll,
  type Reference,
  reduce,
  shapes,
  toTensor,
  total,
} from "./reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

type Reduction = (x: Tensor, axes?: Axes, options?: ReduceOptions) => Tensor;

const mean = (values: number[]): number => total(values) / values.length;
const logSumExp = (values: number[]): number => {
  const largest = Math.max(...values);
  if (!Number.isFinite(largest)) return largest;
  return Math.log(total(values.map((value) => Math.exp(value - largest)))) + largest;
};

/** Reductions, and whether they are defined over no elements. */
const REDUCTIONS: [string, Reduction, (values: number[]) => number, emptyToo: boolean][] = [
  ["sum", pg.sum, total, true],
  ["mean", pg.mean, mean, true],
  ["max", pg.max, (values) => Math.max(...values), false],
  ["min", pg.min, (values) => Math.min(...values), false],
  ["logSumExp", pg.logSumExp, logSumExp, false],
  [
    "variance",
    pg.variance,
    (values) => mean(values.map((value) => (value - mean(values)) ** 2)),
    true,
  ],
  ["norm", pg.norm, (values) => Math.hypot(...values), true],
];

/** An array and some of its axes, counted from either end. */
const reducing = (minExtent: number): fc.Arbitrary<[Reference, number[]]> =>
  shapes({ maxRank: 4, minExtent }).chain((shape) =>
    fc.tuple(
      arrayOf(shape),
      fc
        .shuffledSubarray([...shape.keys()])
        .map((axes) => axes.map((axis) => (axis % 2 === 0 ? axis : axis - shape.length))),
    ),
  );

for (const [name, operation, reference, emptyToo] of REDUCTIONS) {
  describe(name, () => {
    it("reduces any axes, and all by default", () =>
      forAll(
        [reducing(emptyToo ? 0 : 1), fc.boolean()],
        async ([x, axes], keepDims) => {
          const t = toTensor(x);
          await expectTensor(
            operation(t, axes, { keepDims }),
            reduce(reference, x, axes, keepDims),
          );
          const all = [...x.shape.keys()];
          await expectTensor(
            operation(t, undefined, { keepDims }),
            reduce(reference, x, all, keepDims),
          );
        },
        80,
      ));

    it("reduces views", () =>
      forAll(
        [reducing(1)],
        async ([x, axes]) => {
          const t = pg.flip(toTensor(x)).transpose();
          const values = { shape: t.shape, values: Array.from(await t.data()) };
          await expectTensor(
            operation(pg.flip(toTensor(x)).transpose(), axes),
            reduce(reference, values, axes),
          );
        },
        30,
      ));

    it("takes one axis as a number", async () => {
      const x: Reference = { shape: [2, 3], values: [1, 5, 2, 8, 0, 3] };
      await expectTensor(operation(toTensor(x), -1), reduce(reference, x, [1]));
    });

    it("gives NaN where there is one", async () => {
      const x = tensor([
        [1, Number.NaN],
        [2, 3],
      ]);
      const found = await operation(x, 1).data();
      expect(found[0]).toBeNaN();
      expect(found[1]).not.toBeNaN();
    });

    it("refuses axes that do not exist or repeat", () => {
      const x = pg.zeros([2, 3]);
      expect(() => operation(x, 2)).toThrow(/axis 2 is out of range: axes are -2 … 1/);
      expect(() => operation(x, [0, -2])).toThrow(/axes \[0,-2\] name an axis twice/);
      expect(() => operation(x, 2)).toThrow(new RegExp(`^${name}: `));
    });
  });
}

describe("sums", () => {
  it("over no elements are 0", async () => {
    expect(await pg.sum(pg.zeros([0])).item()).toBe(0);
    expect(await pg.sum(toTensor({ shape: [0], values: [] })).item()).toBe(0);
    expect(await pg.sum(toTensor({ shape: [2, 0], values: [] }), 1).array()).toEqual([0, 0]);
    expect(await pg.sum(toTensor({ shape: [2, 0], values: [] }), 0).array()).toEqual([]);
  });

  it("count true booleans", async () => {
    const count = tensor([true, false, true]).sum();
    expect(count.dtype).toBe("int32");
    expect(await count.item()).toBe(2);
  });

  it("over no axes change nothing", async () => {
    expect(await tensor([1, 2]).sum([]).array()).toEqual([1, 2]);
    expect(await tensor([1, 2]).max([]).array()).toEqual([1, 2]);
    expect(
      await tensor([[3]])
        .sum()
        .item(),
    ).toBe(3);
  });
});

describe("means", () => {
  it("of integers are float32", async () => {
    const x = tensor([1, 2], { dtype: "int32" }).mean();
    expect(x.dtype).toBe("float32");
    expect(await x.item()).toBe(1.5);
    expect(await tensor([true, false]).mean().item()).toBe(0.5);
  });

  it("of large integers do not overflow", async () => {
    expect(await tensor([2147483647, 2147483647], { dtype: "int32" }).mean().item()).toBe(2 ** 31);
  });

  it("over no elements are NaN", async () => {
    expect(await pg.mean(toTensor({ shape: [0], values: [] })).item()).toBeNaN();
    expect(await pg.mean(pg.zeros([0])).item()).toBeNaN();
  });
});

describe("variance and std", () => {
  const x = tensor(
    [
      [1, 2, 4],
      [5, 5, 5],
    ],
    { dtype: "float64" },
  );

  it("are over the population, or estimated with a correction", () =>
    forAll([reducing(1), fc.constantFrom(0, 1, 0.5)], async ([values, axes], correction) => {
      const spread = (list: number[]): number => {
        const squares = total(list.map((value) => (value - mean(list)) ** 2));
        return squares / Math.max(0, list.length - correction);
      };
      const [v, s] = [pg.variance, pg.std].map((f) => f(toTensor(values), axes, { correction }));
      await expectTensor(v!, reduce(spread, values, axes));
      await expectTensor(
        s!,
        reduce((list) => Math.sqrt(spread(list)), values, axes),
        1e-7,
      );
    }));

  it("have PyTorch's numbers", async () => {
    // torch.std(x, 1, correction=0), torch.std(x, 1), torch.var(x)
    const [population, sample] = [pg.std(x, 1), pg.std(x, 1, { correction: 1 })];
    expect((await population.data())[0]).toBeCloseTo(1.247219128924647, 14);
    expect((await sample.data())[0]).toBeCloseTo(1.5275252316519468, 14);
    expect(await x.variance(undefined, { correction: 1 }).item()).toBeCloseTo(3.066666666667, 11);
  });

  it("keep reduced axes, and are NaN without elements to spare", async () => {
    expect(pg.std(x, 1, { keepDims: true }).shape).toEqual([2, 1]);
    expect(await tensor([3]).variance(0, { correction: 1 }).item()).toBeNaN();
    expect(await pg.std(tensor([3])).item()).toBe(0);
  });

  it("of equal elements have gradient 0, as norm has at 0", async () => {
    const [slope] = pg.gradients(pg.std(x, 1).sum(), [x]);
    const [row, equal] = (await slope!.array()) as number[][];
    const deviations = [1, 2, 4].map((value) => (value - 7 / 3) / (3 * 1.247219128924647));
    row!.forEach((value, i) => {
      expect(value).toBeCloseTo(deviations[i]!, 14);
    });
    expect(equal).toEqual([0, 0, 0]);
    const origin = pg.zeros([2]);
    const [flat] = pg.gradients(pg.norm(origin), [origin]);
    expect(await flat!.array()).toEqual([0, 0]);
    const [curvature] = pg.gradients(flat!.sum(), [origin]);
    expect(await curvature!.array()).toEqual([0, 0]);
  });
});

describe("norm", () => {
  it("is the Euclidean length of rows, or of all elements", async () => {
    const x = tensor([
      [3, 4],
      [0, 12],
    ]);
    expect(await pg.norm(x, 1).array()).toEqual([5, 12]);
    expect(await pg.norm(x).item()).toBe(13);
    expect(await pg.norm(tensor([3, 4], { dtype: "int32" })).item()).toBe(5);
  });
});

describe("maxima and minima", () => {
  it("over no elements do not exist", () => {
    const x = pg.zeros([2, 0]);
    expect(() => pg.max(x, 1)).toThrow("max: axis 1 of [2,0] is empty and has no maximum");
    expect(() => pg.min(x, 1)).toThrow(/^min: axis 1 of \[2,0\] is empty/);
    expect(pg.max(pg.zeros([0, 2]), 1).shape).toEqual([0]);
  });

  it("of infinities are infinite", async () => {
    const x = tensor([
      [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
      [1, Number.POSITIVE_INFINITY],
    ]);
    expect(await x.max(1).array()).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
    expect(await x.min(1).array()).toEqual([Number.NEGATIVE_INFINITY, 1]);
  });

  it("of int32 reach both ends of the range", async () => {
    const x = tensor([-2147483648, 5, 2147483647], { dtype: "int32" });
    expect(await x.max().item()).toBe(2147483647);
    expect(await x.min().item()).toBe(-2147483648);
  });

  it("of booleans are int32", async () => {
    expect(await tensor([true, false]).max().item()).toBe(1);
    expect(await tensor([true, false]).min().item()).toBe(0);
    expect(tensor([true]).max().dtype).toBe("int32");
  });
});
