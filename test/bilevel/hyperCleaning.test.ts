/**
 * Data hyper-cleaning: a weight σ(x_i) for every training example, learned from 200 clean ones, finds
 * the half of the labels that are wrong.
 */

import { describe, expect, it } from "vitest";
import { bilevelStep, type NestedOptions } from "../../src/bilevel/bilevelStep.js";
import { linear } from "../../src/nn/linear.js";
import {
  argmax,
  logSoftmax,
  mean,
  mul,
  reshape,
  sigmoid,
  takeAlongAxis,
} from "../../src/ops/index.js";
import { adamw } from "../../src/optim/adamw.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import { randomGenerator, randomNormal, randomUniform } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const [classes, features] = [5, 10];
const seed = randomGenerator("hyper-cleaning");
const centers = await randomUniform([classes * features], { seed, low: -2.5, high: 2.5 }).data();

interface Examples {
  readonly inputs: Tensor;
  /** `[examples, 1]`. */
  readonly labels: Tensor;
  readonly isCorrupted: readonly boolean[];
}

/** Normal clusters, of which the first half has another class's label. */
async function examples(count: number, corrupted: number): Promise<Examples> {
  const inputs = await randomNormal([count, features], { seed }).data();
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const own = Math.floor(seed() * classes);
    for (let j = 0; j < features; j++) inputs[i * features + j]! += centers[own * features + j]!;
    const other = 1 + Math.floor(seed() * (classes - 1));
    labels[i] = i < corrupted ? (own + other) % classes : own;
  }
  return {
    inputs: tensor(inputs, { shape: [count, features] }),
    labels: tensor(labels, { shape: [count, 1] }),
    isCorrupted: Array.from(labels, (_, i) => i < corrupted),
  };
}

const count = 400;
const train = await examples(count, count / 2);
const validation = await examples(200, 0);
const test = await examples(1000, 0);

interface Classifier {
  readonly weight: Tensor;
  readonly bias: Tensor;
}
const untrained = (): Classifier => ({
  weight: tensor(new Float32Array(features * classes), { shape: [features, classes] }),
  bias: tensor(new Float32Array(classes)),
});

function crossEntropies(classifier: Classifier, { inputs, labels }: Examples): Tensor {
  const logProbs = logSoftmax(linear(classifier, inputs));
  return reshape(takeAlongAxis(logProbs, labels, -1), [labels.size]).neg();
}

async function accuracy(classifier: Classifier): Promise<number> {
  const chosen = argmax(linear(classifier, test.inputs)).reshape([test.labels.size, 1]);
  return mean(chosen.equal(test.labels).cast("float32")).item();
}

const cleaning = {
  upper: (_: Tensor, y: Classifier) => mean(crossEntropies(y, validation)),
  lower: (x: Tensor, y: Classifier) =>
    mean(mul(sigmoid(x), crossEntropies(y, train)))
      .add(y.weight.square().sum().mul(0.005))
      .add(y.bias.square().sum().mul(0.005)),
};

/** The probability that a clean example weighs more than a corrupted one. */
function areaUnderCurve(weights: ArrayLike<number>): number {
  const of = (corrupted: boolean) =>
    Array.from(weights).filter((_, i) => train.isCorrupted[i] === corrupted);
  const [clean, corrupted] = [of(false), of(true)];
  let above = 0;
  for (const w of clean) for (const v of corrupted) above += w > v ? 1 : w === v ? 0.5 : 0;
  return above / (clean.length * corrupted.length);
}

describe("hyper-cleaning of 400 examples, half of them with wrong labels", () => {
  const solver = { lowerSteps: 20, lowerLearningRate: 0.3 };
  const methods: readonly NestedOptions[] = [
    { method: "implicit-cg", tolerance: 1e-3, ...solver },
    { method: "implicit-neumann", ...solver },
    { method: "unrolled", ...solver },
    { method: "value-function", penalty: 10, ...solver, lowerSteps: 50 },
  ];

  it.each(methods)("by $method separates clean from corrupted", async (options) => {
    const optimizer = adamw({ learningRate: 0.1, weightDecay: 0 });
    let [x, y] = [tensor(new Float32Array(count)), untrained()];
    let state = optimizer.init(x);
    let uncleaned: Classifier | undefined;
    for (let i = 0; i < 60; i++) {
      const step = await bilevelStep(cleaning, { x, y }, options);
      [x, state] = optimizer.update(step.hypergradient, state, x);
      y = step.y;
      uncleaned ??= y;
      await realize(x, state);
    }
    const weights = await x.data();
    expect(areaUnderCurve(new Float32Array(count))).toBe(0.5);
    expect(areaUnderCurve(weights)).toBeGreaterThanOrEqual(0.95);
    expect(await accuracy(y)).toBeGreaterThan(await accuracy(uncleaned!));
  });

  it("by direct learns nothing: the validation loss depends on x only through y", async () => {
    const options = { method: "direct", ...solver } as const;
    const x = tensor(new Float32Array(count));
    const step = await bilevelStep(cleaning, { x, y: untrained() }, options);
    expect((await step.hypergradient.data()).every((g) => g === 0)).toBe(true);
  });
});
