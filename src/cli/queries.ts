/**
 * Queries in a file: a text a line, or in `.jsonl` a value a line.
 * @module
 */

import { readFile } from "node:fs/promises";
import { isPlainObject } from "../checks.js";
import { InputError } from "./input.js";

/** The distinct queries of a file, in their order. */
export async function readQueries(path: string): Promise<readonly string[]> {
  const text = await readFile(path, "utf8").catch((error: Error) => {
    throw new InputError(`--queries: ${error.message}`);
  });
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  const isJson = path.endsWith(".jsonl");
  const queries = lines.flatMap((line, i) => {
    if (line.trim() === "") return [];
    return [isJson ? queryIn(line, `${path}:${i + 1}`) : line.trim()];
  });
  if (queries.length === 0) throw new InputError(`--queries: ${path} holds no query`);
  return [...new Set(queries)];
}

function queryIn(line: string, place: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new InputError(`${place}: no JSON`);
  }
  const { query, prompt } = (isPlainObject(value) ? value : {}) as Record<string, unknown>;
  const found = [value, query, prompt].find((own) => typeof own === "string" && own.trim() !== "");
  if (found === undefined) {
    throw new InputError(`${place}: must be a text, or an object with a text as query or prompt`);
  }
  return found as string;
}
