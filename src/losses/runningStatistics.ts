/**
 * Running mean and standard deviation of a batch's values, carried explicitly from step to step.
 * @module
 */

import { checkFlag, checkNumber, checkState } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { sqrt, square } from "../ops/index.js";
import { tensor } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkIfNumber, stateScalar } from "./perPair.js";

/** Decay of the running mean and standard deviation per batch. */
const DECAY = 0.9;
/** Added to the standard deviation: at policy = reference it is 0. */
const EPSILON = 1e-6;

/**
 * Exponential averages (decay 0.9) that start from 0, scalars: tensors, as a loss gives them, or plain
 * numbers, as they are read back from a file. Evaluate it with each
 * step (`realize(loss, state)`): a state that never is drags the graph of all earlier steps along.
 */
export interface RunningStatistics {
  readonly mean: Tensor | number;
  readonly std: Tensor | number;
  /** Batches seen. */
  readonly count: number;
}

/** The statistics as a loss gives them. */
export interface UpdatedStatistics extends RunningStatistics {
  readonly mean: Tensor;
  readonly std: Tensor;
}

/** Checks a loss's options `state` and `updateState`, but for what comes with the pairs. */
export function checkStatistics(
  loss: string,
  state: RunningStatistics | undefined,
  update: boolean,
): void {
  checkFlag(loss, "updateState", update);
  if (state === undefined) return;
  checkState(loss, "{ mean, std, count }", state);
  checkIfNumber(loss, "state.mean", state.mean);
  checkIfNumber(loss, "state.std", state.std, (s) => s >= 0, "≥ 0, or a tensor");
  checkNumber(loss, "state.count", state.count, (n) => n >= 0, "≥ 0");
}

/**
 * The statistics with a batch's mean and unbiased standard deviation included. A batch of one value
 * has no standard deviation and leaves them as they are, as does `update: false`.
 */
export function updatedStatistics(
  loss: string,
  values: Tensor,
  state: RunningStatistics | undefined,
  update: boolean,
): UpdatedStatistics {
  if (!update || values.size === 1) {
    if (state === undefined || state.count === 0) {
      const why = update ? "a batch of one pair has no standard deviation" : "updateState is false";
      throw new TypeError(`${loss}: ${why}, so it needs the \`state\` of earlier batches`);
    }
    return {
      mean: stopGradient(stateScalar(loss, "state.mean", state.mean, values)),
      std: stopGradient(stateScalar(loss, "state.std", state.std, values)),
      count: state.count,
    };
  }
  const before = (which: "mean" | "std") =>
    state === undefined
      ? tensor(0, { dtype: values.dtype })
      : stopGradient(stateScalar(loss, `state.${which}`, state[which], values));
  const mean = values.mean();
  const squares = square(values.sub(mean)).sum();
  const std = sqrt(squares.div(values.size - 1));
  return {
    mean: before("mean")
      .mul(DECAY)
      .add(mean.mul(1 - DECAY)),
    std: before("std")
      .mul(DECAY)
      .add(std.mul(1 - DECAY)),
    count: (state?.count ?? 0) + 1,
  };
}

/** The mean the statistics estimate: corrected, as Adam's, for starting from zero. */
export function correctedMean(statistics: UpdatedStatistics): Tensor {
  return statistics.mean.div(1 - DECAY ** statistics.count);
}

/** `(values − mean)/(std + 1e-6)`, mean and standard deviation corrected for starting from zero. */
export function standardized(values: Tensor, statistics: UpdatedStatistics): Tensor {
  const std = statistics.std.div(1 - DECAY ** statistics.count);
  return values.sub(correctedMean(statistics)).div(std.add(EPSILON));
}
