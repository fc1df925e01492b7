/**
 * The guide to sampling preferences: its program prints what it should, its reward is one, and its commands run.
 */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundled, started, writeTinyModel } from "../cli/run.js";
import { commandsIn, modulesIn, printed } from "./codeBlocks.js";
import { textOf } from "./files.js";

const blocksOf = (kind: string): string[] =>
  [...textOf("docs/sample.md").matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, own, code]) =>
    own === kind ? [code!] : [],
  );

describe("the guide to sampling preferences", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "prefgrad-docs-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("scores by the implicit reward", async () => {
    const [program, ...others] = modulesIn("docs/sample.md").map(({ code }) => code);
    expect(others).toEqual([]);
    const [rewards, pair] = (await printed(program!, folder)).map((line) =>
      line.split(" ").map(Number),
    );
    expect(rewards).toHaveLength(4);
    expect(rewards![pair![0]!]).toBe(Math.max(...rewards!));
    expect(rewards![pair![1]!]).toBe(Math.min(...rewards!));
  });

  it("has a reward, prompts and commands that fit each other", async () => {
    const [prompts] = blocksOf("json");
    const [code] = blocksOf("js");
    await writeFile(join(folder, "prompts.jsonl"), prompts!);
    await writeFile(join(folder, "reward.mjs"), code!);
    const { default: reward } = await import(join(folder, "reward.mjs"));
    expect(reward("12+7=", ["19", " 19 ", "20", "19 "])).toEqual([1, 1, 0, 1]);
    await writeTinyModel(join(folder, "path/to/model"));
    const main = await bundled(folder);
    const [sample] = commandsIn("docs/sample.md").map(({ command }) =>
      command.replace("npx prefgrad ", "").replace("path/to/", `${folder}/path/to/`).split(" "),
    );
    const inFolder = sample!.map((own) => (/^\w+\.\w+$/.test(own) ? join(folder, own) : own));
    const { code: exit, errors } = await started(main, [...inFolder, "--pairs", "none"]);
    expect([exit, errors]).toEqual([0, expect.stringMatching(/candidates +16, /)]);
    // Lines as the guide shows them.
    const [pair, candidates] = blocksOf("json")[1]!
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const [first] = (await readFile(join(folder, "pairs.jsonl"), "utf8")).split("\n");
    const own = JSON.parse(first!);
    expect(Object.keys(own)).toEqual(Object.keys(candidates));
    expect(Object.keys(own.candidates[0])).toEqual(Object.keys(candidates.candidates[0]));
    await writeFile(join(folder, "both.mjs"), "export default (_, all) => all.map((__, i) => i);");
    const scored = ["--reward", join(folder, "both.mjs"), "--overwrite"];
    await started(main, [...inFolder, ...scored]);
    const [written] = (await readFile(join(folder, "pairs.jsonl"), "utf8")).split("\n");
    expect(Object.keys(JSON.parse(written!))).toEqual(Object.keys(pair));
  });
});
