/**
 * The text of tokens as they come, in whole characters.
 * @module
 */

/** Makes text of ids, as the `tokenizer` of a loaded model does. */
export interface TokenDecoder {
  /** The text of these ids, one after the other; special tokens may be left out. */
  decode(ids: number[], options?: { readonly skipSpecialTokens?: boolean }): string;
}

/** Tokens of a prompt that are decoded along, since some tokenizers drop a space at the beginning. */
const CONTEXT = 5;

/** The most tokens of a character that is not complete: it has four bytes at most. */
const PARTS = 3;

/** What the bytes of a character that is not complete are decoded as. */
const INCOMPLETE = "\uFFFD";

/**
 * What is written after a prompt. A token whose character is not complete has its text with the token that completes
 * it. Tokens are decoded from the beginning of a character on, since a part of one can make U+FFFD of all bytes after it.
 */
export class WrittenText {
  private readonly decode: (ids: readonly number[]) => string;
  /** The tokens last given out, and the new ones. */
  private ids: number[];
  /** How many of them were given out. */
  private read: number;
  /** The text of those that were given out. */
  private given: string;
  /** The end of what was given out, as much of it as can begin a stop string. */
  private tail = "";
  private readonly reach: number;

  constructor(
    decoder: TokenDecoder,
    prompt: readonly number[],
    private readonly stopStrings: readonly string[],
    skipSpecialTokens = false,
  ) {
    this.decode = (ids) => decoder.decode([...ids], { skipSpecialTokens });
    const [from, end] = wholeCharacters(prompt, this.decode);
    this.ids = [...prompt.slice(from)];
    this.read = end - from;
    const whole = this.decode(prompt.slice(from, end));
    const all = this.decode(this.ids);
    this.given = all.startsWith(whole) ? all.replace(/\uFFFD+$/, "") : whole;
    this.reach = stopStrings.reduce((most, text) => Math.max(most, text.length - 1), 0);
  }

  /** The text that a token completes, and whether a stop string is in it. The last token of all gives all there is. */
  push(token: number, isLast: boolean): { readonly text: string; readonly stops: boolean } {
    this.ids.push(token);
    const all = this.decode(this.ids);
    // Bytes that make no character change the text of those before them.
    const text = all.startsWith(this.given)
      ? all.slice(this.given.length)
      : this.decode(this.ids.slice(this.read));
    const near = this.tail + text;
    const stops = this.stopStrings.some((stop) => near.includes(stop));
    if (!(isLast || stops) && text.endsWith(INCOMPLETE)) return { text: "", stops };
    this.tail = this.reach > 0 ? near.slice(-this.reach) : "";
    const piece = this.ids.slice(this.read);
    // After tokens without text, the next one would be at the beginning.
    if (this.decode(piece) !== "") this.ids = piece;
    this.read = this.ids.length;
    this.given = this.decode(this.ids);
    return { text, stops };
  }
}

/** From where to where a prompt's last tokens are whole characters; nothing where there are none. */
function wholeCharacters(
  prompt: readonly number[],
  decode: (ids: readonly number[]) => string,
): readonly [from: number, end: number] {
  const { length } = prompt;
  for (let end = length; end >= Math.max(0, length - PARTS); end--) {
    for (
      let from = Math.max(0, end - CONTEXT);
      from >= Math.max(0, end - CONTEXT - PARTS);
      from--
    ) {
      const text = decode(prompt.slice(from, end));
      if (!(text.startsWith(INCOMPLETE) || text.endsWith(INCOMPLETE))) return [from, end];
    }
  }
  return [length, length];
}
