/**
 * The records of JSON: one a line, or the elements of one array. Neither is ever in memory whole.
 * @module
 */

import { RowProblem } from "./problems.js";

/** A record, or what is wrong where one should be, and the line it begins in, from 1. */
export interface ParsedRecord {
  readonly line: number | null;
  readonly value: unknown;
}

/** Bytes that are to be one record. */
interface RecordBytes {
  readonly line: number;
  readonly bytes: Uint8Array | RowProblem;
}

/** No record is larger; what seems so is another kind of file. */
const LARGEST = 2 ** 28;

const [NEWLINE, QUOTE, COMMA, OPEN, BACKSLASH, CLOSE] = [0x0a, 0x22, 0x2c, 0x5b, 0x5c, 0x5d];
const [OPEN_BRACE, CLOSE_BRACE] = [0x7b, 0x7d];
const isSpace = (byte: number): boolean => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);

/**
 * The records of a file that comes in pieces: of JSON lines, or of a JSON array where its first character is `[`. What
 * is no JSON has a `RowProblem` as its value.
 */
export async function* jsonRecords(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<ParsedRecord> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const { line, bytes } of recordBytes(pieces)) {
    if (bytes instanceof RowProblem) yield { line, value: bytes };
    else if (!bytes.every(isSpace)) yield { line, value: parsed(decoder, bytes) };
  }
}

function parsed(decoder: TextDecoder, bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    const at = firstOther(decoder, bytes);
    const value = bytes[at]!.toString(16).toUpperCase();
    return new RowProblem(`byte ${at + 1} (0x${value}) is not UTF-8; save the file as UTF-8`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    return new RowProblem(
      `is not JSON (${(error as Error).message}); a file has one JSON object a line, or one JSON array of objects`,
    );
  }
}

/** Where the first byte is that begins no character of UTF-8. */
function firstOther(decoder: TextDecoder, bytes: Uint8Array): number {
  for (let at = 0; ; ) {
    const first = bytes[at]!;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    try {
      decoder.decode(bytes.subarray(at, at + length));
    } catch {
      return at;
    }
    at += length;
  }
}

/** Parts of a record, until it is complete. */
class Parts {
  private parts: Uint8Array[] = [];
  private size = 0;

  add(part: Uint8Array): void {
    if (part.length === 0) return;
    this.size += part.length;
    if (this.size > LARGEST) {
      throw new RowProblem(
        `the record has more than ${LARGEST / 2 ** 20} MiB; a file has one JSON object a line, or one JSON array of objects`,
      );
    }
    this.parts.push(part);
  }

  take(): Uint8Array {
    const [first, ...others] = this.parts;
    const bytes = others.length === 0 ? (first ?? new Uint8Array(0)) : new Uint8Array(this.size);
    let at = 0;
    if (others.length > 0) {
      for (const part of this.parts) {
        bytes.set(part, at);
        at += part.length;
      }
    }
    this.parts = [];
    this.size = 0;
    return bytes;
  }
}

async function* recordBytes(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<RecordBytes> {
  const parts = new Parts();
  let elements: ArrayElements | null | undefined;
  let line = 1;
  for await (const whole of pieces) {
    let piece = whole;
    if (elements === undefined) {
      // The byte order mark that some editors write.
      if (piece[0] === 0xef && piece[1] === 0xbb && piece[2] === 0xbf) piece = piece.subarray(3);
      const first = piece.find((byte) => !isSpace(byte));
      if (first !== undefined) elements = first === OPEN ? new ArrayElements() : null;
    }
    if (elements) {
      yield* elements.read(piece);
      continue;
    }
    let from = 0;
    for (let to = piece.indexOf(NEWLINE); to >= 0; to = piece.indexOf(NEWLINE, from)) {
      parts.add(piece.subarray(from, to));
      yield { line, bytes: parts.take() };
      line++;
      from = to + 1;
    }
    parts.add(piece.subarray(from));
  }
  if (elements) yield* elements.end();
  else yield { line, bytes: parts.take() };
}

/** The elements of an array, whose bytes come in pieces. */
class ArrayElements {
  private readonly parts = new Parts();
  /** Brackets that are open: 0 before the array and behind it, 1 between elements. */
  private depth = 0;
  private ended = false;
  /** Whether it has an element. */
  private some = false;
  private inString = false;
  private escaped = false;
  private line = 1;
  /** The line in which the element begins; 0 before its first character. */
  private began = 0;

  *read(piece: Uint8Array): Generator<RecordBytes> {
    let from = 0;
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i]!;
      if (byte === NEWLINE) this.line++;
      if (this.inString) {
        if (this.escaped) this.escaped = false;
        else if (byte === BACKSLASH) this.escaped = true;
        else if (byte === QUOTE) this.inString = false;
        continue;
      }
      if (isSpace(byte)) continue;
      if (this.ended) {
        this.began ||= this.line;
        continue;
      }
      const closes = byte === CLOSE || byte === CLOSE_BRACE;
      if (this.depth === 1 && (byte === COMMA || closes)) {
        this.parts.add(piece.subarray(from, i));
        yield* this.element(byte);
        from = i + 1;
        this.ended = closes;
      } else if (this.depth > 0) {
        this.began ||= this.line;
        this.inString = byte === QUOTE;
      } else {
        // The bracket of the array.
        from = i + 1;
      }
      if (byte === OPEN || byte === OPEN_BRACE) this.depth++;
      else if (closes) this.depth--;
    }
    this.parts.add(piece.subarray(from));
  }

  /** The element that a character ends, and what is wrong with that. */
  private *element(end: number): Generator<RecordBytes> {
    const isThere = this.began > 0;
    const found = this.taken();
    const { line } = found;
    if (isThere) yield found;
    else if (end === COMMA || this.some) {
      yield { line, bytes: new RowProblem("an element of the array is missing at a comma") };
    }
    if (end === CLOSE_BRACE) {
      yield { line: this.line, bytes: new RowProblem("the array is closed by }; it ends with ]") };
    }
    this.some = true;
  }

  /** What is wrong at the end, if anything is. */
  *end(): Generator<RecordBytes> {
    const { line, bytes } = this.taken();
    if (!this.ended) {
      yield { line, bytes: new RowProblem("the file ends within its array; it is cut short") };
    } else if (!bytes.every(isSpace)) {
      yield { line, bytes: new RowProblem("something follows the array; a file has one") };
    }
  }

  private taken(): { line: number; bytes: Uint8Array } {
    const line = this.began || this.line;
    this.began = 0;
    return { line, bytes: this.parts.take() };
  }
}
