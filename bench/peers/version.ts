/**
 * Versions of installed packages.
 */

import { readJson } from "../runner/files.js";

/** The version of prefgrad or of one of the benchmarks' dependencies. */
export function versionOf(name: string): string {
  const folder = name === "prefgrad" ? "" : `bench/node_modules/${name}/`;
  return (readJson(`${folder}package.json`) as { version: string }).version;
}
