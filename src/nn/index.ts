/**
 * Layers as plain functions over parameter trees, and losses of supervised learning.
 * @module
 */

export {
  type AttentionOptions,
  type AttentionParameters,
  causalSelfAttention,
  type InitAttentionOptions,
  initAttention,
} from "./attention.js";
export { type DropoutOptions, dropout } from "./dropout.js";
export { type EmbeddingParameters, embedding, initEmbedding } from "./embedding.js";
export type { InitOptions } from "./initial.js";
export { initLinear, type LinearParameters, type LowRankParameters, linear } from "./linear.js";
export {
  binaryCrossEntropyWithLogits,
  type CrossEntropyOptions,
  crossEntropy,
  type LossReduction,
  meanSquaredError,
  type ReducedLossOptions,
} from "./losses.js";
export { type InitMlpOptions, initMlp, type MlpParameters, mlp } from "./mlp.js";
export {
  initLayerNorm,
  initRmsNorm,
  type LayerNormParameters,
  layerNorm,
  type RmsNormParameters,
  rmsNorm,
} from "./normalization.js";
export { type PackedBatch, type PackOptions, packBatch } from "./packing.js";
export type { Rotary, RotaryScaling } from "./rotary.js";
