/**
 * What preference optimization does to the probabilities of responses.
 * @module
 */

export { type ChesScore, type CompletionStates, chesScore } from "./ches.js";
export { type PairDynamics, type PairDynamicsOptions, pairDynamics } from "./pairDynamics.js";
export {
  type DynamicsObservation,
  DynamicsRecorder,
  type DynamicsRecorderOptions,
  type DynamicsRow,
  type RecordOptions,
} from "./recorder.js";
export { logProbVelocities, type ResponsePolicy } from "./velocities.js";
