/**
 * Text to tokens: one token per character of a small alphabet, or one per byte.
 * @module
 */

import type { Tokenizer as LibraryTokenizer } from "../../src/index.js";

/** A reversible map between text and token ids. */
export interface Tokenizer {
  /** Ids are 0 … vocabularySize − 1. */
  readonly vocabularySize: number;
  /** The token that ends every response. */
  readonly end: number;
  encode(text: string): number[];
  /** The text of the tokens before the first `end`. */
  decode(ids: readonly number[]): string;
}

/**
 * One token per character of an alphabet.
 * @throws by `encode` for a character outside the alphabet.
 */
export function characterTokenizer(alphabet: string, end: string): Tokenizer {
  const characters = [...alphabet];
  const idOf = (character: string): number => {
    const id = characters.indexOf(character);
    if (id < 0) throw new RangeError(`"${character}" is not in the alphabet "${alphabet}"`);
    return id;
  };
  const endId = idOf(end);
  return {
    vocabularySize: characters.length,
    end: endId,
    encode: (text) => Array.from(text, idOf),
    decode: (ids) =>
      beforeEnd(ids, endId)
        .map((id) => characters[id])
        .join(""),
  };
}

/** A character that no text has, and the token that stands for it. */
const [EOS, END] = ["\uFFFF", 256];

const encoder = new TextEncoder();
const bytesOf = (text: string): number[] => Array.from(encoder.encode(text));

const none = (): never => {
  throw new TypeError("bytes have neither");
};

/** One token per byte of UTF-8, and one more that ends a response: what `readPreferences` takes. */
export const byteTokenizer: Tokenizer & LibraryTokenizer = {
  vocabularySize: 257,
  end: END,
  eosToken: EOS,
  eosTokenId: END,
  encode: (text) =>
    text.split(EOS).flatMap((part, i) => (i === 0 ? bytesOf(part) : [END, ...bytesOf(part)])),
  decode: (ids) => new TextDecoder().decode(Uint8Array.from(beforeEnd(ids, END))),
  bosToken: null,
  bosTokenId: null,
  padToken: null,
  padTokenId: null,
  unkToken: null,
  unkTokenId: null,
  chatTemplates: new Map(),
  applyChatTemplate: none,
  offsets: none,
  fingerprint: none,
};

function beforeEnd(ids: readonly number[], end: number): readonly number[] {
  const at = ids.indexOf(end);
  return at < 0 ? ids : ids.slice(0, at);
}
