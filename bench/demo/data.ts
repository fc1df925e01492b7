/**
 * Preference pairs from a JSONL file: one object a line with the texts `prompt`, `chosen` and
 * `rejected`.
 * @module
 */

import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { InputError } from "./inputError.js";
import type { PreferencePair } from "./pairs.js";

/** A pair and where it was found. */
export interface PairOfFile extends PreferencePair {
  /** `FILE:LINE`. */
  readonly place: string;
}

const FIELDS = ["prompt", "chosen", "rejected"] as const;

/**
 * Reads all pairs of a file. Empty lines are skipped, other fields ignored.
 *
 * @throws InputError naming the file, and the line where there is one: for a file that cannot be
 * read or has no pairs, a line that is not UTF-8 or no JSON object, a field that is missing, empty or
 * no text.
 */
export function readPairs(path: string): PairOfFile[] {
  const pairs = linesOf(path).flatMap((line, index) => {
    if (line.trim() === "") return [];
    const place = `${path}:${index + 1}`;
    return [{ ...pairOf(line, place), place }];
  });
  if (pairs.length === 0) throw new InputError(`${path}: the file has no preference pairs`);
  return pairs;
}

function linesOf(path: string): string[] {
  const bytes = bytesOf(path);
  if (!isUtf8(bytes)) throw new InputError(placeOfOther(bytes, path));
  return bytes
    .toString("utf8")
    .replace(/^\uFEFF/, "")
    .split("\n");
}

function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new InputError(`${path}: no such file`);
    if (code === "EISDIR") throw new InputError(`${path}: is a directory, not a JSONL file`);
    throw new InputError(`${path}: cannot be read (${(error as Error).message})`);
  }
}

/** Says where the first byte is that begins no character of UTF-8. */
function placeOfOther(bytes: Buffer, path: string): string {
  let [line, lineStart, at] = [1, 0, 0];
  for (;;) {
    const first = bytes[at]!;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (!isUtf8(bytes.subarray(at, at + length))) {
      const value = first.toString(16).toUpperCase().padStart(2, "0");
      return `${path}:${line}: byte ${at - lineStart + 1} (0x${value}) is not UTF-8; convert the file first`;
    }
    at += length;
    if (first === 0x0a) [line, lineStart] = [line + 1, at];
  }
}

function pairOf(line: string, place: string): PreferencePair {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new InputError(`${place}: the line is not JSON (${(error as Error).message})`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError(`${place}: expected an object with ${FIELDS.join(", ")}`);
  }
  const [prompt, chosen, rejected] = FIELDS.map((field) => {
    const text: unknown = (value as Record<string, unknown>)[field];
    if (text === undefined) throw new InputError(`${place}: "${field}" is missing`);
    if (typeof text !== "string") {
      throw new InputError(`${place}: "${field}" must be a text, found ${JSON.stringify(text)}`);
    }
    if (text === "") throw new InputError(`${place}: "${field}" is empty`);
    return text;
  }) as [string, string, string];
  return { prompt, chosen, rejected };
}
