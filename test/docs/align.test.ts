/**
 * The commands of the guide to a first alignment run, one after the other, on a small model with small data, and write what it
 * shows.
 */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bundled, writeTinyModel } from "../cli/run.js";
import { commandsIn } from "./codeBlocks.js";
import { textOf } from "./files.js";

const PAGE = "docs/align.md";
let folder: string;
let main: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-align-"));
  main = await bundled(folder);
  await writeTinyModel(join(folder, "model"));
  const write = (name: string, count: number, row: (i: number) => object) =>
    writeFile(
      join(folder, `${name}.jsonl`),
      Array.from({ length: count }, (_, i) => JSON.stringify(row(i))).join("\n"),
    );
  const pair = (i: number) => ({ prompt: `${i}?`, chosen: `yes ${i}`, rejected: `no ${i}` });
  await write("pairs", 16, pair);
  await write("held", 4, (i) => pair(100 + i));
  await write("texts", 16, (i) => ({ prompt: `${i}?`, completion: `yes ${i}` }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs a command as a shell does; what it writes, in whichever order. */
async function written(command: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(
    "sh",
    ["-c", `npx() { shift; '${process.execPath}' '${main}' "$@"; }\n${command}`],
    { cwd: folder, env: { ...process.env, XDG_CACHE_HOME: join(folder, "cache") } },
  );
  return stderr + stdout;
}

/** How a line begins, whatever its numbers are. */
const beginning = (line: string): string =>
  line
    .trim()
    .replaceAll(/[−-]?\d[\d.,]*(e[−-]?\d+)?/g, "#")
    .split(/[\s|]+/)
    .slice(0, 2)
    .join(" ");

it("the commands run in their order, and write lines like those that the page shows", async () => {
  const commands = commandsIn(PAGE);
  const known = ["check", "sft", "align", "score", "compare", "merge", "generate"];
  const used = commands.map(({ command }) => /^npx prefgrad (\w+)/.exec(command)?.[1]);
  expect(new Set(used)).toEqual(new Set(known));
  for (const { command, shown } of commands) {
    const lines = (await written(command)).split("\n").map(beginning);
    for (const line of shown.filter((own) => own !== "…")) {
      expect.soft(lines, command).toContain(beginning(line));
    }
  }
  const named = [...textOf(PAGE).matchAll(/"(runs\/\w+)"/g)].map(([, path]) => path!);
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((path) => !existsSync(join(folder, path)))).toEqual([]);
});
