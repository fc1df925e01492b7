/**
 * This library beside others.
 * @module
 */

export type {
  FurtherInput,
  LossArrays,
  NumberArray,
  PairArrays,
  TensorOption,
} from "./arrays.js";
export {
  type InputGradients,
  type LossGradient,
  lossGradient,
  type WithPlainStates,
} from "./lossGradient.js";
