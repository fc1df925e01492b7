/**
 * The program of the guide to prompts runs, and prints what the guide shows; its table and its figure are what is measured.
 */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { modulesIn, printed } from "./codeBlocks.js";
import { textOf } from "./files.js";

const PAGE = "docs/drpo.md";

describe("the guide to prompts", () => {
  const [program] = modulesIn(PAGE).map(({ code }) => code);
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "prefgrad-docs-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("finds the best prompt on the way that the page shows", async () => {
    const [, shown] = /^```text\n(.*?)^```$/ms.exec(textOf(PAGE))!;
    expect(await printed(program!, folder)).toEqual(shown!.trimEnd().split("\n"));
  });

  it("has rewards by round as they are measured", async () => {
    const rows = [...textOf(PAGE).matchAll(/^\| (\d) \| (\d) \| (2\.00 .*) \|$/gm)];
    const measured = rows.map(([, beam, rewrites, cells]) => ({ beam, rewrites, cells }));
    expect(measured).toHaveLength(5);
    const [set] = program!.split("const found");
    const loop = `
      const cases = ${JSON.stringify(measured.map(({ beam, rewrites }) => [beam, rewrites].map(Number)))} as [number, number][];
      for (const [beam, rewrites] of cases) {
        const sums = [0, 0, 0, 0, 0, 0, 0];
        for (let seed = 0; seed < 100; seed++) {
          const options = { model, judge, queries, examples: 0, depth: 5, seed, beam, rewrites };
          const { path, counts } = await optimizePrompt(options);
          [...path.map(({ reward }) => reward), counts.requests].forEach((x, i) => (sums[i]! += x / 100));
        }
        console.log(sums.map((sum, i) => sum.toFixed(i < 6 ? 2 : 0)).join(" | "));
      }`;
    expect(await printed(set + loop, folder)).toEqual(measured.map(({ cells }) => cells));
  });

  it("has the figure that is measured", async () => {
    const figure = join(folder, "drpo.svg");
    const command = ["--import", "tsx", "bench/demo/prompts.ts", "--figure", figure];
    await promisify(execFile)(process.execPath, command);
    expect(textOf(PAGE)).toContain("](images/drpo.svg)");
    expect(await readFile(figure, "utf8")).toBe(textOf("docs/images/drpo.svg"));
  });
});
