/**
 * Where the tokens of a text are in it, by counting bytes.
 * @module
 */

import type { AddedToken } from "./tokenizerJson.js";

/** From and to, in UTF-16 code units: `text.slice(from, to)`. */
export type Offsets = readonly [from: number, to: number];

/** A token and what is known of it. */
export interface TextToken {
  /** What it stands for. */
  readonly bytes: Uint8Array;
  readonly added?: AddedToken | undefined;
}

const SPACE = 0x20;
const encoder = new TextEncoder();

/**
 * The bytes behind the characters of byte-level vocabularies: printable bytes stand for themselves, the
 * others, in order, for the characters from U+0100 on.
 */
const BYTES: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number): boolean =>
    (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 0x100; byte++) {
    map.set(String.fromCharCode(printable(byte) ? byte : next++), byte);
  }
  return map;
})();

/** Whether all characters stand for bytes. */
export function isByteLevel(token: string): boolean {
  return Array.from(token).every((character) => BYTES.has(character));
}

/** The bytes that a token of the vocabulary stands for. */
export function tokenBytes(token: string, byteLevel: boolean): Uint8Array {
  if (byteLevel) return Uint8Array.from(token, (character) => BYTES.get(character) ?? 0);
  const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
  return byte
    ? Uint8Array.of(Number.parseInt(byte[1]!, 16))
    : encoder.encode(token.replaceAll("▁", " "));
}

/**
 * The place of each token. A token that is part of a character has the whole character's place. A space
 * that the tokenizer put before a text has none.
 *
 * @param prepends whether a space is put before every text, also where there is one.
 * @throws where tokens and text part.
 */
export function tokenOffsets(
  text: string,
  tokens: readonly TextToken[],
  prepends: boolean,
): readonly Offsets[] {
  const bytes = encoder.encode(text);
  const { starts, ends } = characterPlaces(text, bytes.length);
  const startsWith = (part: Uint8Array, at: number): boolean =>
    at + part.length <= bytes.length && part.every((byte, i) => byte === bytes[at + i]);
  const white = (at: number): number => {
    const rest = text.slice(starts[at]!);
    return encoder.encode(rest.slice(0, rest.length - rest.trimStart().length)).length;
  };
  const offsets: Offsets[] = [];
  let at = 0;
  let first = true;
  for (const { bytes: part, added } of tokens) {
    const from = at;
    if (added?.lstrip) at += white(at);
    const spaced = first && !added && part[0] === SPACE;
    const dropped = spaced && (prepends || !startsWith(part, at));
    const seen = dropped ? part.subarray(1) : part;
    if (!startsWith(seen, at)) changed(text, starts[at]!);
    at += seen.length;
    if (added?.rstrip) at += white(at);
    offsets.push(at === from ? [starts[at]!, starts[at]!] : [starts[from]!, ends[at]!]);
    first = added !== undefined;
  }
  if (at < bytes.length) changed(text, starts[at]!);
  return offsets;
}

function changed(text: string, index: number): never {
  throw new RangeError(
    `offsets: the tokenizer changes the text at position ${index}, ${JSON.stringify(text.slice(index, index + 12))}, ` +
      "so its tokens have no place in it; tokenizers that normalize leave text.normalize() as it is",
  );
}

/** Of every byte: where its character starts, and where the character of the byte before it ends. */
function characterPlaces(text: string, size: number) {
  const starts = new Uint32Array(size + 1).fill(text.length);
  const ends = new Uint32Array(size + 1).fill(text.length);
  let byte = 0;
  let index = 0;
  for (const character of text) {
    const { length } = encoder.encode(character);
    starts.fill(index, byte, byte + length);
    index += character.length;
    ends.fill(index, byte + 1, byte + length + 1);
    byte += length;
  }
  return { starts, ends };
}
