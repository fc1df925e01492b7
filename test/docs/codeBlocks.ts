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

/** A command in a guide, and the lines that the guide says it writes. */
export interface ShownCommand {
  readonly command: string;
  readonly shown: readonly string[];
}

/** The commands of this package in a guide's blocks of shell, each with the block of text behind it. */
export function commandsIn(path: string): ShownCommand[] {
  const blocks = [...textOf(path).matchAll(/^```(sh|text)\n(.*?)^```$/gms)];
  return blocks.flatMap(([, kind, block], i) => {
    if (kind !== "sh") return [];
    const commands = block!.split("\n").filter((line) => line.startsWith("npx prefgrad "));
    const [, next, text] = blocks[i + 1] ?? [];
    const shown = next === "text" ? text!.trimEnd().split("\n") : [];
    return commands.map((command, c) => ({
      command,
      shown: c === commands.length - 1 ? shown : [],
    }));
  });
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
