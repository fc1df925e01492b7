/**
 * Bilevel optimization.
 * @module
 */

export type { AlternatingOptions } from "./alternating.js";
export type { BarrierOptions } from "./barrier.js";
export { bilevelStep, type NestedOptions, type SharedOptions } from "./bilevelStep.js";
export type { LookaheadOptions } from "./lookahead.js";
export type { PenaltyOptions } from "./penalty.js";
export type {
  NestedProblem,
  NestedStep,
  NestedVariables,
  SharedProblem,
  SharedStep,
  SharedVariables,
  WeightedStep,
} from "./types.js";
export type {
  DirectOptions,
  LowerSolverOptions,
  TruncatedOptions,
  UnrolledOptions,
} from "./unrolled.js";
