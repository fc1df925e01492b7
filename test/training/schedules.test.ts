/**
 * Learning rates, against those that transformers gives.
 */

import { describe, expect, it } from "vitest";
import { lrScheduler } from "../../src/training/schedules.js";

const rates = (...[type, options]: Parameters<typeof lrScheduler>): number[] =>
  Array.from({ length: options.totalSteps + 1 }, (_, step) => lrScheduler(type, options)(step));

describe("lrScheduler", () => {
  it("linear has the rates of a TRL run: 12 steps, 3 of them warm-up", () => {
    const run = rates("linear", { learningRate: 1e-3, totalSteps: 12, warmupSteps: 3 });
    const trl = [
      0, 0.000333333333, 0.000666666667, 0.001, 0.000888888889, 0.000777777778, 0.000666666667,
      0.000555555556, 0.000444444444, 0.000333333333, 0.000222222222, 0.000111111111, 0,
    ];
    for (const [step, rate] of trl.entries()) expect(run[step]).toBeCloseTo(rate, 12);
  });

  it("cosine falls along half a cosine after the warm-up", () => {
    const run = rates("cosine", { learningRate: 1, totalSteps: 6, warmupSteps: 2 });
    const half = Math.SQRT1_2;
    const expected = [0, 0.5, 1, (1 + half) / 2, 0.5, (1 - half) / 2, 0];
    for (const [step, rate] of expected.entries()) expect(run[step]).toBeCloseTo(rate, 12);
  });

  it("constant has no warm-up, constant_with_warmup has one", () => {
    const options = { learningRate: 2, totalSteps: 4, warmupSteps: 2 };
    expect(rates("constant", options)).toEqual([2, 2, 2, 2, 2]);
    expect(rates("constant_with_warmup", options)).toEqual([0, 1, 2, 2, 2]);
  });

  it("a warm-up below 1 is a share of all steps, rounded up", () => {
    const share = rates("linear", { learningRate: 1, totalSteps: 10, warmupSteps: 0.15 });
    expect(share).toEqual(rates("linear", { learningRate: 1, totalSteps: 10, warmupSteps: 2 }));
  });

  it("rejects names and numbers it does not know", () => {
    const wrong = (options: object, type = "linear") =>
      lrScheduler(type as "linear", { learningRate: 1, totalSteps: 3, ...options });
    expect(() => wrong({}, "polynomial")).toThrow(/type must be one of "linear"/);
    expect(() => wrong({ learningRate: -1 })).toThrow(/learningRate must be a number ≥ 0/);
    expect(() => wrong({ warmupSteps: 1.5 })).toThrow(/warmupSteps must be a number of steps, or/);
    expect(() => wrong({ warmup: 2 })).toThrow(/did you mean `warmupSteps`/);
  });
});
