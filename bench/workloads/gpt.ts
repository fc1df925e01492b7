/**
 * Preference optimization of a small GPT: parameters and a batch of pairs from a few integers, so that
 * any program can make them. At its standard size, `test/data/gpt-dpo.json` holds the numbers PyTorch
 * computes in double precision.
 */

import type { GptProblem, GptSizes, NamedArray } from "../problem.js";
import { readJson } from "../runner/files.js";
import { draws, uniform } from "./numbers.js";

/** What PyTorch computes for one of the losses. */
export interface Golden {
  readonly chosenLogps: readonly number[];
  readonly rejectedLogps: readonly number[];
  readonly grads: Readonly<
    Record<string, { readonly norm: number; readonly entries: Readonly<Record<string, number>> }>
  >;
  /** After 0 … 10 steps. */
  readonly losses: readonly number[];
}

interface GoldenFile {
  readonly config: Record<"V" | "d" | "L" | "H" | "T" | "B" | "seedParams" | "seedTokens", number>;
  readonly refChosen: number[];
  readonly refRejected: number[];
  readonly results: Readonly<Record<"gpt-dpo" | "gpt-spo", Golden>>;
}

const SEED_PARAMETERS = 2463534242;
const SEED_TOKENS = 88675123;

/** What sets a problem apart from the standard one. */
export interface GptVariant extends Partial<GptSizes> {
  readonly length?: number;
  readonly pairs?: number;
  readonly mode?: "forward" | "step";
  readonly loss?: "dpo" | "spo";
}

/** The golden numbers. */
export function golden(): GoldenFile {
  return readJson("test/data/gpt-dpo.json") as GoldenFile;
}

/** The workload of the golden numbers: 842,496 parameters, 16 rows of 128 tokens. */
export function standardGpt(loss: "dpo" | "spo", mode: "forward" | "step"): GptProblem {
  const { refChosen, refRejected } = golden();
  return {
    ...gptProblem({ loss, mode }),
    referenceChosen: Float32Array.from(refChosen),
    referenceRejected: Float32Array.from(refRejected),
  };
}

/** The workload at another size; its reference model gives every token the same probability. */
export function gptProblem(variant: GptVariant = {}): GptProblem {
  const { vocabulary = 256, width = 128, layers = 4, length = 128, pairs = 8 } = variant;
  const { heads = 4, context = length, mode = "step", loss = "dpo" } = variant;
  const sizes = { vocabulary, context, width, layers, heads };
  return {
    mode,
    loss,
    sizes,
    pairs,
    length,
    parameters: parameters(sizes),
    ...batch(vocabulary, length, pairs),
    reported: mode === "step" ? 4 : 1,
  };
}

/**
 * Floating-point operations of the matrix products of a forward pass, two for a multiplication with
 * its addition; a step has three times as many. The masked half of attention counts.
 */
export function productFlops({ sizes, pairs, length }: GptProblem): number {
  const { vocabulary, width, layers } = sizes;
  const perToken = layers * (24 * width ** 2 + 4 * length * width) + 2 * width * vocabulary;
  return 2 * pairs * length * perToken;
}

function parameters({ vocabulary, context, width, layers }: GptSizes): NamedArray[] {
  const next = draws(SEED_PARAMETERS);
  const all: NamedArray[] = [];
  // Wider layers sum more terms; their weights are smaller accordingly.
  const scale = Math.sqrt(128 / width);
  const add = (name: string, shape: number[], spread: number, centre = 0): void => {
    const length = shape.reduce((a, b) => a * b, 1);
    all.push({ name, shape, values: uniform(length, next, { centre, spread }) });
  };
  const norm = (name: string): void => {
    add(`${name}.g`, [width], 1 / 8, 1);
    add(`${name}.b`, [width], 1 / 16);
  };
  const linear = (name: string, inputs: number, outputs: number, spread: number): void => {
    add(`${name}.w`, [inputs, outputs], spread * scale);
    add(`${name}.b`, [outputs], 1 / 32);
  };
  add("wte", [vocabulary, width], 1 / 16);
  add("wpe", [context, width], 1 / 32);
  for (let i = 0; i < layers; i++) {
    norm(`h${i}.ln1`);
    linear(`h${i}.attn.qkv`, width, 3 * width, 1 / 8);
    linear(`h${i}.attn.proj`, width, width, 1 / 8);
    norm(`h${i}.ln2`);
    linear(`h${i}.mlp.fc`, width, 4 * width, 1 / 8);
    linear(`h${i}.mlp.proj`, 4 * width, width, 1 / 16);
  }
  norm("lnf");
  return all;
}

/** Prompts shared by the two rows of a pair, completions of different lengths, then zeros. */
function batch(vocabulary: number, length: number, pairs: number) {
  const next = draws(SEED_TOKENS);
  const tokens = new Int32Array(2 * pairs * length);
  const mask = new Float32Array(tokens.length);
  const lengths = [new Float32Array(pairs), new Float32Array(pairs)] as const;
  for (let pair = 0; pair < pairs; pair++) {
    // The recipe's prompts of 16, 19, 22, … tokens, kept below half a row.
    const promptLength = Math.min(16 + 3 * pair, length >> 1);
    const room = length - promptLength;
    const half = room >> 1;
    const prompt = Array.from({ length: promptLength }, () => next() % vocabulary);
    for (const side of [0, 1] as const) {
      const drawn = half + (next() % (room - half + 1));
      const count = pair === 0 && side === 0 ? room : drawn;
      const start = (side * pairs + pair) * length;
      tokens.set(prompt, start);
      for (let t = promptLength; t < promptLength + count; t++) {
        tokens[start + t] = next() % vocabulary;
        mask[start + t] = 1;
      }
      lengths[side][pair] = count;
    }
  }
  const [referenceChosen, referenceRejected] = lengths.map((own) =>
    own.map((count) => -count * Math.log(vocabulary)),
  ) as [Float32Array, Float32Array];
  return { tokens, mask, chosenLengths: lengths[0], referenceChosen, referenceRejected };
}
