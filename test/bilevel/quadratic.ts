/**
 * A quadratic bilevel problem with known answers,
 * `g = ½yᵀAy + xᵀCy + aᵀy`, `f = ½‖y − t‖² + ½ρ‖x‖²`,
 * and what tests need to compare numbers.
 */

import { expect } from "vitest";
import { dot, matmul } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";

/** A float64 vector. */
export const vector = (...values: number[]): Tensor => tensor(values, { dtype: "float64" });
/** A float64 matrix. */
export const matrix = (...rows: number[][]): Tensor => tensor(rows, { dtype: "float64" });
/** The elements as numbers. */
export const numbers = async (t: Tensor): Promise<number[]> => Array.from(await t.data());

/** No element is further than the tolerance from what it should be. */
export function expectNear(
  found: readonly number[],
  expected: readonly number[],
  tolerance: number,
): void {
  expect(found).toHaveLength(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(found[i]! - value), `${found} against ${expected}`).toBeLessThanOrEqual(
      tolerance,
    );
  });
}

const A = matrix([2, 0.5], [0.5, 1]);
const C = matrix([1, -0.5], [0.25, 2]);
const a = vector(0.3, -0.2);
const target = vector(1, -1);

export const quadratic = {
  upper: (x: Tensor, y: Tensor): Tensor =>
    y.sub(target).square().sum().mul(0.5).add(x.square().sum().mul(0.05)),
  lower: (x: Tensor, y: Tensor): Tensor =>
    dot(y, matmul(A, y))
      .mul(0.5)
      .add(dot(x, matmul(C, y)))
      .add(dot(a, y)),
};

/** Where x is, and a lower iterate far from the solution. */
export const at = { x: vector(0.7, -0.4), y: vector(0, 0) };
/** y*, the lower level's solution. */
export const solution = [-0.9, 1.8] as const;
/** F(x) = f(x, y*). */
export const value = 5.7575;
/** dF/dx. */
export const exact = [3.82714286, -7.05428571] as const;
/** At which gradient descent on g converges. */
export const lowerLearningRate = 0.3;
