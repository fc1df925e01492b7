/**
 * The models of the workloads, as `config.json` has them: sizes of published models, whose weights are random here.
 */

/** What of a model's configuration its tensors' shapes depend on, and the rest of it. */
export interface Configuration {
  readonly model_type: "llama" | "qwen2";
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly intermediate_size: number;
  readonly tie_word_embeddings: boolean;
  readonly [setting: string]: unknown;
}

const COMMON = {
  hidden_act: "silu",
  initializer_range: 0.02,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  bos_token_id: 0,
  eos_token_id: 0,
};

/** SmolLM2-135M's. */
const smol: Configuration = {
  ...COMMON,
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 49_152,
  hidden_size: 576,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  intermediate_size: 1536,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 100_000,
};

/** Qwen2.5-0.5B's. */
const qwen: Configuration = {
  ...COMMON,
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  vocab_size: 151_936,
  hidden_size: 896,
  num_hidden_layers: 24,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  intermediate_size: 4864,
  max_position_embeddings: 32_768,
  rms_norm_eps: 1e-6,
  rope_theta: 1_000_000,
  use_sliding_window: false,
};

/** SmolLM2's, cut down until a GPU in software takes it. */
const tiny: Configuration = {
  ...smol,
  vocab_size: 512,
  hidden_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  intermediate_size: 256,
  max_position_embeddings: 1024,
};

export const CONFIGURATIONS = { smol, qwen, tiny };

export type ModelName = keyof typeof CONFIGURATIONS;

/** Names and shapes of a checkpoint's tensors, as transformers has them. */
export function tensorsOf(config: Configuration): ReadonlyMap<string, readonly number[]> {
  const { hidden_size: width, intermediate_size: inner, vocab_size: vocabulary } = config;
  const headWidth = width / config.num_attention_heads;
  const keys = config.num_key_value_heads * headWidth;
  const found = new Map<string, readonly number[]>([
    ["model.embed_tokens.weight", [vocabulary, width]],
  ]);
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `model.layers.${i}`;
    found.set(`${layer}.input_layernorm.weight`, [width]);
    for (const [name, outputs] of [
      ["q", width],
      ["k", keys],
      ["v", keys],
    ] as const) {
      found.set(`${layer}.self_attn.${name}_proj.weight`, [outputs, width]);
      if (config.model_type === "qwen2")
        found.set(`${layer}.self_attn.${name}_proj.bias`, [outputs]);
    }
    found.set(`${layer}.self_attn.o_proj.weight`, [width, width]);
    found.set(`${layer}.post_attention_layernorm.weight`, [width]);
    found.set(`${layer}.mlp.gate_proj.weight`, [inner, width]);
    found.set(`${layer}.mlp.up_proj.weight`, [inner, width]);
    found.set(`${layer}.mlp.down_proj.weight`, [width, inner]);
  }
  found.set("model.norm.weight", [width]);
  return found;
}
