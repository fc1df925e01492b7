/**
 * `prefgrad check`: tokens and counts of pairs, completions and texts.
 */

import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";
import { bundled, started } from "./run.js";

let folder: string;
let main: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-check-"));
  main = await bundled(folder);
  const json = byteLevel({ added: [{ content: "<end>" }] });
  await writeFiles(join(folder, "model"), tokenizerFiles(json, { eos_token: "<end>" }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What the command writes for rows. */
async function checked(rows: readonly object[], ...args: readonly string[]) {
  const data = join(folder, "data.jsonl");
  await writeFile(data, rows.map((row) => JSON.stringify(row)).join("\n"));
  return started(main, ["check", "--model", join(folder, "model"), "--data", data, ...args]);
}

it("shows pairs as tokens, with what is cut and why a row is dropped, and counts", async () => {
  const rows = [
    { prompt: "ab", chosen: "cd", rejected: "efgh\n" },
    { prompt: "ab", chosen: "c", rejected: "c" },
    { prompt: "abcdefgh", chosen: "c", rejected: "d" },
    { prompt: "x", chosen: "y", rejected: "z" },
  ];
  const { code, output, errors } = await checked(rows, "--max-length", "6", "--show", "3");
  expect([code, errors]).toEqual([0, ""]);
  const guide = readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8");
  expect(guide).toContain(output.slice(0, output.indexOf("tokens  ")));
  expect(output).toBe(`row 0
  prompt, 2 tokens: [prompt] a|b
  chosen, 3 tokens: [trained] c|d|<end>
  rejected, 6 tokens: [trained] e|f|g|h [cut] \\n|<end>

row 1, dropped: chosen and rejected are identical

row 2, dropped: the prompt is too long
  prompt, 8 tokens: [cut] a|b|c|d|e|f|g|h
  chosen, 2 tokens: [cut] c|<end>
  rejected, 2 tokens: [cut] d|<end>

rows                  4 read, 2 to train on
dropped               1 chosen and rejected are identical, 1 the prompt is too long
truncated             1 rows, 2 tokens, 1 ends of completions
tokens                17, 11 of them trained
longest rows          0 (6), 3 (3)
conversations         0
empty completions     0
identical pairs       1
implicit prompts      0
repeated prompts      0
merged at the border  0
double BOS            0
without EOS           0
`);
});

it("shows what is cut of a prompt's beginning", async () => {
  const rows = [{ prompt: "abcd", chosen: "e", rejected: "f" }];
  const { output } = await checked(rows, "--max-length", "4", "--truncation_mode", "keep_end");
  expect(output).toContain("prompt, 4 tokens: [cut] a|b [prompt] c|d\n");
});

it("shows completions with labels, and of texts which tokens are learned", async () => {
  const labelled = [
    { prompt: "a", completion: "b", label: true },
    { prompt: "a", completion: "c", label: false },
  ];
  const { output } = await checked(labelled, "--show", "1");
  expect(output).toMatch(
    /^row 0\n {2}prompt, 1 tokens: .*\n {2}desirable, 2 tokens: \[trained\] b\|<end>\n\nrows /,
  );
  const texts = await checked([{ prompt: "ab", completion: "c" }]);
  expect(texts.output).toContain("  text, 4 tokens: [prompt] a|b [trained] c|<end>\n");
  const whole = await checked(
    [{ question: "ab", completion: "c" }],
    "--columns",
    "prompt=question",
    "--no-completion-only-loss",
  );
  expect(whole.output).toContain("[trained] a|b|c|<end>\n");
});

it("refuses data with problems, each with its line", async () => {
  const { code, output, errors } = await checked([
    { prompt: "a", chosen: "b" },
    { prompt: 1, chosen: "b", rejected: "c" },
  ]);
  expect([code, output]).toEqual([2, ""]);
  expect(errors).toMatch(/data\.jsonl:1: .*rejected.*\n.*data\.jsonl:2: .*prompt/);
});
