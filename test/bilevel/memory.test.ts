/**
 * A training loop of steps holds as much memory at its end as at its beginning, and compiles nothing
 * on the way.
 */

import { expect, it } from "vitest";
import {
  bilevelStep,
  type NestedOptions,
  type SharedOptions,
} from "../../src/bilevel/bilevelStep.js";
import { adamw } from "../../src/optim/adamw.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { isFull } from "../conformance/devices.js";
import { matrix, quadratic, vector } from "./quadratic.js";

const steps = isFull() ? 10_000 : 1000;
const lowerSteps = 1;
const lowerLearningRate = 0.3;
const solver = { lowerSteps, lowerLearningRate };
const rate = 0.01;
const curvatures = matrix([1, 2], [2, 5]);

const shared = {
  upper: (p: Tensor) => p.sub(vector(3, 0)).square().sum().mul(0.5),
  lower: (p: Tensor) => p.mul(curvatures).square().sum().mul(0.5),
};

/** Memory when what nobody holds has been collected, and plans compiled so far. */
async function settled(): Promise<{ bytes: number; buffers: number; plans: number }> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { bytes, buffers, plansCompiled } = await deviceStatistics();
  return { bytes, buffers, plans: plansCompiled };
}

async function expectFlat(step: () => Promise<void>): Promise<void> {
  for (let i = 0; i < 20; i++) await step();
  const early = await settled();
  for (let i = 20; i < steps; i++) await step();
  const late = await settled();
  expect(late.plans).toBe(early.plans);
  // A few scalars may wait for the next collection.
  expect(late.buffers).toBeLessThanOrEqual(early.buffers + 8);
  expect(late.bytes).toBeLessThanOrEqual(early.bytes + 128);
}

const nestedMethods: readonly NestedOptions[] = [
  { method: "unrolled", ...solver },
  { method: "unrolled", lowerSteps, lowerOptimizer: adamw({ learningRate: 0.1 }) },
  { method: "truncated", lowerSteps: 2, backwardSteps: 1, lowerLearningRate },
  { method: "implicit-cg", ...solver },
  { method: "implicit-neumann", terms: 3, ...solver },
  { method: "value-function", penalty: 10, ...solver },
  { method: "direct", ...solver },
];

it.each(nestedMethods)(`${steps} steps of $method hold flat memory`, async (options) => {
  let { x, y, lowerState } = { x: vector(1, 2), y: vector(3, 4), lowerState: undefined as unknown };
  await expectFlat(async () => {
    const state = lowerState === undefined ? {} : { lowerState };
    const step = await bilevelStep(quadratic, { x, y }, { ...options, ...state });
    x = await realize(x.sub(step.hypergradient.mul(rate)));
    ({ y, lowerState } = step);
  });
  expect((await x.data()).every(Number.isFinite)).toBe(true);
});

const sharedMethods: readonly SharedOptions[] = [
  { method: "penalty" },
  { method: "barrier" },
  { method: "lookahead", alpha: 0.1 },
  { method: "alternating", lowerLearningRate: 0.01, upperLearningRate: 0.01 },
];

it.each(sharedMethods)(`${steps} steps of $method hold flat memory`, async (options) => {
  let params = vector(1, 2);
  await expectFlat(async () => {
    const { direction } = await bilevelStep(shared, { params }, options);
    params = await realize(params.sub(direction.mul(rate)));
  });
  expect((await params.data()).every(Number.isFinite)).toBe(true);
});
