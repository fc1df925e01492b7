/**
 * This library beside others.
 * @module
 */

export {
  type LossGradient,
  lossGradient,
  type NumberArray,
  type PairArrays,
} from "./lossGradient.js";
