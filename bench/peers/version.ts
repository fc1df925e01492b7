/**
 * Versions of installed packages.
 */

import { readFileSync } from "node:fs";
import { bench, root } from "../runner/paths.js";

/** The version of prefgrad or of one of the benchmarks' dependencies. */
export function versionOf(name: string): string {
  const folder = name === "prefgrad" ? root : new URL(`node_modules/${name}/`, bench);
  return JSON.parse(readFileSync(new URL("package.json", folder), "utf8")).version;
}
