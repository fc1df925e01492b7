/**
 * Averages of parameters over the steps of training.
 * @module
 */

import { add, mul } from "../ops/elementwise.js";
import { mapTrees } from "../tensor/tree.js";
import {
  checkFits,
  checkOptimizerState,
  checkParameters,
  type OptimizerState,
  scheduled,
} from "./optimizer.js";
import type { Schedule } from "./schedules.js";

/** State of {@link exponentialMovingAverage}. */
export interface AverageState<P> extends OptimizerState {
  /** The average: a tree like the parameters, to be used in their place. */
  readonly average: P;
}

/** A running average of parameters, a pair of functions as an {@link Optimizer} is. */
export interface ParameterAverage {
  /** The average before the first step: the parameters. */
  init<P>(parameters: P): AverageState<P>;
  /**
   * The average after a step.
   * @param parameters Those the step has made, of the structure, shapes and dtypes of the average.
   */
  update<P>(parameters: P, state: AverageState<P>): AverageState<P>;
}

/**
 * The exponential moving average of parameters, `a ← d·a + (1−d)·p` after each step, from `a = p` before the
 * first one (Polyak & Juditsky 1992; PyTorch's `get_ema_multi_avg_fn`). About the last `1/(1−d)` steps count.
 * An average is often better than the last parameters, and a slowly moving reference policy is one.
 *
 * @param decay d in [0, 1], or a schedule of it: `(step) => Math.min(0.999, (1 + step) / (10 + step))` does
 * not hold on to the first parameters.
 * @throws if `decay` is out of range; when used, if the parameters are not floating point or do not fit the
 * average.
 * @example
 * const ema = exponentialMovingAverage(0.999);
 * let averaged = ema.init(parameters);
 * // In each step, after optimizer.update:
 * averaged = ema.update(parameters, averaged);
 * await realize(parameters, state, averaged);
 */
export function exponentialMovingAverage(decay: number | Schedule): ParameterAverage {
  const name = "exponentialMovingAverage";
  const decayAt = scheduled(name, "decay", decay, (d) => d >= 0 && d <= 1, "in [0, 1]");
  return {
    init: (parameters) => {
      checkParameters(name, parameters);
      return { step: 0, average: parameters };
    },
    update: (parameters, state) => {
      checkOptimizerState(name, state, ["step", "average"]);
      const d = decayAt(state.step);
      const average = mapTrees(
        name,
        ["the parameters", "the average"],
        (p, a) => {
          checkFits(name, p, "average", a!);
          return add(mul(a!, d), mul(p, 1 - d));
        },
        parameters,
        [state.average],
      );
      return { step: state.step + 1, average };
    },
  };
}
