/**
 * A small GPT and a batch of preference pairs that any program can make from a few integers, with
 * the numbers PyTorch computes from them in double precision (`test/data/gpt-dpo.json`).
 *
 * Parameters and tokens come from xorshift32 streams, of which the top 16 bits are used; parameters
 * are `centre + a·(u − 32768)/32768` and so exact in float32.
 */

import { type GptParameters, gpt } from "../../src/models/gpt.js";
import { tensor } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import numbers from "../data/gpt-dpo.json" with { type: "json" };

/** What PyTorch computes for one of the losses. */
export interface Golden {
  readonly chosenLogps: number[];
  readonly rejectedLogps: number[];
  readonly margins: number[];
  readonly loss: number;
  readonly gradNorm: number;
  readonly grads: Record<string, { norm: number; entries: Record<string, number> }>;
  /** After 0 … 10 steps of AdamW. */
  readonly losses: number[];
  readonly meanMargins: number[];
  readonly after10: {
    readonly chosenLogps: number[];
    readonly rejectedLogps: number[];
    readonly paramNorms: Record<string, number>;
  };
}

interface Data {
  readonly config: Record<
    "V" | "d" | "L" | "H" | "T" | "B" | "pBase" | "seedParams" | "seedTokens",
    number
  >;
  readonly draws: { readonly params: number[]; readonly tokens: number[] };
  readonly promptLengths: number[];
  readonly chosenLengths: number[];
  readonly rejectedLengths: number[];
  /** Σ token·(position + 1) of each row. */
  readonly tokenChecksums: number[];
  readonly refChosen: number[];
  readonly refRejected: number[];
  readonly paramCheck: Record<
    string,
    { first: number[]; last: number; sum: number; sumsq: number }
  >;
  readonly results: Record<"gpt-dpo" | "gpt-spo", Golden>;
}

export const data: Data = numbers;

const { V, d, L, H, T, B, pBase, seedParams, seedTokens } = data.config;

/** Successive 32-bit draws. */
export function xorshift32(seed: number): () => number {
  let x = seed | 0;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

export const model = gpt({
  vocabularySize: V,
  contextLength: T,
  width: d,
  layers: L,
  heads: H,
});

/** The parameters by their names in the golden numbers. */
export function namedParameters(parameters: GptParameters): Record<string, Tensor> {
  const { tokenEmbedding, positionEmbedding, blocks, finalNorm } = parameters;
  const named: Record<string, Tensor | undefined> = {
    wte: tokenEmbedding.weight,
    wpe: positionEmbedding.weight,
  };
  for (const [i, { norm1, attention, norm2, mlp }] of blocks.entries()) {
    named[`h${i}.ln1.g`] = norm1.weight;
    named[`h${i}.ln1.b`] = norm1.bias;
    named[`h${i}.attn.qkv.w`] = attention.qkv.weight;
    named[`h${i}.attn.qkv.b`] = attention.qkv.bias;
    named[`h${i}.attn.proj.w`] = attention.projection.weight;
    named[`h${i}.attn.proj.b`] = attention.projection.bias;
    named[`h${i}.ln2.g`] = norm2.weight;
    named[`h${i}.ln2.b`] = norm2.bias;
    named[`h${i}.mlp.fc.w`] = mlp.expand.weight;
    named[`h${i}.mlp.fc.b`] = mlp.expand.bias;
    named[`h${i}.mlp.proj.w`] = mlp.projection.weight;
    named[`h${i}.mlp.proj.b`] = mlp.projection.bias;
  }
  named["lnf.g"] = finalNorm.weight;
  named["lnf.b"] = finalNorm.bias;
  return named as Record<string, Tensor>;
}

/** The model's parameters at the start. */
export function makeParameters(dtype: "float32" | "float64" = "float32"): GptParameters {
  const draw = xorshift32(seedParams);
  const next = (shape: number[], centre: number, spread: number): Tensor => {
    const values = new Float64Array(shape.reduce((a, b) => a * b, 1));
    for (let i = 0; i < values.length; i++) {
      values[i] = centre + (spread * ((draw() >>> 16) - 32768)) / 32768;
    }
    return tensor(values, { shape, dtype });
  };
  const norm = () => ({ weight: next([d], 1, 1 / 8), bias: next([d], 0, 1 / 16) });
  const linear = (inputs: number, outputs: number, spread: number) => ({
    weight: next([inputs, outputs], 0, spread),
    bias: next([outputs], 0, 1 / 32),
  });
  return {
    tokenEmbedding: { weight: next([V, d], 0, 1 / 16) },
    positionEmbedding: { weight: next([T, d], 0, 1 / 32) },
    blocks: Array.from({ length: L }, () => ({
      norm1: norm(),
      attention: { qkv: linear(d, 3 * d, 1 / 8), projection: linear(d, d, 1 / 8) },
      norm2: norm(),
      mlp: { expand: linear(d, 4 * d, 1 / 8), projection: linear(4 * d, d, 1 / 16) },
    })),
    finalNorm: norm(),
  };
}

/** Rows 0 … B−1 are the chosen completions, B … 2B−1 the rejected ones, each with its prompt. */
export function makeBatch() {
  const draw = xorshift32(seedTokens);
  const next = (): number => draw() >>> 16;
  const tokens: number[][] = [];
  const mask: number[][] = [];
  const lengths: [number[], number[]] = [[], []];
  for (let pair = 0; pair < B; pair++) {
    const promptLength = pBase + 3 * pair;
    const room = T - promptLength;
    const half = Math.floor(room / 2);
    const prompt = Array.from({ length: promptLength }, () => next() % V);
    for (const side of [0, 1] as const) {
      const drawn = half + (next() % (room - half + 1));
      const length = pair === 0 && side === 0 ? room : drawn;
      const completion = Array.from({ length }, () => next() % V);
      const padding = new Array<number>(room - length).fill(0);
      tokens[side * B + pair] = [...prompt, ...completion, ...padding];
      mask[side * B + pair] = Array.from({ length: T }, (_, t) =>
        Number(t >= promptLength && t < promptLength + length),
      );
      lengths[side].push(length);
    }
  }
  const [chosenLengths, rejectedLengths] = lengths;
  return { tokens, mask, chosenLengths, rejectedLengths };
}
