/**
 * The tokens of a text, and which of them are learned.
 * @module
 */

import type { ChatMessage } from "../models/chatTemplate.js";
import type { Tokenizer } from "../models/tokenizer.js";
import type { Learned } from "./formats.js";
import { RowProblem } from "./problems.js";
import {
  beginsTwice,
  chatIds,
  endOf,
  type PromptTokens,
  promptTokenizer,
  rendered,
  type Tokenization,
  tokensBefore,
  withEos,
} from "./tokens.js";

/** A text's tokens. */
export interface TextTokens extends Omit<PromptTokens, "promptIds" | "completionIds"> {
  readonly ids: readonly number[];
  /** 1 for each that is learned, else 0. */
  readonly trained: readonly number[];
  /** Those behind the prompt. */
  readonly completionIds: readonly number[];
}

/** What of a text is learned. */
interface Learning {
  readonly completionOnlyLoss: boolean;
  readonly assistantOnlyLoss: boolean;
}

/** The tokens of texts. */
export function textTokenizer(
  tokenizer: Tokenizer,
  tokenization: Tokenization,
  { completionOnlyLoss, assistantOnlyLoss }: Learning,
): (row: Learned) => TextTokens {
  const safe = tokenization === "safe";
  const prompted = promptTokenizer(tokenizer, tokenization);
  const before = tokensBefore(tokenizer);

  /** Prompt and completion in one. */
  function wholeIds({ prompt, completion, ...extras }: Learned): readonly number[] {
    if (typeof completion !== "string")
      return chatIds(tokenizer, joined(prompt, completion), extras);
    const text = (prompt ?? "") + withEos(tokenizer, completion);
    return safe
      ? [...before, ...tokenizer.encode(text, { addSpecialTokens: false })]
      : tokenizer.encode(text);
  }

  /** The whole conversation, and 1 for what the assistant wrote. */
  function masked({ prompt, completion, ...extras }: Learned) {
    if (typeof completion === "string") {
      throw new RowProblem("assistantOnlyLoss is for conversations, and the row is a text");
    }
    return rendered(tokenizer, extras, (variables) =>
      tokenizer.applyChatTemplate(joined(prompt, completion), {
        ...variables,
        returnAssistantTokensMask: true,
      }),
    );
  }

  return (row) => {
    const { prompt, completion } = row;
    const parts = prompt === null ? null : prompted({ ...row, completions: [completion] });
    const conversation = typeof completion !== "string";
    const { ids, assistantMask } = assistantOnlyLoss
      ? masked(row)
      : {
          ids: safe && parts ? [...parts.promptIds, ...parts.completionIds[0]!] : wholeIds(row),
          assistantMask: undefined,
        };
    // The prompt's tokens within all, of which the safe prompt may have lost a BOS.
    const lost = assistantOnlyLoss && safe && parts?.doubleBos ? 1 : 0;
    const border = parts === null ? 0 : parts.promptIds.length + lost;
    const doubleBos = parts?.doubleBos ?? beginsTwice(tokenizer, ids);
    const from = safe && beginsTwice(tokenizer, ids) ? 1 : 0;
    const to = safe && conversation ? endOf(tokenizer, ids) : ids.length;
    const learned = ids.map((_, i) =>
      i < border && completionOnlyLoss ? 0 : (assistantMask?.[i] ?? 1),
    );
    return {
      ids: ids.slice(from, to),
      trained: learned.slice(from, to),
      completionIds: ids.slice(border, to),
      merged: parts?.merged ?? false,
      doubleBos,
      conversation,
    };
  };
}

function joined(prompt: Learned["prompt"], completion: readonly ChatMessage[]) {
  return [...((prompt ?? []) as readonly ChatMessage[]), ...completion];
}
