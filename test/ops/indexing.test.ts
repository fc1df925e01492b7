/**
 * Data-dependent indexing against index functions written out.
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
  sizeOf,
  toTensor,
} from "./reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const indices = (values: number[] | number[][]): Tensor => tensor(values, { dtype: "int32" });

/** An array, one of its axes, and positions along it, some of them outside. */
const gathering = fc
  .tuple(shapes({ minRank: 1, maxRank: 3 }), shapes({ maxRank: 2, maxExtent: 3 }), fc.nat())
  .chain(([shape, places, pick]) => {
    const axis = pick % shape.length;
    const count = sizeOf(places);
    return fc.tuple(
      arrayOf(shape),
      fc.constant(axis),
      fc
        .array(fc.integer({ min: -1, max: shape[axis]! }), { minLength: count, maxLength: count })
        .map((values): Reference => ({ shape: places, values })),
    );
  });

describe("gather", () => {
  it("puts the shape of the indices in place of the axis; outside is NaN", () =>
    forAll(
      [gathering],
      ([x, axis, where]) =>
        expectTensor(
          pg.gather(toTensor(x), toTensor(where, "int32"), axis),
          build(
            [...x.shape.slice(0, axis), ...where.shape, ...x.shape.slice(axis + 1)],
            (index) => {
              const found = at(where, index.slice(axis, axis + where.shape.length));
              if (found < 0 || found >= x.shape[axis]!) return Number.NaN;
              return at(x, [
                ...index.slice(0, axis),
                found,
                ...index.slice(axis + where.shape.length),
              ]);
            },
          ),
        ),
      120,
    ));

  it("looks up rows", async () => {
    const table = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(await pg.gather(table, indices([2, 0])).array()).toEqual([
      [5, 6],
      [1, 2],
    ]);
    expect(await table.gather(indices([[1, 1]]), -1).array()).toEqual([
      [[2, 2]],
      [[4, 4]],
      [[6, 6]],
    ]);
    expect(await pg.gather(table, tensor(1, { dtype: "int32" })).array()).toEqual([3, 4]);
  });

  it("gives 0 outside an integer tensor and false outside a boolean one", async () => {
    expect(await pg.gather(indices([7, 8]), indices([-1, 1, 2])).array()).toEqual([0, 8, 0]);
    expect(await pg.gather(tensor([true]), indices([0, 5])).array()).toEqual([true, false]);
  });

  it("finds nothing in an empty axis", async () => {
    expect(await pg.gather(pg.zeros([0, 2]), indices([0])).array()).toEqual([
      [Number.NaN, Number.NaN],
    ]);
  });

  it("reads computed values at computed positions", async () => {
    const x = tensor([1, 2, 3, 4]);
    const places = indices([0, 1]).mul(2).add(1);
    expect(await pg.gather(x.mul(10), places).array()).toEqual([20, 40]);
    expect(await pg.gather(pg.flip(x), places).array()).toEqual([3, 1]);
    expect(await pg.gather(x, pg.gather(indices([3, 2, 1]), indices([2, 0]))).array()).toEqual([
      2, 4,
    ]);
  });

  it("refuses fractional indices", () => {
    expect(() => pg.gather(pg.zeros([3]), tensor([1]))).toThrow(
      "gather: indices must be int32, not float32; cast them",
    );
    expect(() => pg.gather(pg.zeros([3]), indices([1]), 1)).toThrow(
      "gather: axis 1 is out of range",
    );
  });
});

describe("takeAlongAxis", () => {
  const taking = shapes({ minRank: 1, maxRank: 3 }).chain((shape) =>
    fc.tuple(fc.nat({ max: shape.length - 1 }), fc.nat({ max: 3 })).chain(([axis, extent]) => {
      const places = replaced(shape, axis, extent);
      const count = sizeOf(places);
      return fc.tuple(
        arrayOf(shape),
        fc.constant(axis),
        fc
          .array(fc.integer({ min: -1, max: shape[axis]! }), { minLength: count, maxLength: count })
          .map((values): Reference => ({ shape: places, values })),
      );
    }),
  );

  it("takes one element per index; outside is NaN", () =>
    forAll(
      [taking],
      ([x, axis, where]) =>
        expectTensor(
          pg.takeAlongAxis(toTensor(x), toTensor(where, "int32"), axis),
          build([...where.shape], (index) => {
            const found = at(where, index);
            return found < 0 || found >= x.shape[axis]!
              ? Number.NaN
              : at(x, replaced(index, axis, found));
          }),
        ),
      120,
    ));

  it("works along the last axis by default", async () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(await x.takeAlongAxis(indices([[2], [0]])).array()).toEqual([[3], [4]]);
  });

  it("refuses indices of another shape", () => {
    expect(() => pg.takeAlongAxis(pg.zeros([2, 3]), indices([[0]]))).toThrow(
      "takeAlongAxis: indices [1,1] must have the shape [2,3] but for axis 1",
    );
    expect(() => pg.takeAlongAxis(pg.zeros([2, 3]), indices([0, 1]))).toThrow(
      "takeAlongAxis: indices [2]",
    );
    expect(() => pg.takeAlongAxis(pg.zeros([1]), pg.zeros([1]))).toThrow(
      "takeAlongAxis: indices must be int32",
    );
  });
});

describe("scatterAdd", () => {
  it("adds every update at its position; repeats add up, outside is skipped", () =>
    forAll(
      [
        gathering.chain(([x, axis, where]) =>
          fc.tuple(
            fc.constant(x),
            fc.constant(axis),
            fc.constant(where),
            arrayOf([...x.shape.slice(0, axis), ...where.shape, ...x.shape.slice(axis + 1)]),
          ),
        ),
      ],
      ([x, axis, where, updates]) => {
        const sums = new Map<string, number>();
        const rank = where.shape.length;
        build([...updates.shape], (index) => {
          const found = at(where, index.slice(axis, axis + rank));
          const target = [...index.slice(0, axis), found, ...index.slice(axis + rank)].join();
          sums.set(target, (sums.get(target) ?? 0) + at(updates, index));
          return 0;
        });
        return expectTensor(
          pg.scatterAdd(toTensor(x), toTensor(where, "int32"), toTensor(updates), axis),
          build([...x.shape], (index) => at(x, index) + (sums.get(index.join()) ?? 0)),
        );
      },
      120,
    ));

  it("counts", async () => {
    const counts = pg.scatterAdd(pg.zeros([4]), indices([1, 1, 3, 1]), pg.ones([4]));
    expect(await counts.array()).toEqual([0, 3, 0, 1]);
  });

  it("keeps x's dtype", async () => {
    const sums = pg.scatterAdd(indices([1, 2]), indices([0, 0]), indices([5, 6]));
    expect(sums.dtype).toBe("int32");
    expect(await sums.array()).toEqual([12, 2]);
  });

  it("says which shape the updates need", () => {
    expect(() => pg.scatterAdd(pg.zeros([4, 2]), indices([0, 1, 2]), pg.zeros([3]))).toThrow(
      "scatterAdd: updates have shape [3]; for x [4,2] and indices [3] along axis 0 they need [3,2]",
    );
  });
});

describe("writeSlice", () => {
  const rows = (count: number): Tensor => pg.arange(2 * count).reshape([count, 2]);
  const at = (start: number): Tensor => tensor(start, { dtype: "int32" });

  it("replaces rows, from a number or a tensor on", async () => {
    const expected = [
      [0, 1],
      [8, 9],
      [7, 6],
      [6, 7],
    ];
    const update = tensor([
      [8, 9],
      [7, 6],
    ]);
    expect(await pg.writeSlice(rows(4), update, 1).array()).toEqual(expected);
    expect(await pg.writeSlice(rows(4), update, at(1)).array()).toEqual(expected);
    expect(await pg.writeSlice(rows(2), update, 0).array()).toEqual(await update.array());
  });

  it("writes nothing from a tensor outside, and its gradient is then the target's", async () => {
    for (const start of [-1, 3, 1000]) {
      const loss = (update: Tensor): Tensor =>
        pg.writeSlice(rows(4).cast("float32"), update, at(start)).square().sum();
      expect(await pg.writeSlice(rows(4), pg.ones([2, 2]), at(start)).array()).toEqual(
        await rows(4).array(),
      );
      expect(
        await pg
          .grad(loss)(pg.ones([2, 2]))
          .array(),
      ).toEqual([
        [0, 0],
        [0, 0],
      ]);
    }
  });

  it("keeps the target's dtype, and compiles once for all starts", async () => {
    const target = await pg.realize(tensor([1, 2, 3], { dtype: "int32" }));
    const update = await pg.realize(tensor([7.9]));
    expect(pg.writeSlice(target, update, 0).dtype).toBe("int32");
    await pg.writeSlice(target, update, 0).data();
    const { plansCompiled } = await pg.deviceStatistics();
    expect(await pg.writeSlice(target, update, 2).array()).toEqual([1, 2, 7]);
    expect((await pg.deviceStatistics()).plansCompiled).toBe(plansCompiled);
  });

  it("refuses rows that do not fit, and positions that are none", () => {
    expect(() => pg.writeSlice(rows(4), pg.zeros([1, 3]), 0)).toThrow(
      "writeSlice: update [1,3] is not some rows of target [4,2]",
    );
    expect(() => pg.writeSlice(rows(1), rows(2), 0)).toThrow("update [2,2] is not some rows");
    expect(() => pg.writeSlice(tensor(1), tensor(1), 0)).toThrow("update [] is not some rows");
    for (const start of [-1, 3, 0.5, Number.NaN]) {
      expect(() => pg.writeSlice(rows(4), rows(2), start)).toThrow(
        `writeSlice: 2 rows from ${start} on do not lie within the 4 rows of target [4,2]`,
      );
    }
    expect(() => pg.writeSlice(rows(4), rows(2), tensor(1))).toThrow(
      "writeSlice: start must be a number or an int32 scalar, not float32 of shape []",
    );
    expect(() => pg.writeSlice(rows(4), rows(2), indices([1]))).toThrow("not int32 of shape [1]");
  });
});

describe("oneHot", () => {
  it("marks each index; an index outside marks nothing", async () => {
    expect(await pg.oneHot(indices([1, 0, 3, -1]), 3).array()).toEqual([
      [0, 1, 0],
      [1, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(pg.oneHot(indices([[1, 2]]), 5).shape).toEqual([1, 2, 5]);
    expect(pg.oneHot(indices([1]), 2, { dtype: "bool" }).dtype).toBe("bool");
    expect(pg.oneHot(indices([1]), 2).dtype).toBe("float32");
  });
});

describe("positions outside", () => {
  const indices = tensor(Int32Array.of(1, 7, -1, 0));

  it("are skipped by scatterAdd, whose gradient there is 0", async () => {
    const gradient = pg.grad((updates: Tensor) =>
      pg
        .scatterAdd(pg.zeros([3]), indices, updates)
        .square()
        .sum(),
    );
    expect(await gradient(tensor([1, 2, 3, 4])).array()).toEqual([2, 0, 0, 8]);
    const rows = pg.grad((updates: Tensor) =>
      pg
        .scatterAdd(pg.zeros([2, 3]), indices, updates, 1)
        .square()
        .sum(),
    );
    expect(await rows(pg.ones([2, 4])).array()).toEqual([
      [2, 0, 0, 2],
      [2, 0, 0, 2],
    ]);
  });

  it("have finite second derivatives nowhere but where they were read", async () => {
    // d/dx of Σ g·w over what gather read: NaN is read outside, and its cotangent is skipped.
    const x = tensor([1, 2, 3]);
    const slope = pg.grad((y: Tensor) =>
      pg
        .takeAlongAxis(y, tensor(Int32Array.of(2, 5)), 0)
        .slice([0, 1])
        .square()
        .sum(),
    );
    expect(
      await pg
        .grad((y: Tensor) => slope(y).sum())(x)
        .array(),
    ).toEqual([0, 0, 2]);
  });
});
