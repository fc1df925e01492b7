/**
 * Optimizers and schedules.
 * @module
 */

export { type AdamWOptions, type AdamWState, adamw } from "./adamw.js";
export { chain, type GradientTransform, type LinkStates } from "./chain.js";
export { clipByGlobalNorm } from "./clipByGlobalNorm.js";
export type { AdamOptions, RmsOptions } from "./directions.js";
export {
  type AverageState,
  exponentialMovingAverage,
  type ParameterAverage,
} from "./exponentialMovingAverage.js";
export {
  addDecayedWeights,
  addMomentum,
  clipGradients,
  type MomentumOptions,
  type MomentumState,
  type RmsState,
  scaleBy,
  scaleByAdam,
  scaleByRms,
} from "./links.js";
export type { NoState, Optimizer, OptimizerState } from "./optimizer.js";
export { frozen, type GroupStates, parameterGroups } from "./parameterGroups.js";
export { type RmspropOptions, type RmspropState, rmsprop } from "./rmsprop.js";
export {
  type ConstantScheduleOptions,
  constantSchedule,
  cosineSchedule,
  type DecayScheduleOptions,
  linearSchedule,
  type Schedule,
} from "./schedules.js";
export { type SgdOptions, type SgdState, sgd } from "./sgd.js";
