/**
 * Learning rates from step to step as transformers' trainers have them.
 * @module
 */

import { checkChoice, checkNumber, checkOptions } from "../checks.js";
import type { Schedule } from "../optim/schedules.js";

/** Names of schedules: transformers' `lr_scheduler_type`. */
export type LrSchedulerType = "linear" | "cosine" | "constant" | "constant_with_warmup";

/** Options of {@link lrScheduler}. */
export interface LrSchedulerOptions {
  /** The highest rate, ≥ 0. */
  readonly learningRate: number;
  /** Steps of the whole run, T. */
  readonly totalSteps: number;
  /** w: steps of warm-up, or below 1 their share of all steps, rounded up; default 0. */
  readonly warmupSteps?: number;
}

/** What remains of the rate when a share of the steps after the warm-up is gone. */
const DECAY: Readonly<Record<LrSchedulerType, (gone: number) => number>> = {
  linear: (gone) => 1 - gone,
  cosine: (gone) => (1 + Math.cos(Math.PI * gone)) / 2,
  constant: () => 1,
  constant_with_warmup: () => 1,
};

/**
 * A schedule by transformers' name. Step t < w of a warm-up has the rate `learningRate · t/w`, so the first step has
 * none; after it the rate is multiplied by `1 − s` (linear), `½(1 + cos πs)` (cosine) or 1, where
 * `s = (t − w)/(T − w)`. `"constant"` has no warm-up. (`linearSchedule` and `cosineSchedule` warm up by `(t+1)/(w+1)`,
 * so that no step is wasted.)
 *
 * @throws for an unknown name and for numbers out of range.
 */
export function lrScheduler(type: LrSchedulerType, options: LrSchedulerOptions): Schedule {
  checkChoice("lrScheduler", "type", type, Object.keys(DECAY));
  checkOptions("lrScheduler", options, "learningRate", "totalSteps", "warmupSteps");
  const { learningRate, totalSteps, warmupSteps = 0 } = options;
  checkNumber("lrScheduler", "learningRate", learningRate, (rate) => rate >= 0, "≥ 0");
  checkNumber("lrScheduler", "totalSteps", totalSteps, (steps) => steps >= 0, "≥ 0");
  const isCount = (w: number): boolean => w >= 0 && (w < 1 || Number.isInteger(w));
  checkNumber("lrScheduler", "warmupSteps", warmupSteps, isCount, "of steps, or a share below 1");
  const warmup =
    type === "constant" ? 0 : warmupSteps < 1 ? Math.ceil(totalSteps * warmupSteps) : warmupSteps;
  return (step) => {
    if (step < warmup) return (learningRate * step) / warmup;
    const gone = (step - warmup) / Math.max(1, totalSteps - warmup);
    return learningRate * DECAY[type](Math.min(1, gone));
  };
}
