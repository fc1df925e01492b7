/**
 * Composed functions against their formulas, where these hold and where they overflow.
 */

import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { type DType, setDevice, type Tensor, tensor } from "../../src/index.js";
import { erfReference } from "../devices/wasm/erfReference.js";
import {
  arrayOf,
  expectTensor,
  forAll,
  map,
  type Reference,
  reduce,
  shapes,
  toTensor,
  total,
} from "./reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
const some = shapes({ maxRank: 3 }).chain((shape) => arrayOf(shape, -6, 6));

describe("functions of each element", () => {
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
  const functions: [string, (x: Tensor) => Tensor, (x: number) => number][] = [
    ["sigmoid", pg.sigmoid, sigmoid],
    ["logSigmoid", pg.logSigmoid, (x) => Math.log(sigmoid(x))],
    ["softplus", pg.softplus, (x) => Math.log(1 + Math.exp(x))],
    [
      "log1mexp",
      (x) => pg.log1mexp(pg.neg(pg.abs(x))),
      (x) => Math.log(1 - Math.exp(-Math.abs(x))),
    ],
    ["relu", pg.relu, (x) => Math.max(x, 0)],
    ["silu", pg.silu, (x) => x * sigmoid(x)],
    [
      "gelu",
      pg.gelu,
      (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    ],
    [
      "exact gelu",
      (x) => pg.gelu(x, { approximate: "none" }),
      (x) => 0.5 * x * (1 + erfReference(x / Math.SQRT2)),
    ],
  ];
  for (const [name, f, formula] of functions) {
    it(`${name} is its formula`, () =>
      forAll([some], (x) => expectTensor(f(toTensor(x)), map(formula, x), 1e-11)));
    it(`${name} turns integers into float32`, () => {
      const wanted = name === "relu" ? "int32" : "float32";
      expect(f(tensor([1, 2], { dtype: "int32" })).dtype).toBe(wanted);
    });
  }

  it("relu keeps NaN and drops −∞", async () => {
    expect(await pg.relu(tensor([nan, -infinity, infinity])).array()).toEqual([nan, 0, infinity]);
  });
});

describe("softmax, logSoftmax and logSumExp", () => {
  it("are their formulas along any axis", () =>
    forAll(
      [shapes({ minRank: 1, maxRank: 3, minExtent: 1 }).chain((shape) => arrayOf(shape, -6, 6))],
      async (x) => {
        for (const axis of x.shape.keys()) {
          const sums = reduce((values) => total(values.map(Math.exp)), x, [axis], true);
          await expectTensor(
            pg.softmax(toTensor(x), axis),
            map((v, s) => Math.exp(v) / s, x, sums),
          );
          await expectTensor(
            pg.logSoftmax(toTensor(x), axis),
            map((v, s) => v - Math.log(s), x, sums),
          );
          await expectTensor(
            pg.logSumExp(toTensor(x), axis, { keepDims: true }),
            map(Math.log, sums),
          );
        }
      },
    ));

  it("softmax along the last axis by default sums to 1", async () => {
    const y = pg.softmax(pg.randomNormal([4, 5], { seed: 1, std: 10, dtype: "float64" }));
    for (const sum of await y.sum(-1).data()) expect(sum).toBeCloseTo(1, 14);
  });

  it("of empty rows are empty, and the logarithm of their sum is −∞", async () => {
    expect(await pg.softmax(pg.zeros([2, 0])).array()).toEqual([[], []]);
    expect(await pg.logSoftmax(pg.zeros([0, 2])).array()).toEqual([]);
    expect(await pg.logSumExp(pg.zeros([2, 0]), 1).array()).toEqual([-Infinity, -Infinity]);
  });
});

/** The limits of a function and the tolerance at which it has reached them. */
const LIMITS: [string, (x: Tensor) => Tensor, x: number, limit: number][] = [
  ["sigmoid", pg.sigmoid, 1e4, 1],
  ["sigmoid", pg.sigmoid, -1e4, 0],
  ["logSigmoid", pg.logSigmoid, 1e4, 0],
  ["logSigmoid", pg.logSigmoid, -1e4, -1e4],
  ["softplus", pg.softplus, 1e4, 1e4],
  ["softplus", pg.softplus, -1e4, 0],
  ["log1mexp", pg.log1mexp, -1e4, 0],
  ["log1mexp", pg.log1mexp, -1e-30, Math.log(1e-30)],
  ["silu", pg.silu, -1e4, 0],
  ["silu", pg.silu, 1e4, 1e4],
  ["gelu", pg.gelu, -1e4, 0],
  ["gelu", pg.gelu, 1e4, 1e4],
];

describe("at extremes", () => {
  for (const dtype of ["float32", "float64"] satisfies DType[]) {
    for (const [name, f, x, limit] of LIMITS) {
      it(`${name}(${x}) is ${limit} in ${dtype}`, async () => {
        const value = await f(tensor([x], { dtype })).item();
        expect(Math.abs(value - limit)).toBeLessThanOrEqual(1e-6 * Math.abs(limit));
      });
    }

    it(`logSumExp never overflows in ${dtype}`, async () => {
      const rows = tensor(
        [
          [1e4, 1e4],
          [-1e4, -1e4],
          [-infinity, 3],
          [-infinity, -infinity],
          [infinity, 0],
        ],
        { dtype },
      );
      const found = await pg.logSumExp(rows, 1).array();
      const tolerance = 1e-3;
      const expected = [1e4 + Math.LN2, -1e4 + Math.LN2, 3];
      for (const [i, value] of expected.entries()) {
        expect(Math.abs((found as number[])[i]! - value)).toBeLessThan(tolerance);
      }
      expect((found as number[]).slice(3)).toEqual([-infinity, infinity]);
    });

    it(`softmax leaves nothing to −∞ in ${dtype}`, async () => {
      const rows = tensor(
        [
          [-infinity, 3, 3],
          [1e4, -1e4, -infinity],
        ],
        { dtype },
      );
      expect(await pg.softmax(rows).array()).toEqual([
        [0, 0.5, 0.5],
        [1, 0, 0],
      ]);
    });
  }

  // Derivatives far below and far above 0.
  for (const [name, f, below, above] of [
    ["sigmoid", pg.sigmoid, 0, 0],
    ["logSigmoid", pg.logSigmoid, 1, 0],
    ["softplus", pg.softplus, 0, 1],
    ["tanh", pg.tanh, 0, 0],
    ["relu", pg.relu, 0, 1],
    ["silu", pg.silu, 0, 1],
    ["gelu", pg.gelu, 0, 1],
    ["exact gelu", (x: Tensor) => pg.gelu(x, { approximate: "none" }), 0, 1],
  ] as [string, (x: Tensor) => Tensor, number, number][]) {
    it(`far out, ${name} has the slopes ${below} and ${above}, and no curvature`, async () => {
      for (const far of [1e4, 1e15, 1e20, 1e37]) {
        const x = tensor([-far, far]);
        const slope = pg.grad((t: Tensor) => f(t).sum());
        const curvature = pg.grad((t: Tensor) => slope(t).sum());
        expect((await slope(x).add(0).array()) as number[], `${far}`).toEqual([below, above]);
        expect((await curvature(x).add(0).array()) as number[], `${far}`).toEqual([0, 0]);
      }
    });
  }

  it("log1mexp is −∞ at 0 and NaN above", async () => {
    expect(await pg.log1mexp(tensor([0, 1])).array()).toEqual([-infinity, nan]);
  });

  it("small arguments keep their digits", async () => {
    const tiny: Reference = { shape: [2], values: [1e-12, -1e-12] };
    await expectTensor(
      pg.softplus(toTensor(tiny)).sub(Math.LN2).div(toTensor(tiny)),
      map(() => 0.5, tiny),
      1e-3,
    );
    const far = await pg.logSigmoid(tensor([50], { dtype: "float64" })).item();
    expect(far / -Math.exp(-50)).toBeCloseTo(1, 12);
  });
});
