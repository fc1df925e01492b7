/**
 * Bilevel optimization.
 * @module
 */

export type { AlternatingOptions } from "./alternating.js";
export type { BarrierOptions } from "./barrier.js";
export { bilevelStep, type NestedOptions, type SharedOptions } from "./bilevelStep.js";
export type { ConjugateGradientsOptions } from "./conjugateGradients.js";
export type { LookaheadOptions } from "./lookahead.js";
export type { LowerSolverOptions } from "./lowerSolver.js";
export type { NeumannOptions } from "./neumann.js";
export type { PenaltyOptions } from "./penalty.js";
export type {
  ConjugateGradientsOutcome,
  ImplicitStep,
  NestedProblem,
  NestedStep,
  NestedVariables,
  NeumannOutcome,
  SharedProblem,
  SharedStep,
  SharedVariables,
  ValueFunctionStep,
  WeightedStep,
} from "./types.js";
export type {
  DirectOptions,
  TruncatedOptions,
  UnrolledOptions,
} from "./unrolled.js";
export type { ValueFunctionOptions } from "./valueFunction.js";
