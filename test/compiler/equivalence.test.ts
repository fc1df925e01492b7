/**
 * Whole graphs compute what their operations compute one by one.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { realize, setDevice, type Tensor, tensor } from "../../src/index.js";
import { forAll } from "../ops/reference.js";
import { build, type Program, programs } from "./randomGraph.js";

beforeAll(async () => {
  await setDevice("interpreter");
});
afterAll(async () => {
  await pg.setDebug({ checkFinite: false });
});

async function sameValues(together: Tensor[], apart: Tensor[]): Promise<void> {
  await realize(together);
  expect(together.length).toBe(apart.length);
  for (const [i, t] of together.entries()) {
    expect(t.shape).toEqual(apart[i]!.shape);
    const [found, expected] = [await t.data(), await apart[i]!.data()];
    for (const [j, value] of expected.entries()) {
      // Float64 sums may be taken in another order.
      const close = Math.abs(found[j]! - value) <= 1e-9 * Math.max(1, Math.abs(value));
      expect(close || Object.is(found[j], value), `value ${i}[${j}]: ${found[j]} ≠ ${value}`).toBe(
        true,
      );
    }
  }
}

describe("a graph evaluated at once", () => {
  const apart = (program: Program): Promise<Tensor[]> =>
    build(program, { dtype: "float64", between: (value) => realize(value) });

  it("has the values of its operations evaluated one by one", () =>
    forAll(
      [programs(12)],
      async (program) =>
        sameValues(await build(program, { dtype: "float64" }), await apart(program)),
      400,
    ));

  it("has them also where graphs are long", () =>
    forAll(
      [programs(40)],
      async (program) =>
        sameValues(await build(program, { dtype: "float64" }), await apart(program)),
      60,
    ));

  it("has the gradients of its operations evaluated one by one", () =>
    forAll(
      [programs(10)],
      async (program) => {
        const leaves = program.leaves.map(({ shape, seed }) =>
          pg.randomNormal(shape, { seed, dtype: "float64" }),
        );
        const slopes = async (between?: (value: Tensor) => Promise<unknown>): Promise<Tensor[]> => {
          const values = await build(program, {
            dtype: "float64",
            continuous: true,
            leaves,
            ...(between ? { between } : {}),
          });
          return pg.gradients(
            values.map((value) => value.tanh().sum()).reduce((a, b) => a.add(b)),
            leaves,
          );
        };
        // data() keeps the history that gradients follow.
        await sameValues(await slopes(), await slopes((value) => value.data()));
      },
      80,
    ));
});

describe("axes that are split twice", () => {
  const random = (...shape: number[]): Tensor =>
    pg.randomNormal(shape, { seed: 1, dtype: "float64" });
  const rows: [string, () => Tensor][] = [
    ["computed", () => random(4, 3, 5).sigmoid().reshape([12, 5])],
    ["transposed", () => random(3, 4, 5).transpose([1, 0, 2]).reshape([12, 5])],
    ["sliced", () => random(4, 6, 5).slice(null, [0, 6, 2]).reshape([12, 5])],
  ];
  const shapes = [[2, 3, 6], [6, 6], [2, 18], [36], [9, 4], [3, 12]];
  for (const [name, make] of rows) {
    it(`${name} rows: products and sums that are regrouped`, async () => {
      for (const shape of shapes) {
        const right = random(5, 3);
        const product = (x: Tensor): Tensor[] => [
          pg.matmul(x, right).reshape(shape),
          pg.matmul(x, right).reshape(shape).tanh(),
          pg.matmul(x, right).tanh().reshape(shape).mul(2).reshape([4, 9]),
          x.broadcastTo([3, 12, 5]).sum(2).reshape(shape).tanh(),
        ];
        await sameValues(product(make()), product(await realize(make())));
        for (const one of product(make())) await one.data();
      }
    });
  }
});

describe("in-place results", () => {
  it("never overwrite what is still needed", async () => {
    const w = pg.eye(4, { dtype: "float64" });
    const x = pg.matmul(pg.randomNormal([4, 4], { seed: 1, dtype: "float64" }), w);
    const plain = await realize(x.mul(1));
    const y = pg.matmul(x.add(1), w).mul(pg.matmul(x.transpose().add(1), w).transpose());
    const expected = plain.add(1).mul(plain.add(1));
    expect(Array.from(await y.data())).toEqual(Array.from(await expected.data()));
  });
});

describe("setDebug({ checkFinite: true })", () => {
  beforeAll(() => pg.setDebug({ checkFinite: true }));
  const x = tensor([1, 0, 4]);

  it("names the operation that made the first value that is not finite", async () => {
    await expect(
      x
        .log()
        .exp()
        .add(1)
        .mul(pg.log(x.mul(-1)))
        .sum()
        .data(),
    ).rejects.toThrow(/^log\(float32\[3\]\) made a value that is not finite from inputs that are/);
    await expect(pg.div(x, x).sum().data()).rejects.toThrow(
      /^div\(float32\[3\], float32\[3\]\) made/,
    );
    await expect(realize({ a: x.add(1), b: x.mul(1000).exp() })).rejects.toThrow(
      /^exp\(float32\[3\]\) made/,
    );
  });

  it("shows where in the program that was", async () => {
    const culprit = (t: Tensor): Tensor => pg.sqrt(t.sub(2));
    await expect(culprit(x).add(1).data()).rejects.toThrow(/culprit/);
  });

  it("says so when the given values were not finite", async () => {
    await expect(tensor([Number.NaN]).add(1).data()).rejects.toThrow(
      "an evaluated tensor is not finite, and so were the tensors it was made from",
    );
  });

  it("leaves infinities alone that do not reach the result", async () => {
    const masked = pg.where(tensor([true, false, true]), x, Number.NEGATIVE_INFINITY);
    expect(await pg.softmax(masked).sum().item()).toBeCloseTo(1, 6);
  });

  it("does not blame a mask for what another operation did", async () => {
    const masked = pg.where(tensor([true, false, true]), x, Number.NEGATIVE_INFINITY);
    await expect(
      pg
        .softmax(masked)
        .mul(pg.sqrt(x.sub(2)))
        .data(),
    ).rejects.toThrow(/^sqrt/);
  });

  it("leaves values readable", async () => {
    const y = x.log();
    await expect(y.data()).rejects.toThrow(/^log/);
    await pg.setDebug({ checkFinite: false });
    expect(await y.array()).toEqual([0, Number.NEGATIVE_INFINITY, expect.closeTo(Math.log(4), 6)]);
    await pg.setDebug({ checkFinite: true });
  });
});
