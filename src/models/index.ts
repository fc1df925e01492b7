/**
 * Language models and what they write.
 * @module
 */

export {
  type LoadAdapterOptions,
  loadAdapter,
  type SaveAdapterOptions,
  saveAdapter,
} from "./adapterFiles.js";
export type { ChatMessage, ChatTemplateOptions } from "./chatTemplate.js";
export type { LoadProgress } from "./checkpoint.js";
export {
  type Decoder,
  type DecoderAttentionParameters,
  type DecoderBlockParameters,
  type DecoderConfig,
  type DecoderFeedForwardParameters,
  type DecoderLayer,
  type DecoderNormParameters,
  type DecoderOptions,
  type DecoderParameters,
  decoder,
} from "./decoder.js";
export type { ConfigJson } from "./families/configReader.js";
export {
  type GeneratedToken,
  type GenerateOptions,
  generate,
  generateStream,
} from "./generate.js";
export type { GenerationConfig } from "./generationConfig.js";
export {
  type Gpt,
  type GptBlockParameters,
  type GptConfig,
  type GptInitOptions,
  type GptParameters,
  gpt,
} from "./gpt.js";
export type { CachedDecoding, KeyValueCache, LanguageModel } from "./languageModel.js";
export {
  type LoadedModel,
  type LoadModelOptions,
  loadModel,
} from "./loadModel.js";
export {
  initLora,
  type LoraAdapter,
  type LoraBase,
  type LoraConfig,
  type LoraOptions,
  type LoraParameters,
  mergeLora,
  type WithLoraOptions,
  withLora,
} from "./lora.js";
export type { Address, ModelFiles, ModelSource, NamedBlob } from "./modelFiles.js";
export type { SamplingOptions } from "./sampling.js";
export { type SaveModelOptions, saveModel } from "./saveModel.js";
export {
  type DecodeOptions,
  type EncodeOptions,
  type LoadTokenizerOptions,
  loadTokenizer,
  type MaskedChat,
  type Tokenizer,
} from "./tokenizer.js";
export type { Offsets } from "./tokenOffsets.js";
export type { TokenDecoder } from "./writtenText.js";
