/**
 * A penalty exp(x_j) for each weight, chosen on validation data: hypergradients and the optimum against
 * the closed form of ridge regression, hypergradients of logistic regression against differences.
 */

import { describe, expect, it } from "vitest";
import { bilevelStep, type NestedOptions } from "../../src/bilevel/bilevelStep.js";
import { logSigmoid, matmul, mean } from "../../src/ops/index.js";
import { adamw } from "../../src/optim/adamw.js";
import { cosineSchedule } from "../../src/optim/schedules.js";
import { realize } from "../../src/tensor/evaluate.js";
import { randomGenerator } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { expectNear, matrix, numbers, vector } from "./quadratic.js";

const features = 4;
const next = randomGenerator("ridge");
const random = (): number => 2 * next() - 1;
const rows = (count: number): number[][] =>
  Array.from({ length: count }, () => Array.from({ length: features }, random));

const product = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const times = (A: readonly number[][], v: readonly number[]): number[] =>
  A.map((row) => product(row, v));
const transposed = (A: readonly number[][]): number[][] =>
  Array.from({ length: features }, (_, j) => A.map((row) => row[j]!));

/** H⁻¹b by Gaussian elimination; H is positive definite. */
function solved(H: readonly number[][], b: readonly number[]): number[] {
  const M = H.map((row, i) => [...row, b[i]!]);
  for (let k = 0; k < features; k++) {
    for (let i = 0; i < features; i++) {
      if (i === k) continue;
      const factor = M[i]![k]! / M[k]![k]!;
      M[i] = M[i]!.map((value, j) => value - factor * M[k]![j]!);
    }
  }
  return M.map((row, i) => row[features]! / row[i]!);
}

const trainRows = rows(12);
const trainTargets = Array.from({ length: 12 }, (_, i) => product(trainRows[i]!, [2, -1, 1.5, 1]));
const noisy = trainTargets.map((target) => target + 0.5 * random());
const validationRows = rows(10);

/** AᵀA + diag(exp x), y* = its inverse times Aᵀb. */
function closedForm(x: readonly number[]): { H: number[][]; y: number[] } {
  const columns = transposed(trainRows);
  const H = columns.map((a, i) =>
    columns.map((b, j) => product(a, b) + (i === j ? Math.exp(x[i]!) : 0)),
  );
  return { H, y: solved(H, times(columns, noisy)) };
}

/** Validation targets that the weights at these x fit exactly: F has its minimum, 0, there. */
const optimum = [-0.5, 0.8, 0.2, -1];
const validationTargets = times(validationRows, closedForm(optimum).y);

/** dF/dx_j = −exp(x_j)·y_j·v_j, Hv = ∇_y f. */
function closedHypergradient(x: readonly number[]): number[] {
  const { H, y } = closedForm(x);
  const errors = times(validationRows, y).map((fit, i) => fit - validationTargets[i]!);
  const v = solved(H, times(transposed(validationRows), errors));
  return v.map((value, j) => -Math.exp(x[j]!) * y[j]! * value);
}

const halfSquare = (A: Tensor, y: Tensor, b: Tensor): Tensor =>
  matmul(A, y).sub(b).square().sum().mul(0.5);
const [A, b] = [matrix(...trainRows), vector(...noisy)];
const [V, t] = [matrix(...validationRows), vector(...validationTargets)];
const ridge = {
  upper: (_: Tensor, y: Tensor) => halfSquare(V, y, t),
  lower: (x: Tensor, y: Tensor) => halfSquare(A, y, b).add(x.exp().mul(y.square()).sum().mul(0.5)),
};
const zeros = (): Tensor => vector(0, 0, 0, 0);

describe("ridge regression with a penalty exp(x_j) per weight", () => {
  const solver = { lowerSteps: 400, lowerLearningRate: 0.1 };
  const methods: readonly (NestedOptions & { readonly tolerance?: number })[] = [
    { method: "implicit-cg", ...solver },
    { method: "implicit-neumann", terms: 300, ...solver },
    { method: "unrolled", ...solver },
    { method: "truncated", ...solver, backwardSteps: 200 },
  ];

  it.each(methods)("$method gives the closed form's hypergradient", async (options) => {
    const x = [0.3, -0.2, 0.5, 0.1];
    const step = await bilevelStep(ridge, { x: vector(...x), y: zeros() }, options);
    expectNear(await numbers(step.y), closedForm(x).y, 1e-8);
    expectNear(await numbers(step.hypergradient), closedHypergradient(x), 1e-7);
  });

  it("value-function gives it up to O(1/λ)", async () => {
    const x = [0.3, -0.2, 0.5, 0.1];
    const expected = closedHypergradient(x);
    const errorAt = async (penalty: number): Promise<number> => {
      const options = { method: "value-function", penalty, ...solver } as const;
      const step = await bilevelStep(ridge, { x: vector(...x), y: zeros() }, options);
      const found = await numbers(step.hypergradient);
      return Math.hypot(...found.map((value, j) => value - expected[j]!));
    };
    const [coarse, fine] = [await errorAt(100), await errorAt(1000)];
    expect(fine).toBeLessThan(0.01 * Math.hypot(...expected));
    expect(coarse / fine).toBeGreaterThan(8);
    expect(coarse / fine).toBeLessThan(12);
  });

  it("descending it finds the penalties the validation data were made with", async () => {
    const steps = 600;
    const optimizer = adamw({
      learningRate: cosineSchedule({ learningRate: 0.2, totalSteps: steps }),
      weightDecay: 0,
    });
    let [x, y] = [zeros(), zeros()];
    let state = optimizer.init(x);
    for (let i = 0; i < steps; i++) {
      const step = await bilevelStep(
        ridge,
        { x, y },
        { method: "implicit-cg", lowerSteps: 40, lowerLearningRate: 0.1 },
      );
      [x, state] = optimizer.update(step.hypergradient, state, x);
      y = step.y;
      await realize(x, state);
    }
    expectNear(await numbers(x), optimum, 1e-4);
  });
});

describe("logistic regression with a penalty exp(x_j) per weight", () => {
  const signs = (of: number[][]): Tensor =>
    vector(...of.map((row) => (product(row, [2, -1, 0, 0]) + 0.5 * random() > 0 ? 1 : -1)));
  const [trainSigns, validationSigns] = [signs(trainRows), signs(validationRows)];
  const logistic = {
    upper: (_: Tensor, y: Tensor) => mean(logSigmoid(matmul(V, y).mul(validationSigns))).neg(),
    lower: (x: Tensor, y: Tensor) =>
      mean(logSigmoid(matmul(A, y).mul(trainSigns)))
        .neg()
        .add(x.exp().mul(y.square()).sum().mul(0.05)),
  };
  const solver = { lowerSteps: 400, lowerLearningRate: 2 };

  it("implicit-cg gives the derivative of the solved problem", async () => {
    const x = [0.3, -0.2, 0.5, 0.1];
    const F = async (at: readonly number[]): Promise<number> => {
      const variables = { x: vector(...at), y: zeros() };
      const step = await bilevelStep(logistic, variables, { method: "direct", ...solver });
      return step.upperLoss.item();
    };
    const h = 1e-5;
    const differences: number[] = [];
    for (let j = 0; j < features; j++) {
      const moved = (by: number) => F(x.map((value, i) => (i === j ? value + by : value)));
      differences.push(((await moved(h)) - (await moved(-h))) / (2 * h));
    }
    const step = await bilevelStep(
      logistic,
      { x: vector(...x), y: zeros() },
      { method: "implicit-cg", tolerance: 1e-10, ...solver },
    );
    expect(step.outcome).toBe("converged");
    expect(step.iterations).toBeLessThanOrEqual(features + 1);
    expect(await step.lowerResidual.item()).toBeLessThan(1e-9);
    expectNear(await numbers(step.hypergradient), differences, 1e-8);
  });
});
