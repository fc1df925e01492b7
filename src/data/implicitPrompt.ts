/**
 * The prompt of a pair that has none of its own: what chosen and rejected begin with.
 * @module
 */

import type { ChatMessage } from "../models/chatTemplate.js";

/** How many messages both conversations begin with, of which each has more. */
export function sharedTurns(one: readonly ChatMessage[], other: readonly ChatMessage[]): number {
  const most = Math.min(one.length, other.length) - 1;
  let shared = 0;
  while (shared < most && JSON.stringify(one[shared]) === JSON.stringify(other[shared])) shared++;
  return shared;
}

/**
 * A pair as TRL divides it: before the first character that differs, or before the space in front of it. Where one text
 * goes on from the other, the last character of the shorter is part of the completions.
 */
export function splitAsTrl([chosen, rejected]: readonly [string, string]) {
  const [a, b] = [Array.from(chosen), Array.from(rejected)];
  const length = Math.min(a.length, b.length);
  let border = 0;
  while (border < length - 1 && a[border] === b[border]) border++;
  // As in Python, the place before the first is the last.
  if (a[border] !== b[border] && a.at(border - 1) === " ") border--;
  const [prompt, rest] = [a.slice(0, border), a.slice(border)].map((part) => part.join(""));
  return { prompt: prompt!, completions: [rest!, b.slice(border).join("")] };
}

/** Most places that are looked at. */
const PLACES = 64;

/**
 * Where two texts may be divided, from the end of what they share back to its beginning: nowhere within a word of
 * either, and before a space rather than behind it, as words of most vocabularies begin with their space.
 */
export function* wordBorders(one: string, other: string): Generator<number> {
  let shared = 0;
  const most = Math.min(one.length, other.length);
  while (shared < most && one[shared] === other[shared]) shared++;
  let tried = 0;
  for (let border = shared; border > 0 && tried < PLACES; border--) {
    if (isWithinWord(one, border) || isWithinWord(other, border)) continue;
    // The place before the space follows, unless the prompt is that space.
    if (one[border - 1] === " " && border > 1) continue;
    tried++;
    yield border;
  }
}

/** Letters, digits and marks of scripts that put spaces between words, and halves of characters. */
const WORD = /^[\p{L}\p{N}\p{M}_'’]$/u;
const UNSPACED = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]$/u;

function isWithinWord(text: string, border: number): boolean {
  const [before, after] = [text[border - 1], text[border]];
  if (before === undefined || after === undefined) return false;
  if (/[\uDC00-\uDFFF]/.test(after)) return true;
  const isWord = (character: string): boolean => WORD.test(character) && !UNSPACED.test(character);
  // What combines with the character before it, and what a joiner joins.
  return /[\p{M}\u200d]/u.test(after) || before === "\u200d" || (isWord(before) && isWord(after));
}
