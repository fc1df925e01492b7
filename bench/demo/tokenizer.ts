/**
 * Text to tokens: one token per character of a small alphabet, or one per byte.
 * @module
 */

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

/** One token per byte of UTF-8, and one more that ends a response. */
export function byteTokenizer(): Tokenizer {
  const end = 256;
  return {
    vocabularySize: 257,
    end,
    encode: (text) => [...new TextEncoder().encode(text)],
    decode: (ids) => new TextDecoder().decode(Uint8Array.from(beforeEnd(ids, end))),
  };
}

function beforeEnd(ids: readonly number[], end: number): readonly number[] {
  const at = ids.indexOf(end);
  return at < 0 ? ids : ids.slice(0, at);
}
