/**
 * The code in the guides.
 */

import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { textOf } from "./files.js";

/** A block of TypeScript in a guide. */
export interface CodeBlock {
  /** The guide and the line where the block begins: `docs/start.md:18`. */
  readonly name: string;
  readonly code: string;
}

/** The blocks of TypeScript in a guide that are whole modules: those that import what they use. */
export function modulesIn(path: string): CodeBlock[] {
  const text = textOf(path);
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)]
    .filter(([, code]) => /^import /m.test(code!))
    .map((match) => ({
      name: `${path}:${text.slice(0, match.index).split("\n").length + 1}`,
      code: match[1]!,
    }));
}

/** Runs a module that imports the library, in a folder of its own; what it prints, line by line. */
export async function printed(code: string, folder: string): Promise<string[]> {
  const outfile = join(folder, "example.mjs");
  await build({
    stdin: { contents: code, loader: "ts", resolveDir: resolve(".") },
    alias: { prefgrad: resolve("src/index.ts") },
    bundle: true,
    splitting: false,
    format: "esm",
    platform: "node",
    external: ["webgpu", "gpu.js"],
    outfile,
    logLevel: "error",
  });
  const { stdout } = await promisify(execFile)(process.execPath, [outfile], { cwd: folder });
  return stdout.trim().split("\n");
}
