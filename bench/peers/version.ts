/**
 * Versions of installed packages.
 */

import { readJson } from "../runner/files.js";

/** Where packages are that are no dependencies of the benchmarks. */
const FOLDERS: Readonly<Record<string, string>> = {
  prefgrad: "",
  "gpu.js": "node_modules/gpu.js/",
};

/** The version of prefgrad, of gpu.js or of one of the benchmarks' dependencies. */
export function versionOf(name: string): string {
  const folder = FOLDERS[name] ?? `bench/node_modules/${name}/`;
  return (readJson(`${folder}package.json`) as { version: string }).version;
}
