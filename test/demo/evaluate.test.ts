import { describe, expect, test } from "vitest";
import { arithmeticTask } from "../../bench/demo/arithmeticTask.js";
import { figuresOf, scorePairs } from "../../bench/demo/evaluate.js";
import { modelOf } from "../../bench/demo/train.js";
import { tinySettings } from "./tiny.js";

describe("figuresOf", () => {
  const settings = tinySettings();
  const { heldOut } = arithmeticTask({ ...settings, heldOutPairs: 2 });
  const log = (...values: number[]): Float32Array => Float32Array.from(values, Math.log);
  const sft = { chosen: log(0.6, 0.5), rejected: log(0.3, 0.1) };

  test("of the SFT checkpoint itself, nothing has left", () => {
    expect(figuresOf(sft, null, heldOut)).toMatchObject({ leftBoth: 0, rewardAccuracy: null });
    expect(figuresOf(sft, sft, heldOut)).toMatchObject({ leftBoth: 0, rewardAccuracy: 0 });
  });

  test("reward accuracy counts the margins that grew", () => {
    const now = { chosen: log(0.4, 0.7), rejected: log(0.3, 0.1) };
    expect(figuresOf(now, sft, heldOut).rewardAccuracy).toBe(0.5);
  });

  test("left both: .9 to .45 is a half, a gain counts as nothing", () => {
    const now = { chosen: log(0.4, 0.7), rejected: log(0.05, 0.1) };
    expect(figuresOf(now, sft, heldOut).leftBoth).toBeCloseTo(0.25, 6);
  });

  test("left both is a share even of probabilities that are too small for floating point", () => {
    const far = { chosen: Float32Array.of(-900, -700), rejected: Float32Array.of(-950, -700) };
    const near = { chosen: Float32Array.of(-899, -701), rejected: Float32Array.of(-990, -701) };
    expect(figuresOf(near, far, heldOut).leftBoth).toBeCloseTo((1 - Math.exp(-1)) / 2, 6);
  });

  test("log-probabilities are per token, margins per response", () => {
    const scores = { chosen: Float32Array.of(-1, -3), rejected: Float32Array.of(-2, -2) };
    const tokens = heldOut.reduce((sum, { chosenIds }) => sum + chosenIds.length, 0);
    const figures = figuresOf(scores, sft, heldOut);
    expect(figures.chosenPerToken).toBeCloseTo(-4 / tokens, 6);
    expect(figures.margin).toBe(0);
    expect(figures.preferenceAccuracy).toBe(0.5);
  });
});

test("scorePairs gives the same scores whatever the batch size", async () => {
  const settings = tinySettings();
  const task = arithmeticTask(settings);
  const model = modelOf(settings, task);
  const parameters = model.init(1, { std: 0.3 });
  const [one, three] = await Promise.all(
    [1, 3].map((batchSize) => scorePairs(model, parameters, task.training, { batchSize })),
  );
  expect(new Set(Array.from(one!.chosen)).size).toBe(task.training.length);
  for (const side of ["chosen", "rejected"] as const) {
    for (const [i, score] of Array.from(one![side]).entries()) {
      expect(three![side][i]).toBeCloseTo(score, 4);
    }
  }
});
