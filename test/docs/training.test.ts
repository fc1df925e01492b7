/**
 * The programs of the guide to training run, and print what it says.
 */

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { modulesIn, printed } from "./codeBlocks.js";

const [loop, order, goingOn, directory] = modulesIn("docs/training.md").map(({ code }) => code);

describe("the guide to training", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "prefgrad-docs-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("trains a classifier", async () => {
    const log = (await printed(loop!, folder)).map((line) => line.split(" ").map(Number));
    expect(log.length).toBe(25);
    expect(log.at(-1)!.slice(0, 2)).toEqual([250, 10]);
    expect(log.at(-1)![2]).toBeLessThan(log[0]![2]! / 3);
  });

  it("groups by length, the longest row first", async () => {
    expect(await printed(order!, folder)).toEqual(["2"]);
  });

  it("goes on from a file", async () => {
    const lines = await printed(`${goingOn}\nconsole.log(await parameters.mean.array());`, folder);
    const [x, y] = JSON.parse(lines.join("")) as [number, number];
    expect(Math.abs(x - 3)).toBeLessThan(0.2);
    expect(Math.abs(y - 4)).toBeLessThan(0.2);
  });

  it("trains into a directory, twice with the same result", async () => {
    const code = `${directory}\nconsole.log(run.from?.step);`;
    expect(await printed(code, folder)).toEqual(["undefined"]);
    const run = join(folder, "runs/a");
    expect((await readdir(run)).sort()).toEqual([
      "checkpoint-100",
      "checkpoint-80",
      "metrics.jsonl",
      "settings.json",
      "trainer_state.json",
    ]);
    expect(await printed(code, folder)).toEqual(["100"]);
  });
});
