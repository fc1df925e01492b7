/**
 * Tokenizers from the files transformers writes: text to ids and back, and conversations by the
 * tokenizer's chat template.
 * @module
 */

import { checkOptions } from "../checks.js";
import { fingerprint } from "../files/fingerprint.js";
import type { ChatMessage, ChatTemplateOptions } from "./chatTemplate.js";
import {
  hasFile,
  type ModelFiles,
  type ModelSource,
  modelFiles,
  readBytes,
  readJson,
  readText,
} from "./modelFiles.js";
import type { Offsets } from "./tokenOffsets.js";

/** Options of {@link loadTokenizer}. */
export interface LoadTokenizerOptions {
  /** Branch, tag or commit of a model on the hub; default `"main"`. */
  readonly revision?: string;
}

/** Options of `tokenizer.encode`. */
export interface EncodeOptions {
  /** Whether to add what the tokenizer adds to every text, as a first token. Default true. */
  readonly addSpecialTokens?: boolean;
}

/** Options of `tokenizer.decode`. */
export interface DecodeOptions {
  /** Whether to leave special tokens out. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** A conversation's ids, and 1 for each that the assistant wrote, 0 for the others. */
export interface MaskedChat {
  readonly ids: number[];
  readonly assistantMask: number[];
}

/** Text to ids and back. See {@link loadTokenizer}. */
export interface Tokenizer {
  /** How many tokens there are, added ones included. A model may have more rows than that. */
  readonly vocabularySize: number;
  readonly bosToken: string | null;
  readonly bosTokenId: number | null;
  readonly eosToken: string | null;
  readonly eosTokenId: number | null;
  readonly padToken: string | null;
  readonly padTokenId: number | null;
  readonly unkToken: string | null;
  readonly unkTokenId: number | null;
  /** The chat templates by their names; the only one is `default`. */
  readonly chatTemplates: ReadonlyMap<string, string>;

  /**
   * The ids of a text. Added tokens are found in it wherever they are written out.
   * @throws for a half of a surrogate pair that stands alone: it is no character.
   */
  encode(text: string, options?: EncodeOptions): number[];

  /**
   * The text of ids. Ids without a token, as the rows that fill up a model's vocabulary, give nothing; bytes
   * that are no UTF-8 give U+FFFD. Spaces stay as they are.
   */
  decode(ids: readonly number[], options?: DecodeOptions): string;

  /**
   * Where the tokens of `encode(text, { addSpecialTokens: false })` are in the text, in UTF-16 code units:
   * `text.slice(from, to)`. The places follow each other without gaps, but that each part of a divided
   * character has the place of all of it.
   * @throws where the tokenizer changes the text, by normalizing it or by unknown tokens.
   */
  offsets(text: string): readonly Offsets[];

  /**
   * A conversation as text, by the chat template. With `tokenize` its ids, to which nothing is added. With
   * `returnAssistantTokensMask` the ids and which of them the assistant wrote, where the template says so
   * with `{% generation %}`.
   * @throws where the template refuses the conversation, and where there is no template.
   */
  applyChatTemplate(
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions & { readonly returnAssistantTokensMask: true },
  ): MaskedChat;
  /** The conversation's ids. */
  applyChatTemplate(
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions & { readonly tokenize: true },
  ): number[];
  /** The conversation's text. */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;

  /** A hash of the tokenizer's files, 64 hexadecimal digits. */
  fingerprint(): Promise<string>;
}

/**
 * Loads a tokenizer: `tokenizer.json`, and what there is of `tokenizer_config.json`,
 * `special_tokens_map.json` and `chat_template.jinja`. Ids and text are those of transformers 5.
 *
 * @throws (the returned promise rejects) where there is no `tokenizer.json`, and for kinds of tokenizers
 * whose ids would not be transformers'.
 * @example
 * const tokenizer = await loadTokenizer("path/to/SmolLM2-135M-Instruct");
 * const ids = tokenizer.applyChatTemplate([{ role: "user", content: "Hi" }], {
 *   addGenerationPrompt: true,
 *   tokenize: true,
 * });
 */
export async function loadTokenizer(
  source: ModelSource,
  options: LoadTokenizerOptions = {},
): Promise<Tokenizer> {
  checkOptions("loadTokenizer", options, "revision");
  const files = await modelFiles(source, options.revision);
  const tokenizer = await readTokenizer(files);
  if (tokenizer) return tokenizer;
  for (const other of ["tokenizer.model", "vocab.json", "tekken.json"]) {
    if (!(await hasFile(files, other))) continue;
    throw new TypeError(
      `loadTokenizer: there is ${other} and no tokenizer.json in ${files.where}; in Python, ` +
        "AutoTokenizer.from_pretrained(directory).save_pretrained(directory) writes it",
    );
  }
  throw new TypeError(`loadTokenizer: there is no tokenizer.json in ${files.where}`);
}

/** The tokenizer among a model's files, or null. */
export async function readTokenizer(files: ModelFiles): Promise<Tokenizer | null> {
  const json = await readJson(files, "tokenizer.json");
  if (!json) return null;
  let config = (await readJson(files, "tokenizer_config.json")) ?? {};
  if (config.added_tokens_decoder === undefined) {
    config = { ...config, ...(await readJson(files, "special_tokens_map.json")) };
  }
  const template = await readText(files, "chat_template.jinja");
  const { makeTokenizer } = await import("./makeTokenizer.js");
  const tokenizer = await makeTokenizer(json, config, template);
  return { ...tokenizer, fingerprint: () => fingerprint(contents(files)) };
}

/** The files that a tokenizer is made of. What is not there counts as empty. */
async function* contents(files: ModelFiles): AsyncGenerator<Uint8Array> {
  for (const name of FILES) yield (await readBytes(files, name)) ?? new Uint8Array(0);
}

const FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
];
