/**
 * Optimizers and schedules.
 * @module
 */

export { type AdamWOptions, type AdamWState, adamw } from "./adamw.js";
export { clipByGlobalNorm } from "./clipByGlobalNorm.js";
export type { Optimizer, OptimizerState } from "./optimizer.js";
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
