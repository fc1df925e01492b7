/**
 * Hessians of the functions on which libraries are known to fail, element by element against
 * float64 differences of the first derivative, and against formulas where there are any.
 */

import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import {
  gradients,
  hessianVectorProduct,
  setDevice,
  type Tensor,
  tensor,
} from "../../src/index.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const float64 = (values: number[] | number[][]): Tensor => tensor(values, { dtype: "float64" });
const A = float64([
  [0.3, -0.7, 0.2, 0.5],
  [0.1, 0.4, -0.6, 0.8],
  [-0.2, 0.9, 0.3, -0.1],
  [0.6, 0.2, -0.3, 0.7],
]);
const WEIGHTS = float64([0.7, -1.3, 0.4, 2.1]);
const POINT = [-1.4, -0.3, 0.6, 1.9];
const POSITIVE = [0.4, 0.9, 1.6, 2.5];

/** Name, function of a vector, where to look, and the second derivative if each element has its own. */
const FUNCTIONS: [string, (x: Tensor) => Tensor, number[], ((x: number) => number)?][] = [
  ["exp", pg.exp, POINT, Math.exp],
  ["log", pg.log, POSITIVE, (x) => -1 / x ** 2],
  ["log1p", pg.log1p, POSITIVE, (x) => -1 / (1 + x) ** 2],
  ["expm1", pg.expm1, POINT, Math.exp],
  ["sin", pg.sin, POINT, (x) => -Math.sin(x)],
  ["cos", pg.cos, POINT, (x) => -Math.cos(x)],
  ["tanh", pg.tanh, POINT, (x) => -2 * Math.tanh(x) * (1 - Math.tanh(x) ** 2)],
  ["sigmoid", pg.sigmoid, POINT, (x) => ((s) => s * (1 - s) * (1 - 2 * s))(1 / (1 + Math.exp(-x)))],
  ["softplus", pg.softplus, POINT, (x) => ((s) => s * (1 - s))(1 / (1 + Math.exp(-x)))],
  ["logSigmoid", pg.logSigmoid, POINT, (x) => ((s) => -s * (1 - s))(1 / (1 + Math.exp(-x)))],
  ["relu", pg.relu, POINT, () => 0],
  ["square", pg.square, POINT, () => 2],
  ["sqrt", pg.sqrt, POSITIVE, (x) => -0.25 * x ** -1.5],
  [
    "a chain of matrix products",
    (x) => pg.matmul(A, pg.matmul(A, x.reshape([4, 1])).square()).reshape([4]),
    POINT,
  ],
  ["logSumExp", (x) => pg.logSumExp(x), POINT],
  ["logSoftmax", pg.logSoftmax, POINT],
  ["max", (x) => pg.max(x.square()), POINT],
  ["gather", (x) => pg.gather(x, tensor([2, 0, 0, 3], { dtype: "int32" })).square(), POINT],
  ["division", (x) => pg.div(x, pg.add(pg.flip(x).square(), 1)), POINT],
  ["x³", (x) => x.pow(3), POINT, (x) => 6 * x],
  ["|x|·x", (x) => x.abs().mul(x), POINT, (x) => 2 * Math.sign(x)],
  ["erf", pg.erf, POINT, (x) => (-4 * x * Math.exp(-x * x)) / Math.sqrt(Math.PI)],
];

for (const [name, f, point, formula] of FUNCTIONS) {
  describe(name, () => {
    // Different weights for the elements, so that their Hessians do not cancel.
    const scalar = (x: Tensor): Tensor => {
      const y = f(x);
      return y.size === 1 ? y.sum() : y.mul(WEIGHTS).sum();
    };
    const slope = (x: Tensor): Tensor => gradients(scalar(x), [x])[0]!;
    const hessian = (x: Tensor): Promise<ArrayLike<number>[]> => {
      const g = slope(x);
      return Promise.all(point.map((_, i) => gradients(g.slice(i).sum(), [x])[0]!.data()));
    };
    const unit = (i: number): number[] => point.map((_, j) => Number(i === j));

    it("has the Hessian that differences of its gradient give", async () => {
      const rows = await hessian(float64(point));
      const step = 1e-5;
      for (const j of point.keys()) {
        const moved = (by: number): Promise<ArrayLike<number>> =>
          slope(float64(point.map((x, i) => (i === j ? x + by : x)))).data();
        const [above, below] = [await moved(step), await moved(-step)];
        for (const i of point.keys()) {
          const expected = (above[i]! - below[i]!) / (2 * step);
          expect(Math.abs(rows[i]![j]! - expected), `∂²/∂x${i}∂x${j}`).toBeLessThan(1e-7);
        }
      }
    });

    it("has a symmetric Hessian, whose products with vectors need no Hessian", async () => {
      const rows = await hessian(float64(point));
      for (const i of point.keys()) {
        const column = await hessianVectorProduct(scalar)(float64(point), float64(unit(i))).data();
        for (const j of point.keys()) {
          expect(Math.abs(column[j]! - rows[i]![j]!)).toBeLessThan(1e-12);
          expect(Math.abs(rows[j]![i]! - rows[i]![j]!)).toBeLessThan(1e-12);
        }
      }
    });

    if (formula) {
      it("has the second derivative of its formula", async () => {
        const x = float64(point);
        const second = await gradients(gradients(f(x), [x])[0]!, [x])[0]!.data();
        for (const [i, value] of point.entries()) expect(second[i]).toBeCloseTo(formula(value), 12);
      });
    }
  });
}

describe("third derivatives", () => {
  it("of exp, sin-like products and powers", async () => {
    const third = (f: (x: Tensor) => Tensor): ((x: Tensor) => Tensor) =>
      pg.grad(pg.grad(pg.grad(f)));
    const x = tensor(0.7, { dtype: "float64" });
    expect(await third(pg.exp)(x).item()).toBeCloseTo(Math.exp(0.7), 12);
    expect(await third((t) => t.pow(4))(x).item()).toBeCloseTo(24 * 0.7, 12);
    expect(await third(pg.log)(x).item()).toBeCloseTo(2 / 0.7 ** 3, 12);
    const s = Math.tanh(0.7);
    expect(await third(pg.tanh)(x).item()).toBeCloseTo(-2 * (1 - s * s) * (1 - 3 * s * s), 12);
  });
});
