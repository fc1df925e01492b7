/**
 * A small model of every family, with what the family has beyond Llama's form, of a context in which size
 * classes of 64 and 128 slots occur: configs for `tinyFiles`.
 */

import { type Decoder, decoder } from "../../src/index.js";
import type { ConfigJson } from "../../src/models/families/configReader.js";
import { readConfig } from "../../src/models/families/index.js";
import { TINY } from "./tinyCheckpoint.js";

/** Llama's keys, with two layers. */
const form = (model_type: string, architecture: string, own: ConfigJson = {}): ConfigJson => ({
  model_type,
  architectures: [architecture],
  vocab_size: 40,
  max_position_embeddings: 128,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rope_theta: 10000,
  torch_dtype: "float32",
  // Outside such a vocabulary, were the class's own defaults to hold.
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: null,
  ...own,
});

/** By `model_type`. */
export const FAMILIES: Readonly<Record<string, ConfigJson>> = {
  gpt2: { ...TINY.gpt2, n_positions: 128, bos_token_id: 1, eos_token_id: 2 },
  llama: form("llama", "LlamaForCausalLM", {
    attention_bias: true,
    mlp_bias: true,
    tie_word_embeddings: true,
    rope_scaling: TINY.qwen3.rope_scaling,
  }),
  mistral: form("mistral", "MistralForCausalLM", { sliding_window: 9 }),
  qwen2: form("qwen2", "Qwen2ForCausalLM", {
    tie_word_embeddings: true,
    rope_scaling: { type: "linear", factor: 2.5 },
  }),
  qwen3: form("qwen3", "Qwen3ForCausalLM", { head_dim: 8, num_key_value_heads: 1 }),
  gemma: form("gemma", "GemmaForCausalLM", {
    head_dim: 8,
    hidden_act: "gelu_pytorch_tanh",
    num_key_value_heads: 4,
  }),
  gemma2: {
    ...form("gemma2", "Gemma2ForCausalLM"),
    ...TINY.gemma2,
    max_position_embeddings: 128,
  },
  gemma3_text: form("gemma3_text", "Gemma3ForCausalLM", {
    head_dim: 8,
    query_pre_attn_scalar: 12,
    sliding_window: 6,
    sliding_window_pattern: 2,
    rope_local_base_freq: 5000,
  }),
  phi3: form("phi3", "Phi3ForCausalLM", { partial_rotary_factor: 0.5, sliding_window: 70 }),
  smollm3: form("smollm3", "SmolLM3ForCausalLM", { no_rope_layers: [1, 0] }),
  granite: form("granite", "GraniteForCausalLM", {
    embedding_multiplier: 3,
    attention_multiplier: 0.3,
    residual_multiplier: 0.7,
    logits_scaling: 2,
  }),
  olmo2: form("olmo2", "Olmo2ForCausalLM"),
};

/** The models themselves, by `model_type`. */
export const FAMILY_DECODERS: Readonly<Record<string, Decoder>> = Object.fromEntries(
  Object.entries(FAMILIES).map(([name, json]) => [name, decoder(readConfig(json).config)]),
);
