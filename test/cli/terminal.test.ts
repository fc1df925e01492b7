/**
 * What the command line draws on a terminal, and does not draw elsewhere. The terminal is that of util-linux's `script`.
 */

import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundled, started, writeTinyModel } from "./run.js";

const isThere = spawnSync("script", ["--version"]).stdout?.includes("util-linux") === true;

let folder: string;
let main: string;
let source: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-terminal-"));
  main = await bundled(folder);
  const [model, data] = [join(folder, "model"), join(folder, "pairs.jsonl")];
  await writeTinyModel(model);
  const row = (i: number) => ({ prompt: `${i}?`, chosen: `yes ${i}`, rejected: `no ${i}` });
  await writeFile(data, Array.from({ length: 12 }, (_, i) => JSON.stringify(row(i))).join("\n"));
  source = ["--model", model, "--data", data];
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const training = (output: string): string[] => {
  const sizes = ["--batch-size", "4", "--max-steps", "4", "--log-every", "2"];
  const places = ["--output", join(folder, output), "--cache", join(folder, "cache")];
  return ["align", ...source, ...sizes, ...places];
};

/** All that a command writes to a terminal. */
async function onTerminal(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const command = [process.execPath, main, ...args].map((word) => `'${word}'`).join(" ");
  const { NO_COLOR: _, ...own } = process.env;
  const { stdout } = await promisify(execFile)("script", ["-qec", command, "/dev/null"], {
    env: { ...own, ...env },
  });
  return stdout;
}

const [BAR, ESCAPE] = ["█", "\x1b"];
/** Moves to the line's begin and clears it. */
const CLEAR = `\r${ESCAPE}[K`;

describe.skipIf(!isThere)("on a terminal, which needs util-linux's script,", () => {
  it("training draws a bar with rate and time left, in the place of lines", async () => {
    const text = await onTerminal(training("bar"));
    const drawn = text.split(CLEAR).filter((piece) => piece.startsWith(BAR));
    expect(drawn).toContainEqual(
      expect.stringMatching(/^█{12}░{12} 2\/4 {2}[\d.]+ s(teps\/s| a step) {2}[^\n]* s left/),
    );
    expect(text).not.toMatch(/^step 2\/4 {2}loss/m);
  });

  it("NO_COLOR leaves lines in the bar's place, and tokens without colours", async () => {
    const text = await onTerminal(training("plain"), { NO_COLOR: "1" });
    expect(text).toMatch(/^step 2\/4 {2}loss .* s left\r?$/m);
    expect(text).not.toContain(BAR);
    expect(text).not.toContain(ESCAPE);
    const tokens = ["check", ...source, "--show", "1"];
    expect(await onTerminal(tokens)).toContain(`${ESCAPE}[32m`);
    expect(await onTerminal(tokens, { NO_COLOR: "1" })).not.toContain(ESCAPE);
  });
});

it("in a pipe there is a line for each row of the log, and no code of a terminal", async () => {
  const { code, output, errors } = await started(main, training("piped"));
  expect(code).toBe(0);
  expect(errors).toMatch(/^step 2\/4 {2}loss .* s left$/m);
  for (const drawn of [BAR, ESCAPE, "\r"]) expect(output + errors).not.toContain(drawn);
});
