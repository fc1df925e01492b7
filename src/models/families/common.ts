/**
 * What the families share that descend from Llama: keys of the config, and names of tensors.
 * @module
 */

import type { DecoderConfig, DecoderLayer } from "../decoder.js";
import type { ConfigReader } from "./configReader.js";
import type { CheckpointTensor, Family } from "./family.js";
import { rotaryOf } from "./rotary.js";

/** Activations by the names configs give them. */
export const ACTIVATIONS = {
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  gelu_tanh: "geluTanh",
  silu: "silu",
  swish: "silu",
} as const;

/** Defaults of the keys every such family has. */
export interface SharedDefaults {
  readonly epsilon: number;
  readonly tiedHead: boolean;
  /** Heads of keys and values where the config names none; default: as many as of queries. */
  readonly keyValueHeads?: number;
  /** Width of a head where the config names none; default: the width by the heads. */
  readonly headWidth?: number;
}

/** The keys every such family has. */
export function sharedKeys(read: ConfigReader, defaults: SharedDefaults) {
  const width = read.integer("hidden_size");
  const heads = read.integer("num_attention_heads");
  return {
    vocabularySize: read.integer("vocab_size"),
    contextLength: read.integer("max_position_embeddings"),
    width,
    layerCount: read.layerCount("num_hidden_layers"),
    heads,
    keyValueHeads: read.integer("num_key_value_heads", defaults.keyValueHeads ?? heads),
    headWidth: read.integer("head_dim", defaults.headWidth ?? width / heads),
    hiddenWidth: read.integer("intermediate_size"),
    normEpsilon: read.positive("rms_norm_eps", defaults.epsilon),
    tiedHead: read.flag("tie_word_embeddings", defaults.tiedHead),
  };
}

/** Which layers attend to a window only: as `layer_types` lists them, or by the family's rule where it does not. */
export function slidingLayers(
  read: ConfigReader,
  layerCount: number,
  rule: (layer: number) => boolean,
): readonly boolean[] {
  const isType = (item: unknown): item is string =>
    item === "sliding_attention" || item === "full_attention";
  const types = read.list("layer_types", layerCount, isType);
  return Array.from({ length: layerCount }, (_, i) =>
    types ? types[i] === "sliding_attention" : rule(i),
  );
}

/** Qwen's rule: with `use_sliding_window`, layers from `max_window_layers` on. */
export function qwenWindows(
  read: ConfigReader,
  layerCount: number,
): readonly (number | undefined)[] {
  const uses = read.flag("use_sliding_window", false);
  const first = read.mentions("max_window_layers") ? read.number("max_window_layers") : 28;
  const sliding = slidingLayers(read, layerCount, (i) => uses && i >= first);
  if (!uses) {
    read.ignore("sliding_window");
    return sliding.map(() => undefined);
  }
  const window = read.integer("sliding_window", 4096);
  return sliding.map((is) => (is ? window : undefined));
}

/** The same layer, so many times. */
export function alike(count: number, layer: DecoderLayer): readonly DecoderLayer[] {
  return Array.from({ length: count }, () => layer);
}

/** Attention with separate matrices and no further extras. */
export const PLAIN_ATTENTION = {
  fused: false,
  inputBias: false,
  outputBias: false,
  queryKeyNorm: "none",
} as const;

/** What a family of Llama's form says of its config. */
export interface LlamaDefaults extends SharedDefaults {
  /** θ of the rotary embedding; default 10⁴. */
  readonly theta?: number;
  /** Whether the config may ask for biases: `attention_bias`, `mlp_bias`. */
  readonly biases?: { readonly attention?: boolean; readonly mlp?: boolean };
}

/**
 * Llama's form as the config sets it: RMS norms before the sub-layers, rotary positions, a gated feed-forward
 * layer. A family of that form spreads it and says what differs.
 */
export function llamaForm(
  read: ConfigReader,
  { theta = 1e4, biases = {}, ...defaults }: LlamaDefaults,
) {
  const { layerCount, hiddenWidth, ...sizes } = sharedKeys(read, defaults);
  const rotary = rotaryOf(read, sizes.headWidth, { theta, ...sizes });
  const bias = biases.attention === true && read.flag("attention_bias", false);
  return {
    ...sizes,
    norm: "rms",
    normPlacement: "pre",
    learntPositions: false,
    layers: alike(layerCount, { rotary }),
    attention: { ...PLAIN_ATTENTION, inputBias: bias, outputBias: bias },
    feedForward: {
      kind: "gated",
      width: hiddenWidth,
      activation: read.choice("hidden_act", ACTIVATIONS, "silu"),
      bias: biases.mlp === true && read.flag("mlp_bias", false),
    },
  } as const satisfies DecoderConfig;
}

/** The layers, each with its window or none. */
export function withWindows(
  layers: readonly DecoderLayer[],
  windows: readonly (number | undefined)[],
): readonly DecoderLayer[] {
  return layers.map((layer, i) => ({ ...layer, window: windows[i] }));
}

/** Tensors under transformers' names, as the config says which there are. */
function transformersTensors(config: DecoderConfig): readonly CheckpointTensor[] {
  const { attention, feedForward, normPlacement } = config;
  const tensors: CheckpointTensor[] = [
    { name: "model.embed_tokens.weight", path: "tokenEmbedding.weight", transposed: false },
  ];
  for (const i of config.layers.keys()) {
    const vector = (name: string, path: string) =>
      tensors.push({
        name: `model.layers.${i}.${name}`,
        path: `blocks.${i}.${path}`,
        transposed: false,
      });
    const matrix = (name: string, path: string, biased: boolean) => {
      const at = { name: `model.layers.${i}.${name}`, path: `blocks.${i}.${path}` };
      tensors.push({ name: `${at.name}.weight`, path: `${at.path}.weight`, transposed: true });
      if (biased) vector(`${name}.bias`, `${path}.bias`);
    };
    const norms = NORM_NAMES[normPlacement];
    for (const [path, name] of Object.entries(norms)) vector(`${name}.weight`, `${path}.weight`);
    if (attention.fused) matrix("self_attn.qkv_proj", "attention.qkv", attention.inputBias);
    else {
      matrix("self_attn.q_proj", "attention.query", attention.inputBias);
      matrix("self_attn.k_proj", "attention.key", attention.inputBias);
      matrix("self_attn.v_proj", "attention.value", attention.inputBias);
    }
    if (attention.queryKeyNorm !== "none") {
      vector("self_attn.q_norm.weight", "attention.queryNorm.weight");
      vector("self_attn.k_norm.weight", "attention.keyNorm.weight");
    }
    matrix("self_attn.o_proj", "attention.projection", attention.outputBias);
    if (feedForward.kind === "fusedGate")
      matrix("mlp.gate_up_proj", "mlp.gateExpand", feedForward.bias);
    else {
      matrix("mlp.gate_proj", "mlp.gate", feedForward.bias);
      matrix("mlp.up_proj", "mlp.expand", feedForward.bias);
    }
    matrix("mlp.down_proj", "mlp.projection", feedForward.bias);
  }
  tensors.push({ name: "model.norm.weight", path: "finalNorm.weight", transposed: false });
  if (!config.tiedHead)
    tensors.push({ name: "lm_head.weight", path: "head.weight", transposed: false });
  return tensors;
}

/** The tensors of such a family's files. Frequencies follow from the config; old files hold them nevertheless. */
export const TENSORS: Pick<Family, "tensors" | "canonicalName"> = {
  tensors: transformersTensors,
  canonicalName: (name) => (name.endsWith("rotary_emb.inv_freq") ? null : name),
};

/** A block's norms; `post_attention_layernorm` is the input's of the feed-forward layer where norms come before only. */
const NORM_NAMES: Readonly<
  Record<DecoderConfig["normPlacement"], Readonly<Record<string, string>>>
> = {
  pre: { norm1: "input_layernorm", norm2: "post_attention_layernorm" },
  sandwich: {
    norm1: "input_layernorm",
    postNorm1: "post_attention_layernorm",
    norm2: "pre_feedforward_layernorm",
    postNorm2: "post_feedforward_layernorm",
  },
  post: { postNorm1: "post_attention_layernorm", postNorm2: "post_feedforward_layernorm" },
};
