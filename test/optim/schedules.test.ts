import { describe, expect, it } from "vitest";
import { constantSchedule, cosineSchedule, linearSchedule } from "../../src/optim/schedules.js";

const steps = (schedule: (step: number) => number, count: number): number[] =>
  Array.from({ length: count }, (_, step) => schedule(step));

const expectClose = (found: number[], expected: number[]): void => {
  expect(found).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 12);
};

describe("schedules", () => {
  it("constantSchedule is constant without warm-up", () => {
    expect(steps(constantSchedule({ learningRate: 0.3 }), 3)).toEqual([0.3, 0.3, 0.3]);
  });

  it("warm-up rises in equal steps and reaches the rate at step warmupSteps", () => {
    const expected = [0.2, 0.4, 0.6, 0.8, 1, 1];
    expectClose(steps(constantSchedule({ learningRate: 1, warmupSteps: 4 }), 6), expected);
  });

  it("linearSchedule falls in a straight line to the final rate and stays there", () => {
    const schedule = linearSchedule({
      learningRate: 1,
      totalSteps: 6,
      warmupSteps: 2,
      finalLearningRate: 0.2,
    });
    expectClose(steps(schedule, 8), [1 / 3, 2 / 3, 1, 0.8, 0.6, 0.4, 0.2, 0.2]);
  });

  it("cosineSchedule is half a cosine: half-way it is at the mean of both rates", () => {
    const schedule = cosineSchedule({ learningRate: 1, totalSteps: 4, finalLearningRate: 0.1 });
    const at = (progress: number): number => 0.1 + 0.45 * (1 + Math.cos(Math.PI * progress));
    expectClose(steps(schedule, 6), [1, at(0.25), 0.55, at(0.75), 0.1, 0.1]);
  });

  it("cosineSchedule decays over what the warm-up leaves", () => {
    const schedule = cosineSchedule({ learningRate: 2, totalSteps: 12, warmupSteps: 2 });
    expectClose(steps(schedule, 3), [2 / 3, 4 / 3, 2]);
    expect(schedule(7)).toBeCloseTo(1, 12);
    expect(schedule(12)).toBeCloseTo(0, 12);
  });

  it("refuses rates and counts that make no sense", () => {
    expect(() => constantSchedule({ learningRate: -1 })).toThrow(
      "constantSchedule: learningRate must be a number ≥ 0, got -1",
    );
    expect(() => constantSchedule({ learningRate: 1, warmupSteps: 1.5 })).toThrow(
      "constantSchedule: warmupSteps must be an integer ≥ 0, got 1.5",
    );
    expect(() => linearSchedule({ learningRate: 1, totalSteps: 5, warmupSteps: 5 })).toThrow(
      "linearSchedule: totalSteps must exceed warmupSteps, got 5 and 5",
    );
    expect(() =>
      cosineSchedule({ learningRate: 1, totalSteps: 5, finalLearningRate: Number.NaN }),
    ).toThrow("cosineSchedule: finalLearningRate must be a number ≥ 0, got NaN");
    expect(() => linearSchedule({ learningRate: 1, totalSteps: 5, warmup: 2 } as never)).toThrow(
      "linearSchedule: has no option `warmup`; did you mean `warmupSteps`?",
    );
    expect(() => constantSchedule(1e-3 as never)).toThrow(
      "constantSchedule: options must be an object { learningRate, warmupSteps }, got 0.001",
    );
  });
});
