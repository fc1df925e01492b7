/**
 * Layers and models.
 * @module
 */

export {
  type AttentionOptions,
  type AttentionParameters,
  causalSelfAttention,
  type InitAttentionOptions,
  initAttention,
} from "./attention.js";
export { type EmbeddingParameters, embedding, initEmbedding } from "./embedding.js";
export { type GenerateOptions, generate } from "./generate.js";
export {
  type Gpt,
  type GptBlockParameters,
  type GptConfig,
  type GptInitOptions,
  type GptParameters,
  gpt,
  type LanguageModel,
} from "./gpt.js";
export type { InitOptions } from "./initial.js";
export { initLinear, type LinearParameters, linear } from "./linear.js";
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
