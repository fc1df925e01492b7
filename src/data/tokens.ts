/**
 * The tokens of a prompt and of its completions: as TRL makes them, or so that nothing is lost.
 * @module
 */

import type { ChatMessage } from "../models/chatTemplate.js";
import type { Tokenizer } from "../models/tokenizer.js";
import type { Extras, Prompted, Writing } from "./formats.js";
import { splitAsTrl, wordBorders } from "./implicitPrompt.js";
import { RowProblem } from "./problems.js";

/** How rows become tokens. */
export type Tokenization = "safe" | "trl";

/** A prompt's tokens and its completions'. `[...promptIds, ...completionIds]` is what the model reads. */
export interface PromptTokens {
  readonly promptIds: readonly number[];
  readonly completionIds: readonly (readonly number[])[];
  /** Whether the last token of the prompt and the first of a completion are one when they are written together. */
  readonly merged: boolean;
  /** Whether the row begins with two BOS, or did before one was taken away. */
  readonly doubleBos: boolean;
  readonly conversation: boolean;
}

/** A prompt and completions of it, both texts or both conversations. */
interface Split<Kind extends Writing> {
  readonly prompt: Kind;
  readonly completions: readonly Kind[];
}

/** Tokens of rows, with what a tokenizer does to every text known. */
export function promptTokenizer(
  tokenizer: Tokenizer,
  tokenization: Tokenization,
): (row: Prompted) => PromptTokens {
  const safe = tokenization === "safe";
  const plain = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  const ended = (text: string): string => withEos(tokenizer, text);
  const before = tokensBefore(tokenizer);

  function textsAsTrl({ prompt, completions }: Split<string>): PromptTokens {
    const promptIds = tokenizer.encode(prompt);
    const wholes = completions.map((completion) => tokenizer.encode(prompt + ended(completion)));
    return { ...afterPrompt(promptIds, wholes), conversation: false };
  }

  function textsSafely({ prompt, completions }: Split<string>): PromptTokens {
    const body = plain(prompt);
    const parts = completions.map(ended);
    const wholes = parts.map((part) => plain(prompt + part));
    const promptIds = [...before, ...body];
    const doubleBos = beginsTwice(tokenizer, promptIds);
    return {
      promptIds: promptIds.slice(Number(doubleBos)),
      completionIds: wholes.map((whole, i) =>
        goesOn(whole, body) ? whole.slice(body.length) : continuation(plain, parts[i]!),
      ),
      merged: !wholes.every((whole) => goesOn(whole, body)),
      doubleBos,
      conversation: false,
    };
  }

  /** The longest shared beginning of two texts that ends between words and between tokens. */
  function implicitPrompt([chosen, rejected]: readonly [string, string]): Split<string> {
    const wholes = [chosen, rejected].map((text) => plain(ended(text)));
    let first: number | undefined;
    for (const border of wordBorders(chosen, rejected)) {
      first ??= border;
      const body = plain(chosen.slice(0, border));
      if (wholes.every((whole) => goesOn(whole, body))) return splitAt(border);
    }
    if (first !== undefined) return splitAt(first);
    throw new RowProblem(
      "chosen and rejected share no first word, so the row has no prompt; give the column prompt",
    );
    function splitAt(border: number): Split<string> {
      return {
        prompt: chosen.slice(0, border),
        completions: [chosen.slice(border), rejected.slice(border)],
      };
    }
  }

  function chats(
    row: Prompted,
    { prompt, completions }: Split<readonly ChatMessage[]>,
  ): PromptTokens {
    const ids = (messages: readonly ChatMessage[], addGenerationPrompt = false): number[] =>
      chatIds(tokenizer, messages, row, addGenerationPrompt);
    const promptIds = ids(prompt, true);
    const wholes = completions.map((completion) => ids([...prompt, ...completion]));
    const found = { ...afterPrompt(promptIds, wholes), conversation: true };
    if (!safe) return found;
    const shared = found.merged ? sharedLength([promptIds, ...wholes]) : promptIds.length;
    // A template may begin the answer in another way than it goes on.
    if (
      found.merged &&
      (shared < ids(prompt).length || wholes.some(({ length }) => length === shared))
    ) {
      throw new RowProblem(
        "the chat template does not begin prompt and completion as it begins the prompt alone; " +
          "give prompts and completions as texts",
      );
    }
    return {
      ...found,
      promptIds: wholes[0]!.slice(Number(found.doubleBos), shared),
      completionIds: wholes.map((whole) => {
        const completion = whole.slice(shared);
        return completion.slice(0, endOf(tokenizer, completion));
      }),
    };
  }

  /** What TRL takes for the completions: all behind as many tokens as the prompt has. */
  function afterPrompt(promptIds: readonly number[], wholes: readonly (readonly number[])[]) {
    return {
      promptIds,
      completionIds: wholes.map((whole) => whole.slice(promptIds.length)),
      merged: !wholes.every((whole) => goesOn(whole, promptIds)),
      doubleBos: beginsTwice(tokenizer, promptIds),
    };
  }

  return (row) => {
    const { prompt, completions } = row;
    if (isTexts(completions)) {
      if (prompt !== null) {
        const split = { prompt: prompt as string, completions };
        return safe ? textsSafely(split) : textsAsTrl(split);
      }
      const pair = [completions[0]!, completions[1]!] as const;
      return safe ? textsSafely(implicitPrompt(pair)) : textsAsTrl(splitAsTrl(pair));
    }
    const conversations = completions as readonly (readonly ChatMessage[])[];
    return chats(row, { prompt: prompt as readonly ChatMessage[], completions: conversations });
  };
}

/** The tokens of prompts alone, as `"safe"` has them: what a model that completes them reads. */
export function promptIdsOf(
  tokenizer: Tokenizer,
): (prompt: Writing, extras: Extras) => readonly number[] {
  const before = tokensBefore(tokenizer);
  return (prompt, extras) => {
    const ids =
      typeof prompt === "string"
        ? [...before, ...tokenizer.encode(prompt, { addSpecialTokens: false })]
        : chatIds(tokenizer, prompt, extras, true);
    return ids.slice(Number(beginsTwice(tokenizer, ids)));
  };
}

/** A text that ends with EOS. */
export function withEos({ eosToken }: Tokenizer, text: string): string {
  return eosToken === null || text.endsWith(eosToken) ? text : text + eosToken;
}

/** Whether tokens begin with two BOS. */
export function beginsTwice({ bosTokenId }: Tokenizer, ids: readonly number[]): boolean {
  return bosTokenId !== null && ids[0] === bosTokenId && ids[1] === bosTokenId;
}

/**
 * Where a conversation ends: behind its last EOS, if only white space follows, as the newline that templates write there.
 * Nobody has to learn that.
 */
export function endOf({ eosTokenId, decode }: Tokenizer, ids: readonly number[]): number {
  const end = eosTokenId === null ? -1 : ids.lastIndexOf(eosTokenId);
  return end >= 0 && decode(ids.slice(end + 1)).trim() === "" ? end + 1 : ids.length;
}

/** The tokens of a conversation. @throws RowProblem where the template refuses it. */
export function chatIds(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  extras: Extras,
  addGenerationPrompt = false,
): number[] {
  return rendered(tokenizer, extras, (variables) =>
    tokenizer.applyChatTemplate(messages, { ...variables, addGenerationPrompt, tokenize: true }),
  );
}

/** What a template makes of a conversation. @throws RowProblem where the template refuses it. */
export function rendered<Result>(
  tokenizer: Tokenizer,
  { tools, variables }: Extras,
  render: (variables: Extras["variables"]) => Result,
): Result {
  if (tokenizer.chatTemplates.size === 0) {
    throw new RowProblem(
      "the row is a conversation, and the tokenizer has no chat template; take an instruction-tuned model, " +
        "put a chat_template.jinja into its directory, or give texts",
    );
  }
  try {
    return render({ ...variables, ...(tools && { tools }) });
  } catch (error) {
    throw new RowProblem((error as Error).message, { cause: error });
  }
}

const isTexts = (writings: readonly Writing[]): writings is readonly string[] =>
  typeof writings[0] === "string";

/** Whether tokens begin with others and go on. */
function goesOn(whole: readonly number[], beginning: readonly number[]): boolean {
  return whole.length > beginning.length && beginning.every((id, i) => whole[i] === id);
}

/** How many tokens all lists begin with. */
function sharedLength(lists: readonly (readonly number[])[]): number {
  const [first, ...others] = lists;
  const end = first!.findIndex((id, i) => others.some((other) => other[i] !== id));
  return end < 0 ? first!.length : end;
}

/** What the tokenizer puts before every text. */
export function tokensBefore(tokenizer: Tokenizer): readonly number[] {
  const plain = tokenizer.encode("a", { addSpecialTokens: false });
  const special = tokenizer.encode("a");
  const from = special.findIndex((_, i) => plain.every((id, k) => special[i + k] === id));
  return special.slice(0, Math.max(from, 0));
}

/**
 * The tokens of a text that goes on from another. Some tokenizers put a space before every text; behind a newline
 * there is none.
 */
function continuation(plain: (text: string) => number[], text: string): number[] {
  const lead = plain("\n");
  const led = plain(`\n${text}`);
  return goesOn(led, lead) ? led.slice(lead.length) : plain(text);
}
