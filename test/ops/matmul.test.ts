/**
 * Matrix products of all ranks and of views against a triple loop.
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
  matmul,
  type Reference,
  shapes,
  toTensor,
} from "./reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const extent = fc.integer({ min: 0, max: 4 });
const random = (shape: number[], seed: number): Tensor =>
  pg.randomNormal(shape, { seed, dtype: "float64" });
const read = async (t: Tensor): Promise<Reference> => ({
  shape: t.shape,
  values: Array.from(await t.data()),
});

/** Two operands whose batch shapes broadcast. */
const operands = fc
  .tuple(shapes({ maxRank: 2, maxExtent: 3 }), extent, extent, extent)
  .chain(([batch, m, k, n]) => {
    const part = fc
      .tuple(
        fc.nat({ max: batch.length }),
        fc.array(fc.boolean(), { minLength: batch.length, maxLength: batch.length }),
      )
      .map(([dropped, ones]) => batch.map((size, d) => (ones[d] ? 1 : size)).slice(dropped));
    return fc.tuple(
      part.chain((leading) => arrayOf([...leading, m, k])),
      part.chain((leading) => arrayOf([...leading, k, n])),
    );
  });

describe("matmul", () => {
  it("multiplies matrices and broadcast batches of them, empty ones included", () =>
    forAll(
      [operands],
      ([a, b]) => expectTensor(pg.matmul(toTensor(a), toTensor(b)), matmul(a, b)),
      200,
    ));

  it("reads transposed operands", () =>
    forAll(
      [operands, fc.boolean(), fc.boolean()],
      ([a, b], left, right) => {
        const turned = (x: Reference): Tensor => {
          const order = x.shape.map((_, d) => d);
          const shape = [...x.shape.slice(0, -2), ...x.shape.slice(-2).reverse()];
          const flipped = build(shape, (index) =>
            at(x, [...index.slice(0, -2), ...index.slice(-2).reverse()]),
          );
          return toTensor(flipped).transpose([...order.slice(0, -2), ...order.slice(-2).reverse()]);
        };
        return expectTensor(
          pg.matmul(left ? turned(a) : toTensor(a), right ? turned(b) : toTensor(b)),
          matmul(a, b),
        );
      },
      100,
    ));

  it("reads views of every kind", async () => {
    const views: [string, Tensor][] = [
      ["slice", random([4, 5], 1).slice([1, 4], [0, 4])],
      ["strided slice", random([6, 8], 2).slice([0, 6, 2], [1, 8, 2])],
      ["reversed", pg.flip(random([3, 4], 3))],
      ["reversed transpose", pg.flip(random([4, 3], 4)).transpose()],
      ["broadcast row", random([4], 5).broadcastTo([3, 4])],
      ["broadcast column", random([3, 1], 6).broadcastTo([3, 4])],
      ["broadcast scalar", tensor(2, { dtype: "float64" }).broadcastTo([3, 4])],
      ["repeated value", pg.full([3, 4], 0.5, { dtype: "float64" })],
      [
        "padded",
        random([2, 2], 7).pad([
          [1, 0],
          [1, 1],
        ]),
      ],
      ["reshaped", random([2, 6], 8).reshape([3, 4])],
      ["reshaped transpose", random([6, 2], 9).transpose().reshape([3, 4])],
      ["gathered", pg.gather(random([5, 4], 10), tensor([4, 0, 2], { dtype: "int32" }))],
      ["concatenated", pg.concat([random([1, 4], 11), random([2, 4], 12)])],
      ["computed", random([3, 4], 13).exp()],
      ["computed transpose", random([4, 3], 14).tanh().transpose()],
      ["a product", random([3, 2], 15).matmul(random([2, 4], 16))],
      [
        "a transposed product",
        random([4, 2], 17)
          .matmul(random([2, 3], 18))
          .transpose(),
      ],
      ["a sum", random([3, 2, 4], 19).sum(1)],
      ["positions", pg.arange(12).reshape([3, 4]).cast("float64")],
    ];
    const [before, after] = [random([2, 3], 20), random([4, 2], 21)];
    const [left, right] = [await read(before), await read(after)];
    for (const [name, view] of views) {
      const plain = await read(view.add(0));
      await expectTensor(pg.matmul(view, after), matmul(plain, right)).catch((error: Error) => {
        throw new Error(`${name} on the left: ${error.message}`);
      });
      await expectTensor(pg.matmul(before, view), matmul(left, plain)).catch((error: Error) => {
        throw new Error(`${name} on the right: ${error.message}`);
      });
    }
  });

  it("multiplies heads taken out of a merged axis", async () => {
    // [tokens, heads · width] → [heads, tokens, width], as attention does.
    const [q, k] = [random([5, 6], 22), random([5, 6], 23)];
    const heads = (x: Tensor): Tensor => x.reshape([5, 2, 3]).transpose([1, 0, 2]);
    const scores = pg.matmul(heads(q), pg.swapAxes(heads(k), -1, -2));
    const [a, b] = [await read(q), await read(k)];
    await expectTensor(
      scores,
      build([2, 5, 5], ([h, i, j]) =>
        [0, 1, 2].reduce((sum, w) => sum + at(a, [i!, 3 * h! + w]) * at(b, [j!, 3 * h! + w]), 0),
      ),
    );
  });

  it("takes a tensor on both sides", async () => {
    const x = random([3, 3], 24);
    const plain = await read(x);
    await expectTensor(pg.matmul(x, x), matmul(plain, plain));
    await expectTensor(
      pg.matmul(x, x.transpose()),
      matmul(
        plain,
        build([3, 3], ([i, j]) => at(plain, [j!, i!])),
      ),
    );
  });

  describe("of vectors", () => {
    const [v, m, batch] = [random([3], 25), random([3, 4], 26), random([2, 4, 3], 27)];

    it("counts them as a row on the left and a column on the right, and drops their axis", async () => {
      const [vector, matrix, matrices] = [await read(v), await read(m), await read(batch)];
      const row = { ...vector, shape: [1, 3] };
      const column = { ...vector, shape: [3, 1] };
      await expectTensor(pg.matmul(v, m), { shape: [4], values: matmul(row, matrix).values });
      await expectTensor(pg.matmul(m.transpose(), v), {
        shape: [4],
        values: matmul(row, matrix).values,
      });
      await expectTensor(pg.matmul(batch, v), {
        shape: [2, 4],
        values: matmul(matrices, column).values,
      });
      await expectTensor(pg.matmul(v, pg.swapAxes(batch, 1, 2)), {
        shape: [2, 4],
        values: matmul(matrices, column).values,
      });
    });

    it("two vectors give a scalar", async () => {
      const product = pg.matmul(tensor([1, 2, 3]), tensor([4, 5, 6]));
      expect(product.shape).toEqual([]);
      expect(await product.item()).toBe(32);
    });

    it("dot sums the products", async () => {
      expect(await pg.dot(tensor([1, 2, 3]), tensor([4, 5, 6])).array()).toBe(32);
      expect(await pg.dot(pg.ones([2, 3]), pg.ones([2, 3])).array()).toBe(6);
    });
  });

  it("promotes dtypes", async () => {
    const [single, double] = [pg.ones([2, 2]), random([2, 2], 28)];
    expect(pg.matmul(single, double).dtype).toBe("float64");
    expect(pg.matmul(single, tensor([[1], [2]], { dtype: "int32" })).dtype).toBe("float32");
    expect(await pg.matmul(single, tensor([[1], [2]], { dtype: "int32" })).array()).toEqual([
      [3],
      [3],
    ]);
  });

  it("says what does not fit", () => {
    const zeros = (...shape: number[]): Tensor => pg.zeros(shape);
    expect(() => pg.matmul(zeros(2, 3), zeros(4, 5))).toThrow(
      "matmul: inner dimensions differ: [2,3] × [4,5]: the left operand has 3 columns, the right one 4 rows",
    );
    expect(() => pg.matmul(zeros(2), zeros())).toThrow(
      "matmul: needs vectors or matrices, got [2] × []; use mul for scalars",
    );
    expect(() => pg.matmul(tensor([[1]], { dtype: "int32" }), tensor([[true]]))).toThrow(
      "matmul: needs float32 or float64, got int32 and bool; cast first",
    );
  });

  it("names the shapes it was given, also where they are vectors or batches", () => {
    expect(() => pg.matmul(pg.zeros([3]), pg.zeros([4]))).toThrow("[3] × [4]");
    expect(() => pg.matmul(pg.zeros([3]), pg.zeros([4, 2]))).toThrow("[3] × [4,2]");
    expect(() => pg.matmul(pg.zeros([2, 3, 4]), pg.zeros([3, 4, 5]))).toThrow(
      /\[2,3,4\].*\[3,4,5\]/,
    );
  });
});
