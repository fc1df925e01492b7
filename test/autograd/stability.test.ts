/**
 * Functions that are stable by construction, at extremes: value and first and second derivative.
 */

import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { type DType, gradients, setDevice, type Tensor, tensor } from "../../src/index.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const infinity = Number.POSITIVE_INFINITY;

async function derivatives(f: (x: Tensor) => Tensor, x: Tensor): Promise<number[][]> {
  const value = f(x);
  const [first] = gradients(value, [x]);
  const [second] = gradients(first!, [x]);
  return Promise.all([value, first!, second!].map(async (t) => Array.from(await t.data())));
}

/** Function, argument, and the limits of value, first and second derivative. */
const LIMITS: [string, (x: Tensor) => Tensor, number, [number, number, number]][] = [
  ["logSigmoid", pg.logSigmoid, 1e4, [0, 0, 0]],
  ["logSigmoid", pg.logSigmoid, -1e4, [-1e4, 1, 0]],
  ["logSigmoid", pg.logSigmoid, 0, [-Math.LN2, 0.5, -0.25]],
  ["softplus", pg.softplus, 1e4, [1e4, 1, 0]],
  ["softplus", pg.softplus, -1e4, [0, 0, 0]],
  ["sigmoid", pg.sigmoid, 1e4, [1, 0, 0]],
  ["sigmoid", pg.sigmoid, -1e4, [0, 0, 0]],
  ["sigmoid", pg.sigmoid, 0, [0.5, 0.25, 0]],
  ["log1mexp", pg.log1mexp, -1e4, [0, 0, 0]],
  ["log1mexp", pg.log1mexp, -200, [0, 0, 0]],
  ["log1mexp", pg.log1mexp, -50, [-Math.exp(-50), -Math.exp(-50), -Math.exp(-50)]],
  ["log1mexp", pg.log1mexp, -1e-4, [Math.log(1e-4), -1e4, -1e8]],
  ["silu", pg.silu, 1e4, [1e4, 1, 0]],
  ["silu", pg.silu, -1e4, [0, 0, 0]],
  ["gelu", pg.gelu, 1e4, [1e4, 1, 0]],
  ["gelu", pg.gelu, -1e4, [0, 0, 0]],
  ["tanh", pg.tanh, 1e4, [1, 0, 0]],
  ["erf", pg.erf, -1e4, [-1, 0, 0]],
];

describe("functions of one element", () => {
  for (const dtype of ["float32", "float64"] satisfies DType[]) {
    for (const [name, f, x, limits] of LIMITS) {
      it(`${name}(${x}) and its derivatives have reached their limits in ${dtype}`, async () => {
        const found = await derivatives(f, tensor([x], { dtype }));
        for (const [order, limit] of limits.entries()) {
          expect(
            Math.abs(found[order]![0]! - limit),
            `order ${order}: ${found[order]}`,
          ).toBeLessThanOrEqual(1e-3 * Math.abs(limit) + 1e-80);
        }
      });
    }
  }
});

describe("functions of rows", () => {
  const rows = [
    [1e4, 0, 1e4 - 1],
    [-1e4, -1e4, -2e4],
    [-infinity, 1, 2],
    [-infinity, -infinity, 3],
  ];
  const functions: [string, (x: Tensor) => Tensor][] = [
    ["logSumExp", (x) => pg.logSumExp(x, 1)],
    ["softmax", (x) => pg.softmax(x)],
    ["log-probability of the last", (x) => pg.logSoftmax(x).slice(null, -1)],
  ];
  for (const dtype of ["float32", "float64"] satisfies DType[]) {
    for (const [name, f] of functions) {
      it(`${name} is finite to second order, with −∞ beside finite elements, in ${dtype}`, async () => {
        // Each row apart: nothing of one may hide in another.
        for (const row of rows) {
          const found = await derivatives((x) => f(x).square(), tensor([row], { dtype }));
          for (const [order, values] of found.entries()) {
            expect(values.every(Number.isFinite), `order ${order} of [${row}]: ${values}`).toBe(
              true,
            );
          }
        }
      });
    }

    it(`logSumExp of a row of −∞ is −∞ and passes no NaN back in ${dtype}`, async () => {
      const x = tensor(
        [
          [-infinity, -infinity],
          [0, 0],
        ],
        { dtype },
      );
      const [value, first, second] = await derivatives((t) => pg.logSumExp(t, 1), x);
      expect(value![0]).toBe(-infinity);
      expect(first!.slice(0, 2)).toEqual([0, 0]);
      expect(first!.slice(2)).toEqual([0.5, 0.5].map((p) => expect.closeTo(p, 6)));
      expect(second!.every(Number.isFinite)).toBe(true);
    });

    it(`a masked row does not disturb its neighbours in ${dtype}`, async () => {
      const x = tensor(
        [
          [-infinity, -infinity],
          [1, 2],
        ],
        { dtype },
      );
      const kept = tensor([[false], [true]]);
      const f = (t: Tensor): Tensor => pg.where(kept, pg.softmax(t), 0).square();
      const [, first, second] = await derivatives(f, x);
      expect(first!.slice(2).every(Number.isFinite)).toBe(true);
      expect(second!.slice(2).every(Number.isFinite)).toBe(true);
    });
  }
});

describe("what is not taken", () => {
  it("has gradient 0, also where it is not finite", async () => {
    const x = tensor([0, -1, 4], { dtype: "float64" });
    const safe = (t: Tensor): Tensor =>
      pg.where(pg.greater(t, 0), pg.sqrt(pg.where(pg.greater(t, 0), t, 1)), 0);
    const [value, first, second] = await derivatives(safe, x);
    expect([value, first, second]).toEqual([
      [0, 0, 2],
      [0, 0, 0.25],
      [0, 0, -0.03125],
    ]);
  });

  it("gets its gradient 0 multiplied by what lies behind it, unless the argument is selected, too", async () => {
    const x = tensor([1000], { dtype: "float64" });
    const small = (t: Tensor): Tensor => pg.lessEqual(t, 0);
    const naive = (t: Tensor): Tensor => pg.where(small(t), t.exp(), t.add(1));
    const selected = (t: Tensor): Tensor =>
      pg.where(small(t), pg.where(small(t), t, 0).exp(), t.add(1));
    expect((await derivatives(naive, x)).slice(0, 2)).toEqual([[1001], [Number.NaN]]);
    expect(await derivatives(selected, x)).toEqual([[1001], [1], [0]]);
  });

  it("maxima ignore infinities they did not choose", async () => {
    const x = tensor([1, 2], { dtype: "float64" });
    const f = (t: Tensor): Tensor => pg.maximum(t, pg.full([2], -infinity, { dtype: "float64" }));
    expect(await derivatives(f, x)).toEqual([
      [1, 2],
      [1, 1],
      [0, 0],
    ]);
  });
});
