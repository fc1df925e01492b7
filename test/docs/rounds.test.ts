/**
 * The programs of the guides to RSO and APO run, and print what the pages say.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { modulesIn, printed } from "./codeBlocks.js";

const [letters, goingOn, ...othersOfRso] = modulesIn("docs/rso.md").map(({ code }) => code);
const [momentum, ...othersOfApo] = modulesIn("docs/apo.md").map(({ code }) => code);

const numbersIn = (line: string): number[] => line.split(" ").map(Number);

describe("the guides to rso and apo", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "prefgrad-docs-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("have no other programs", () => {
    expect([...othersOfRso, ...othersOfApo]).toEqual([]);
  });

  it("learn to repeat a letter", async () => {
    const rounds = (await printed(letters!, folder)).map(numbersIn);
    expect(rounds.map(([round]) => round)).toEqual([0, 1, 2, 3]);
    expect(rounds[0]![1]).toBeLessThan(1);
    for (const [, reward, accepted] of rounds) expect(accepted).toBeGreaterThanOrEqual(reward!);
    expect(rounds[3]![1]).toBeGreaterThan(1.5);
  });

  it("go on from a file", async () => {
    expect(await printed(goingOn!, folder)).toEqual(["true 2 undefined"]);
    expect(await printed(goingOn!, folder)).toEqual(["true 2 2"]);
  });

  it("go further with momentum, from the same first iteration", async () => {
    const [plain, accelerated] = (await printed(momentum!, folder)).map(numbersIn);
    expect(plain).toHaveLength(5);
    expect(accelerated![1]).toBe(plain![1]);
    expect(accelerated![2]).not.toBe(plain![2]);
    expect(plain!.at(-1)!).toBeGreaterThan(plain![1]!);
    expect(accelerated!.at(-1)!).toBeGreaterThan(plain![1]!);
  });
});
