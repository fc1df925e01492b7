/**
 * Preference pairs and examples as tokens.
 * @module
 */

import type { PreferenceRow, TextRow } from "../../src/index.js";
import type { Tokenizer } from "./tokenizer.js";

/** A prompt with the response that is preferred and the one that is not. */
export interface PreferencePair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

/** A prompt with a response to imitate. */
export interface Example {
  readonly prompt: string;
  readonly response: string;
}

/** An example as tokens. */
export interface TokenExample {
  readonly promptIds: readonly number[];
  readonly responseIds: readonly number[];
}

/** The tokens of a pair. Both responses end with the tokenizer's `end`. */
export function tokenize(pair: PreferencePair, tokenizer: Tokenizer, row: number): PreferenceRow {
  return {
    row,
    promptIds: tokenizer.encode(pair.prompt),
    chosenIds: [...tokenizer.encode(pair.chosen), tokenizer.end],
    rejectedIds: [...tokenizer.encode(pair.rejected), tokenizer.end],
  };
}

/** The tokens of an example, its response ended by the tokenizer's `end`. */
export function tokenizeExample({ prompt, response }: Example, tokenizer: Tokenizer): TokenExample {
  return {
    promptIds: tokenizer.encode(prompt),
    responseIds: [...tokenizer.encode(response), tokenizer.end],
  };
}

/** The side of a pair that is preferred, or the other. */
export function sideOf(pair: PreferenceRow, side: "chosenIds" | "rejectedIds"): TokenExample {
  return { promptIds: Array.from(pair.promptIds), responseIds: Array.from(pair[side]) };
}

/** An example whose response is to be imitated. */
export function textOf({ promptIds, responseIds }: TokenExample, row: number): TextRow {
  return {
    row,
    ids: [...promptIds, ...responseIds],
    trained: [...promptIds.map(() => 0), ...responseIds.map(() => 1)],
  };
}

/** Tokens of the prompt with the longer response. */
export function lengthOf({ promptIds, chosenIds, rejectedIds }: PreferenceRow): number {
  return promptIds.length + Math.max(chosenIds.length, rejectedIds.length);
}
