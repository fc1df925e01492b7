/**
 * Learning rates that change from step to step.
 * @module
 */

import { checkCount, checkNumber, checkOptions } from "../checks.js";

/**
 * A learning rate for each step. Steps count from 0: the first update uses `schedule(0)`. The
 * value enters a plan as a number, so a rate that changes does not compile anything again.
 */
export type Schedule = (step: number) => number;

/** Options of {@link constantSchedule}. */
export interface ConstantScheduleOptions {
  /** The rate after warm-up, > 0. */
  readonly learningRate: number;
  /** Steps of linear warm-up; default 0. */
  readonly warmupSteps?: number;
}

/** Options of {@link linearSchedule} and {@link cosineSchedule}. */
export interface DecayScheduleOptions {
  /** The highest rate, reached at step `warmupSteps`. */
  readonly learningRate: number;
  /** The step at which the decay ends, warm-up included; > `warmupSteps`. */
  readonly totalSteps: number;
  /** Steps of linear warm-up; default 0. */
  readonly warmupSteps?: number;
  /** The rate from `totalSteps` on; default 0. */
  readonly finalLearningRate?: number;
}

/**
 * `learningRate` throughout, after a linear warm-up: step t of w warm-up steps has
 * `learningRate · (t + 1)/(w + 1)`, so that no step is wasted at rate 0.
 *
 * @throws for a rate that is not a number ≥ 0 or a warm-up that is not a count.
 */
export function constantSchedule(options: ConstantScheduleOptions): Schedule {
  checkOptions("constantSchedule", options, "learningRate", "warmupSteps");
  const { learningRate, warmupSteps = 0 } = options;
  checkRate("constantSchedule", "learningRate", learningRate);
  checkCount("constantSchedule", "warmupSteps", warmupSteps);
  return (step) => learningRate * warmup(step, warmupSteps);
}

/**
 * Warm-up as in {@link constantSchedule}, then in a straight line from `learningRate` at step
 * `warmupSteps` down to `finalLearningRate` at step `totalSteps`, and constant from there.
 *
 * @throws for rates that are not numbers ≥ 0, or counts that do not fit together.
 */
export function linearSchedule(options: DecayScheduleOptions): Schedule {
  return decay("linearSchedule", options, (progress) => 1 - progress);
}

/**
 * Warm-up as in {@link constantSchedule}, then along half a cosine:
 * `final + (learningRate − final) · ½(1 + cos π·progress)`, where progress goes from 0 at step
 * `warmupSteps` to 1 at step `totalSteps`, and constant from there
 * (Loshchilov & Hutter 2017, arXiv 1608.03983, without restarts).
 *
 * @throws for rates that are not numbers ≥ 0, or counts that do not fit together.
 */
export function cosineSchedule(options: DecayScheduleOptions): Schedule {
  return decay("cosineSchedule", options, (progress) => (1 + Math.cos(Math.PI * progress)) / 2);
}

function warmup(step: number, warmupSteps: number): number {
  return Math.min(1, (step + 1) / (warmupSteps + 1));
}

function decay(
  name: string,
  options: DecayScheduleOptions,
  shape: (progress: number) => number,
): Schedule {
  checkOptions(name, options, "learningRate", "totalSteps", "warmupSteps", "finalLearningRate");
  const { learningRate, totalSteps, warmupSteps = 0, finalLearningRate = 0 } = options;
  checkRate(name, "learningRate", learningRate);
  checkRate(name, "finalLearningRate", finalLearningRate);
  checkCount(name, "warmupSteps", warmupSteps);
  checkCount(name, "totalSteps", totalSteps);
  if (totalSteps <= warmupSteps) {
    throw new RangeError(
      `${name}: totalSteps must exceed warmupSteps, got ${totalSteps} and ${warmupSteps}`,
    );
  }
  return (step) => {
    if (step < warmupSteps) return learningRate * warmup(step, warmupSteps);
    const progress = Math.min(1, (step - warmupSteps) / (totalSteps - warmupSteps));
    return finalLearningRate + (learningRate - finalLearningRate) * shape(progress);
  };
}

function checkRate(name: string, argument: string, rate: number): void {
  checkNumber(name, argument, rate, (r) => r >= 0, "≥ 0");
}
