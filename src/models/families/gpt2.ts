/**
 * GPT-2: layer norms, learnt positions, one matrix for queries, keys and values, a plain feed-forward layer.
 * @module
 */

import type { DecoderConfig } from "../decoder.js";
import { ACTIVATIONS, alike } from "./common.js";
import type { CheckpointTensor, Family } from "./family.js";

export const gpt2: Family = {
  modelType: "gpt2",
  tensors: gpt2Tensors,
  canonicalName(name) {
    // Buffers of the causal mask that old files hold.
    if (/(^|\.)h\.\d+\.attn\.(masked_)?bias$/.test(name)) return null;
    return name.startsWith("transformer.") || name === "lm_head.weight"
      ? name
      : `transformer.${name}`;
  },
  config(read) {
    const [width, heads] = [read.integer("n_embd", 768), read.integer("n_head", 12)];
    const positions = read.integer("n_positions", 1024);
    if (
      !read.flag("scale_attn_weights", true) ||
      read.flag("scale_attn_by_inverse_layer_idx", false)
    ) {
      throw new TypeError(
        "config.json: only `scale_attn_weights: true` without `scale_attn_by_inverse_layer_idx` is supported",
      );
    }
    // It changes the precision of the scores on GPUs, not the formula.
    read.ignore("reorder_and_upcast_attn");
    return {
      vocabularySize: read.integer("vocab_size", 50257),
      contextLength: positions,
      width,
      layers: alike(read.layerCount("n_layer", 12), {}),
      heads,
      keyValueHeads: heads,
      headWidth: width / heads,
      norm: "layer",
      normEpsilon: read.positive("layer_norm_epsilon", 1e-5),
      normPlacement: "pre",
      learntPositions: true,
      attention: { fused: true, inputBias: true, outputBias: true, queryKeyNorm: "none" },
      feedForward: {
        kind: "plain",
        width: read.integer("n_inner", 4 * width),
        activation: read.choice("activation_function", ACTIVATIONS, "gelu_new"),
        bias: true,
      },
      tiedHead: read.flag("tie_word_embeddings", true),
    };
  },
};

/** GPT-2 stores its matrices as `[inputs, outputs]`. */
function gpt2Tensors({ layers, tiedHead }: DecoderConfig): readonly CheckpointTensor[] {
  const affine = (name: string, path: string) => [
    [`${name}.weight`, `${path}.weight`],
    [`${name}.bias`, `${path}.bias`],
  ];
  const names = [
    ["transformer.wte.weight", "tokenEmbedding.weight"],
    ["transformer.wpe.weight", "positionEmbedding.weight"],
    ...[...layers.keys()].flatMap((i) => [
      ...affine(`transformer.h.${i}.ln_1`, `blocks.${i}.norm1`),
      ...affine(`transformer.h.${i}.attn.c_attn`, `blocks.${i}.attention.qkv`),
      ...affine(`transformer.h.${i}.attn.c_proj`, `blocks.${i}.attention.projection`),
      ...affine(`transformer.h.${i}.ln_2`, `blocks.${i}.norm2`),
      ...affine(`transformer.h.${i}.mlp.c_fc`, `blocks.${i}.mlp.expand`),
      ...affine(`transformer.h.${i}.mlp.c_proj`, `blocks.${i}.mlp.projection`),
    ]),
    ...affine("transformer.ln_f", "finalNorm"),
    ...(tiedHead ? [] : [["lm_head.weight", "head.weight"]]),
  ] as [string, string][];
  return names.map(([name, path]) => ({ name, path, transposed: false }));
}
