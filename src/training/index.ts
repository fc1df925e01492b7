/**
 * Training: objectives, the loop, and what a run leaves behind.
 * @module
 */

export { adamwFor } from "./adamwFor.js";
export { type AlignOptions, align } from "./align.js";
export type { Answer } from "./answers.js";
export type { CheckpointWeights } from "./checkpoints.js";
export { type FitResult, fit } from "./fit.js";
export type { AnyObjective, AnyOptimizer, Evaluation, FitOptions } from "./fitOptions.js";
export type { FitState, LogRow, Sums } from "./fitState.js";
export {
  type BatchLoss,
  type LossFunction,
  type LossParts,
  lossObjective,
} from "./lossObjective.js";
export type {
  Given,
  GivenTo,
  MicroBatches,
  Objective,
  Part,
  ResultOf,
  StepGradient,
  StepPoint,
  WeightedSum,
} from "./objective.js";
export type { BadStep, FitObserver, FitPlan, FitSettings, GoodStep } from "./observer.js";
export { type OptimumFloor, type OptimumFloorOptions, optimumFloor } from "./optimumFloor.js";
export {
  type GroupByLengthOptions,
  groupByLength,
  type Order,
  randomOrder,
  sequentialOrder,
} from "./order.js";
export {
  fullPolicy,
  type HeadInputs,
  type LoraPolicyOptions,
  loraPolicy,
  type PackedLanguageModel,
  type Policy,
} from "./policy.js";
export type { LossChoice, LossStates } from "./preferenceLosses.js";
export {
  type PreferenceObjectiveOptions,
  type PreferenceState,
  preferenceObjective,
  type ReferencedPair,
  type SpoOptions,
} from "./preferenceObjective.js";
export {
  type CheckReferencesOptions,
  checkReferences,
  type Referenced,
  type ReferencedRows,
  type ReferenceOptions,
  withReferences,
} from "./references.js";
export type { BatchSemantics } from "./rowObjective.js";
export {
  type AnyRow,
  type GivenRows,
  type RunFacts,
  type RunObserver,
  type RunOptions,
  type RunResult,
  Stopped,
} from "./run.js";
export { openRunDirectory, type RunDirectory, type RunDirectoryOptions } from "./runDirectory.js";
export { type RunRecord, readRun } from "./runFiles.js";
export { type LrSchedulerOptions, type LrSchedulerType, lrScheduler } from "./schedules.js";
export type { ReadingOptions } from "./sequences.js";
export type { TrainingOptions } from "./settings/options.js";
export { type SftOptions, sft } from "./sft.js";
export { type TextObjectiveOptions, textObjective } from "./textObjective.js";
export {
  type ReferencedCompletion,
  type UnpairedObjectiveOptions,
  unpairedObjective,
} from "./unpairedObjective.js";
