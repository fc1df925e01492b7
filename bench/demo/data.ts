/**
 * Preference pairs from a JSONL file: one object a line with the texts `prompt`, `chosen` and
 * `rejected`.
 * @module
 */

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
 * read or has no pairs, a line that is no JSON object, a field that is missing, empty or no text.
 */
export function readPairs(path: string): PairOfFile[] {
  const pairs = textOf(path)
    .split("\n")
    .flatMap((line, index) => {
      if (line.trim() === "") return [];
      const place = `${path}:${index + 1}`;
      return [{ ...pairOf(line, place), place }];
    });
  if (pairs.length === 0) throw new InputError(`${path}: the file has no preference pairs`);
  return pairs;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new InputError(`${path}: no such file`);
    if (code === "EISDIR") throw new InputError(`${path}: is a directory, not a JSONL file`);
    throw new InputError(`${path}: cannot be read (${(error as Error).message})`);
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
