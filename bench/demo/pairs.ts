/**
 * Preference pairs as token sequences of one fixed length, as the training steps take them.
 * @module
 */

import { type Tensor, tensor } from "../../src/index.js";
import type { Tokenizer } from "./tokenizer.js";

/** A prompt with the response that is preferred and the one that is not. */
export interface PreferencePair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

/** A pair as tokens. Both responses end with the tokenizer's `end`, unless they were cut. */
export interface TokenPair {
  readonly prompt: readonly number[];
  readonly chosen: readonly number[];
  readonly rejected: readonly number[];
}

/** Prompts with one response each, padded on the right to a common length. */
export interface Sequences {
  readonly count: number;
  /** T: tokens of every sequence, padding included. */
  readonly length: number;
  /** `[count · T]`. */
  readonly ids: Int32Array;
  /** `[count · T]`: 1 on the tokens of the response, 0 on prompt and padding. */
  readonly mask: Float32Array;
  /** `[count]`: tokens of each response. */
  readonly responseLengths: Float32Array;
}

/** The two sides of pairs, row by row. */
export interface PairSequences {
  readonly chosen: Sequences;
  readonly rejected: Sequences;
}

/** The tokens of a pair. Prompt and response are joined as they are, with nothing in between. */
export function tokenize(pair: PreferencePair, tokenizer: Tokenizer): TokenPair {
  return {
    prompt: tokenizer.encode(pair.prompt),
    chosen: [...tokenizer.encode(pair.chosen), tokenizer.end],
    rejected: [...tokenizer.encode(pair.rejected), tokenizer.end],
  };
}

/** Tokens of the prompt with the longer response. */
export function lengthOf({ prompt, chosen, rejected }: TokenPair): number {
  return prompt.length + Math.max(chosen.length, rejected.length);
}

/** Pads both sides of pairs to `length`, which must hold the longest. */
export function pairSequences(
  pairs: readonly TokenPair[],
  length: number,
  padding: number,
): PairSequences {
  const side = (name: "chosen" | "rejected"): Sequences =>
    sequences(
      pairs.map((pair) => [pair.prompt, pair[name]]),
      length,
      padding,
    );
  return { chosen: side("chosen"), rejected: side("rejected") };
}

function sequences(
  texts: readonly (readonly [prompt: readonly number[], response: readonly number[]])[],
  length: number,
  padding: number,
): Sequences {
  const ids = new Int32Array(texts.length * length).fill(padding);
  const mask = new Float32Array(texts.length * length);
  for (const [row, [prompt, response]] of texts.entries()) {
    const start = row * length;
    ids.set(prompt, start);
    ids.set(response, start + prompt.length);
    mask.fill(1, start + prompt.length, start + prompt.length + response.length);
  }
  return {
    count: texts.length,
    length,
    ids,
    mask,
    responseLengths: Float32Array.from(texts, ([, response]) => response.length),
  };
}

/** What a model needs to score a batch: ids int32 `[B, T]`, mask float32 `[B, T]`. */
export interface Batch {
  readonly ids: Tensor;
  readonly mask: Tensor;
}

/** The given rows of one or several sets of sequences, set after set, as one batch. */
export function batchOf(sets: readonly Sequences[], rows: readonly number[]): Batch {
  const { length } = sets[0]!;
  const shape = [sets.length * rows.length, length];
  const ids = new Int32Array(shape[0]! * length);
  const mask = new Float32Array(shape[0]! * length);
  for (const [s, set] of sets.entries()) {
    for (const [r, row] of rows.entries()) {
      const [from, to] = [row * length, (s * rows.length + r) * length];
      ids.set(set.ids.subarray(from, from + length), to);
      mask.set(set.mask.subarray(from, from + length), to);
    }
  }
  return { ids: tensor(ids, { shape }), mask: tensor(mask, { shape }) };
}

/** The given elements of a list of numbers, as a tensor. */
export function rowsOf(values: Float32Array, rows: readonly number[]): Tensor {
  return tensor(Float32Array.from(rows, (row) => values[row]!));
}
