/**
 * Files of the repository that the benchmarks read. The bundle for a page has another version of this
 * module, with their contents in it.
 */

import { readFileSync } from "node:fs";
import { root } from "./paths.js";

/** Contents of a JSON file, by its path from the repository's root. */
export function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, root), "utf8"));
}
