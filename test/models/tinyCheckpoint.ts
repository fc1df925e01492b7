/**
 * Small models in transformers' layout, with weights from a seed: what a model directory is to the tests
 * that need no other.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { encodeSafetensors, randomGenerator, type Tensor, tensor } from "../../src/index.js";
import { parameterTree } from "../../src/models/decoder.js";
import type { ConfigJson } from "../../src/models/families/configReader.js";
import { readConfig } from "../../src/models/families/index.js";

/** Configs of families that differ in nearly everything. */
export const TINY = {
  gpt2: {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    vocab_size: 40,
    n_positions: 32,
    n_embd: 16,
    n_layer: 2,
    n_head: 2,
  },
  gemma2: {
    model_type: "gemma2",
    architectures: ["Gemma2ForCausalLM"],
    vocab_size: 40,
    max_position_embeddings: 64,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    query_pre_attn_scalar: 12,
    sliding_window: 5,
    attn_logit_softcapping: 3.5,
    final_logit_softcapping: 5.5,
    rope_theta: 10000,
  },
  qwen3: {
    model_type: "qwen3",
    architectures: ["Qwen3ForCausalLM"],
    vocab_size: 40,
    max_position_embeddings: 64,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 8,
    tie_word_embeddings: false,
    rope_theta: 10000,
    rope_scaling: {
      rope_type: "llama3",
      factor: 4.5,
      low_freq_factor: 1.5,
      high_freq_factor: 4.5,
      original_max_position_embeddings: 16,
    },
  },
} as const satisfies Record<string, ConfigJson>;

/** The tensors of a config's model under their names in files, from N(0, 0.3²) or so, norms around their neutral value. */
export function tinyTensors(config: ConfigJson, seed = "tiny"): Record<string, Tensor> {
  const read = readConfig(config);
  const next = randomGenerator(seed);
  const neutral = read.config.norm === "rmsPlusOne" ? 0 : 1;
  const drawn = new Map<string, { shape: readonly number[]; values: number[] }>();
  parameterTree(read.config, (kind, shape, path) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const centre = kind === "gain" ? neutral : 0;
    const values = Array.from({ length: size }, () => Math.fround(centre + 0.6 * (next() - 0.5)));
    drawn.set(path, { shape, values });
  });
  return Object.fromEntries(
    read.family.tensors(read.config).map(({ name, path, transposed }) => {
      const { shape, values } = drawn.get(path)!;
      const t = tensor(new Float32Array(values), { shape });
      return [name, transposed ? t.transpose() : t];
    }),
  );
}

/** The files of a model directory. */
export async function tinyFiles(
  config: ConfigJson,
  tensors: Record<string, Tensor> = tinyTensors(config),
): Promise<Record<string, Uint8Array>> {
  return {
    "config.json": new TextEncoder().encode(JSON.stringify(config)),
    "model.safetensors": await encodeSafetensors(tensors, { format: "pt" }),
  };
}

/** Writes files into a directory, which is made. */
export async function writeFiles(
  directory: string,
  files: Record<string, Uint8Array>,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) await writeFile(`${directory}/${name}`, bytes);
}
