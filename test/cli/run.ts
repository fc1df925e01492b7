/**
 * The command line as a user starts it.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { TINY, tinyFiles, writeFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** Makes one file of the command line in a folder, which starts in no time; its path. */
export async function bundled(folder: string): Promise<string> {
  const outfile = `${folder}/cli.mjs`;
  await build({
    entryPoints: [MAIN],
    bundle: true,
    format: "esm",
    platform: "node",
    external: ["webgpu", "gpu.js"],
    // What commander asks of Node, it requires.
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    outfile,
    logLevel: "error",
  });
  return outfile;
}

/** Writes a small model, whose tokens are bytes. */
export async function writeTinyModel(directory: string): Promise<void> {
  const files = await tinyFiles({ ...TINY.qwen3, vocab_size: 257, eos_token_id: 256 });
  const json = byteLevel({ added: [{ content: "<end>" }] });
  await writeFiles(directory, { ...files, ...tokenizerFiles(json, { eos_token: "<end>" }) });
}

/** What a command left. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs the command line at a path with what stands on its standard input; `onStart` sees the process, `onOutput` and `onErrors` at each text. */
export function started(
  main: string,
  args: readonly string[],
  {
    input = "",
    onStart,
    onOutput,
    onErrors,
  }: {
    input?: string;
    onStart?: (child: ChildProcess) => void;
    onOutput?: (child: ChildProcess) => void;
    onErrors?: (child: ChildProcess, text: string) => void;
  } = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [main, ...args]);
  onStart?.(child);
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
    onOutput?.(child);
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    errors += text;
    onErrors?.(child, text);
  });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, output, errors }));
  });
}
