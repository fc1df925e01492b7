/**
 * What is left of rows that are longer than they may be.
 * @module
 */

import type { Tokenizer } from "../models/tokenizer.js";
import type { Tokenization } from "./tokens.js";

/**
 * What of a row that is too long is kept: `"keep_start"` cuts the ends of completions, `"keep_end"` the beginning of
 * the prompt, `"drop"` drops the row.
 */
export type Truncation = "keep_start" | "keep_end" | "drop";

/** A row's tokens after truncation. */
export interface Fitted {
  readonly promptIds: readonly number[];
  readonly completionIds: readonly (readonly number[])[];
  /** Tokens that were cut, and completions that lost their end. */
  readonly cut: number;
  readonly ends: number;
}

/** Why a row is dropped. */
export type SkipReason =
  /** The prompt alone has `maxLength` tokens or more. */
  | "the prompt is too long"
  /** Prompt and completion have more than `maxLength` tokens, and such rows are dropped. */
  | "the row is too long"
  /** Chosen and rejected are the same. */
  | "chosen and rejected are identical"
  /** Chosen and rejected are the same as far as `maxLength` reaches. */
  | "chosen and rejected are identical up to maxLength"
  /** No token that is learned is left, or none is there. */
  | "nothing is left to learn";

/** A prompt with completions, each of them at most `maxLength` tokens with it. */
export function fitPrompt(
  { promptIds, completionIds }: Pick<Fitted, "promptIds" | "completionIds">,
  { maxLength, truncation, tokenization }: FitOptions,
  tokenizer: Bos,
): Fitted | SkipReason {
  const longest = completionIds.reduce((most, { length }) => Math.max(most, length), 0);
  const whole = { promptIds, completionIds, cut: 0, ends: 0 };
  if (promptIds.length + longest <= maxLength) return whole;
  if (truncation === "drop") return "the row is too long";
  if (truncation === "keep_start") {
    const room = maxLength - promptIds.length;
    if (room <= 0) return "the prompt is too long";
    const over = completionIds.map(({ length }) => Math.max(0, length - room));
    return {
      promptIds,
      completionIds: completionIds.map((ids) => ids.slice(0, room)),
      cut: over.reduce((sum, count) => sum + count, 0),
      ends: over.filter((count) => count > 0).length,
    };
  }
  const room = maxLength - longest;
  const head = tokenization === "safe" ? bosOf(promptIds, tokenizer) : [];
  if (room < Math.max(head.length, 1)) return "the row is too long";
  const tail = promptIds.slice(promptIds.length - (room - head.length));
  return { ...whole, promptIds: [...head, ...tail], cut: promptIds.length - room };
}

/** How rows are made to fit. */
export interface FitOptions {
  readonly maxLength: number;
  readonly truncation: Truncation;
  /** `"safe"` keeps a BOS in front of what is left of the end. */
  readonly tokenization: Tokenization;
}

type Bos = Pick<Tokenizer, "bosTokenId">;

const bosOf = (ids: readonly number[], { bosTokenId }: Bos): readonly number[] =>
  bosTokenId !== null && ids[0] === bosTokenId ? [bosTokenId] : [];

/** A text of at most `maxLength` tokens, and which of them are learned. */
export function fitText(
  { ids, trained }: Pick<FittedText, "ids" | "trained">,
  { maxLength, truncation, tokenization }: FitOptions,
  tokenizer: Bos,
): FittedText | SkipReason {
  const over = ids.length - maxLength;
  if (over > 0 && truncation === "drop") return "the row is too long";
  const head = tokenization === "safe" ? bosOf(ids, tokenizer).length : 0;
  const kept = <T>(list: readonly T[]): readonly T[] => {
    if (over <= 0) return list;
    if (truncation === "keep_start") return list.slice(0, maxLength);
    return [...list.slice(0, head), ...list.slice(head + over)];
  };
  const left = { ids: kept(ids), trained: kept(trained) };
  // Nothing predicts the first token.
  if (!left.trained.includes(1, 1)) return "nothing is left to learn";
  const cut = Math.max(0, over);
  return { ...left, cut, ends: cut > 0 && truncation === "keep_start" ? 1 : 0 };
}

/** A text's tokens after truncation. */
interface FittedText extends Pick<Fitted, "cut" | "ends"> {
  readonly ids: readonly number[];
  readonly trained: readonly number[];
}
