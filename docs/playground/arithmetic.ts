/**
 * The arithmetic model as transformers would save it, before it has learned anything, and what it learns from: a small
 * Llama whose tokens are characters, and additions as imperfect writers answer them.
 * @module
 */

import { writtenProblems } from "../../bench/demo/writers.js";
import { encodeSafetensors, ones, randomNormal } from "../../src/index.js";

/** `;` ends an answer. */
const CHARACTERS = [..."0123456789+=;"];
const END = ";";

const WIDTH = 64;
const HIDDEN = 256;
const LAYERS = 2;

const CONFIG = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  vocab_size: CHARACTERS.length,
  hidden_size: WIDTH,
  intermediate_size: HIDDEN,
  num_hidden_layers: LAYERS,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  max_position_embeddings: 24,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: "silu",
  tie_word_embeddings: false,
  bos_token_id: null,
  eos_token_id: CHARACTERS.indexOf(END),
};

const TOKENIZER = {
  version: "1.0",
  added_tokens: [
    {
      id: CHARACTERS.indexOf(END),
      content: END,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    },
  ],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: "Fuse" },
  model: {
    type: "BPE",
    unk_token: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: Object.fromEntries(CHARACTERS.map((character, id) => [character, id])),
    merges: [],
  },
};

/** The files of the model, with weights from a seed. */
export async function untrainedModel(): Promise<Record<string, Uint8Array>> {
  const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  let seed = 0;
  const matrix = (rows: number, columns: number) =>
    randomNormal([rows, columns], { seed: seed++ }).mul(0.05);
  const layer = (i: number) => {
    const name = (rest: string) => `model.layers.${i}.${rest}.weight`;
    return {
      ...Object.fromEntries(
        ["q", "k", "v", "o"].map((p) => [name(`self_attn.${p}_proj`), matrix(WIDTH, WIDTH)]),
      ),
      [name("mlp.gate_proj")]: matrix(HIDDEN, WIDTH),
      [name("mlp.up_proj")]: matrix(HIDDEN, WIDTH),
      [name("mlp.down_proj")]: matrix(WIDTH, HIDDEN),
      [name("input_layernorm")]: ones([WIDTH]),
      [name("post_attention_layernorm")]: ones([WIDTH]),
    };
  };
  const tensors = {
    "model.embed_tokens.weight": matrix(CHARACTERS.length, WIDTH),
    ...layer(0),
    ...layer(1),
    "model.norm.weight": ones([WIDTH]),
    "lm_head.weight": matrix(CHARACTERS.length, WIDTH),
  };
  return {
    "config.json": json(CONFIG),
    "tokenizer.json": json(TOKENIZER),
    "tokenizer_config.json": json({ eos_token: END }),
    "model.safetensors": await encodeSafetensors(tensors),
  };
}

const PROBLEMS = { heldOut: 0, pairs: 512 };

/** Answers to imitate. */
export const writtenTexts = () =>
  writtenProblems(0, PROBLEMS).supervised.map(({ prompt, response }) => ({
    prompt,
    completion: response,
  }));

/** Pairs of two other answers to some of these sums, the better one chosen. */
export function writtenPairs(): File {
  const rows = writtenProblems(0, PROBLEMS).pairs.map(({ prompt, chosen, rejected }) => ({
    prompt,
    chosen,
    rejected,
  }));
  return new File(
    rows.map((row) => `${JSON.stringify(row)}\n`),
    "additions.jsonl",
  );
}
