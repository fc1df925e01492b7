/**
 * Preference optimization of a small GPT in float32, against PyTorch in double precision.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { valueAndGrad } from "../../src/autograd/transforms.js";
import { chunkedSequenceLogProbs } from "../../src/losses/index.js";
import type { GptParameters } from "../../src/models/gpt.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import {
  batch,
  type Evaluation,
  evaluate,
  ids,
  LOSS_TOLERANCE,
  mask,
  norm,
  train,
} from "./gptTraining.js";
import {
  data,
  type Golden,
  makeParameters,
  model,
  namedParameters,
  xorshift32,
} from "./gptWorkload.js";

function expectWithin(found: ArrayLike<number>, expected: number[], tolerance: number): void {
  expect(found).toHaveLength(expected.length);
  const errors = expected.map((value, i) => Math.abs(found[i]! - value));
  expect(Math.max(...errors)).toBeLessThanOrEqual(tolerance);
}

describe("the workload's generator", () => {
  it("draws the recipe's numbers", () => {
    const { seedParams, seedTokens } = data.config;
    for (const [seed, draws] of [
      [seedParams, data.draws.params],
      [seedTokens, data.draws.tokens],
    ] as const) {
      const draw = xorshift32(seed);
      expect(draws.map(() => draw())).toEqual(draws);
    }
  });

  it("makes the recipe's parameters", async () => {
    const named = namedParameters(makeParameters());
    expect(Object.keys(named)).toEqual(Object.keys(data.paramCheck));
    for (const [name, { first, last, sum, sumsq }] of Object.entries(data.paramCheck)) {
      const values = await named[name]!.data();
      expect([...values.slice(0, 4)]).toEqual(first);
      expect(values.at(-1)).toBe(last);
      expect([...values].reduce((s, x) => s + x, 0)).toBeCloseTo(sum, 9);
      expect([...values].reduce((s, x) => s + x * x, 0)).toBeCloseTo(sumsq, 8);
    }
  });

  it("makes the recipe's tokens", () => {
    expect(batch.chosenLengths).toEqual(data.chosenLengths);
    expect(batch.rejectedLengths).toEqual(data.rejectedLengths);
    const sums = batch.tokens.map((row) => row.reduce((s, token, t) => s + token * (t + 1), 0));
    expect(sums).toEqual(data.tokenChecksums);
  });
});

it("the log-probabilities in chunks of hidden states are PyTorch's too", async () => {
  const parameters = makeParameters();
  const hidden = model.hidden(parameters, ids);
  const found = chunkedSequenceLogProbs(hidden, model.headWeight(parameters), ids, mask, 500);
  const { chosenLogps, rejectedLogps } = data.results["gpt-dpo"];
  expectWithin(await found.data(), [...chosenLogps, ...rejectedLogps], 1e-3);
});

describe.each([
  ["gpt-dpo", "plain"],
  ["gpt-spo", "plain"],
  ["gpt-dpo", "packed"],
] as const)("%s, %s", (name, form) => {
  const golden: Golden = data.results[name];
  let start: Record<keyof Evaluation, ArrayLike<number>>;
  const gradient: Record<string, ArrayLike<number>> = {};

  beforeAll(async () => {
    let seen: Evaluation | undefined;
    const [, gradients] = valueAndGrad((p: GptParameters) => {
      seen = evaluate(name, p, form);
      return seen.loss;
    })(makeParameters());
    await realize(seen, gradients);
    const { chosen, rejected, margins, loss } = seen!;
    start = {
      chosen: await chosen.data(),
      rejected: await rejected.data(),
      margins: await margins.data(),
      loss: await loss.data(),
    };
    for (const [key, t] of Object.entries(namedParameters(gradients))) {
      gradient[key] = await t.data();
    }
  });

  it("has PyTorch's log-probabilities, margins and loss", () => {
    expectWithin(start.chosen, golden.chosenLogps, 1e-3);
    expectWithin(start.rejected, golden.rejectedLogps, 1e-3);
    expectWithin(start.margins, golden.margins, 1e-4);
    expectWithin(start.loss, [golden.loss], LOSS_TOLERANCE[name] * golden.loss);
  });

  it("has PyTorch's gradient norm of every parameter and of all", () => {
    const norms = Object.entries(golden.grads).map(([key, { norm: expected }]) => {
      const found = norm(gradient[key]!);
      expect(Math.abs(found - expected), key).toBeLessThanOrEqual(1e-5 * expected);
      return found;
    });
    expect(Math.abs(norm(norms) - golden.gradNorm)).toBeLessThanOrEqual(1e-5 * golden.gradNorm);
  });

  it("has PyTorch's gradient entries", () => {
    for (const [key, { norm: size, entries }] of Object.entries(golden.grads)) {
      const found = gradient[key]!;
      const tolerance = (1e-4 * size) / Math.sqrt(found.length);
      for (const [at, expected] of Object.entries(entries)) {
        expect(Math.abs(found[Number(at)]! - expected), `${key}[${at}]`).toBeLessThanOrEqual(
          tolerance,
        );
      }
    }
  });
});

// Each loss, and each way to its log-probabilities.
it.each([
  ["gpt-spo", "plain"],
  ["gpt-dpo", "packed"],
] as const)(
  "%s, %s, follows PyTorch through ten steps of AdamW with one plan for all of them",
  async (name, form) => {
    const golden: Golden = data.results[name];
    const before = (await deviceStatistics()).plansCompiled;
    const { losses, meanMargins, parameters, end } = await train(name, 10, form);
    // One for the steps, one for the evaluation at the end.
    expect((await deviceStatistics()).plansCompiled - before).toBe(2);

    const errors = golden.losses.map((expected, k) => Math.abs(losses[k]! - expected) / expected);
    expect(Math.max(...errors)).toBeLessThanOrEqual(LOSS_TOLERANCE[name]);
    expectWithin(meanMargins, golden.meanMargins, 1e-4);
    expectWithin(await end.chosen.data(), golden.after10.chosenLogps, 1e-2);
    expectWithin(await end.rejected.data(), golden.after10.rejectedLogps, 1e-2);
    const named = namedParameters(parameters);
    for (const [key, expected] of Object.entries(golden.after10.paramNorms)) {
      // The key part of this bias has gradient 0 but for rounding, which AdamW magnifies.
      if (key.endsWith("attn.qkv.b")) continue;
      const found = norm(await named[key]!.data());
      expect(Math.abs(found - expected), key).toBeLessThanOrEqual(1e-5 * expected);
    }
  },
  600_000,
);
