/**
 * Float32 sums that add up many rounding errors if they are taken naively: equal elements, whose
 * errors all have one sign.
 */

import { afterAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";

afterAll(() => pg.setDevice("wasm"));

const TENTH = Math.fround(0.1);

/** How far a sum of `count` tenths is off, relatively. */
async function error(sum: pg.Tensor, count: number): Promise<number> {
  return Math.abs((await sum.item()) / (count * TENTH) - 1);
}

describe("float32 sums on wasm are within 1e-5", () => {
  const N = 1 << 20;
  for (const [name, shape, sum, count] of [
    ["of a row", [4 * N], (x) => x.sum(), 4 * N],
    ["of short pieces of rows", [N, 4], (x) => x.slice(null, [0, 3]).sum(), 3 * N],
    ["over outer and inner axes", [N, 2, 2], (x) => x.sum([0, 2]).slice(0), 2 * N],
    ["down a column", [N, 3], (x) => x.sum(0).slice(1), N],
    ["with gaps", [N, 3], (x) => x.slice([null, null, 2], 1).sum(), N / 2],
  ] as [string, number[], (x: pg.Tensor) => pg.Tensor, number][]) {
    it(name, async () => {
      const x = await pg.realize(pg.full(shape, 0.1));
      expect(await error(sum(x), count)).toBeLessThan(1e-5);
    });
  }

  it("and infinite where an element is", async () => {
    const x = pg.where(pg.arange(5000).equal(4321), Number.POSITIVE_INFINITY, 0.1);
    expect(await x.sum().item()).toBe(Number.POSITIVE_INFINITY);
    expect(await x.reshape([1000, 5]).sum(0).max().item()).toBe(Number.POSITIVE_INFINITY);
    expect(await x.mul(0).sum().item()).toBeNaN();
  });
});

describe("a comparison with a product", () => {
  for (const device of ["interpreter", "wasm"] as const) {
    it(`is made before it is stored as bool or int32 on ${device}`, async () => {
      await pg.setDevice(device);
      const product = pg.matmul(pg.tensor([[0.6, 0.2]]), pg.tensor([[1], [0.2]]));
      expect(await product.less(0.5).array()).toEqual([[false]]);
      expect(await product.cast("bool").array()).toEqual([[true]]);
      expect(await product.mul(10).cast("int32").array()).toEqual([[6]]);
    });
  }
});
