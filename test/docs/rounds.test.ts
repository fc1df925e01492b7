/**
 * The programs of the guides to RSO and APO run, and print what the pages say: exactly where the model is as it was made, within a
 * quarter of a letter where it was trained, as another processor rounds otherwise and draws other letters.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { modulesIn, printed } from "./codeBlocks.js";
import { textOf } from "./files.js";

const [letters, goingOn, ...othersOfRso] = modulesIn("docs/rso.md").map(({ code }) => code);
const [momentum, ...othersOfApo] = modulesIn("docs/apo.md").map(({ code }) => code);

/** The numbers of a sentence of a guide. */
function said(page: string, sentence: RegExp): number[] {
  const [, ...found] = sentence.exec(textOf(page).replace(/\s+/g, " "))!;
  return found
    .join(" ")
    .match(/\d+\.\d+/g)!
    .map(Number);
}

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
    const shown = said(
      "docs/rso.md",
      /those accepted: (.*) in the first round, (.*) in the last\./,
    );
    expect(shown).toHaveLength(4);
    for (const [i, value] of shown.slice(0, 2).entries()) {
      expect(rounds[0]![i + 1]).toBeCloseTo(value, 2);
    }
    for (const [i, value] of shown.slice(2).entries()) {
      expect(Math.abs(rounds[3]![i + 1]! - value)).toBeLessThan(0.25);
    }
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
    const shown = said(
      "docs/apo.md",
      /each iteration: (.*?) without momentum, and (.*?) with it\./,
    );
    expect(shown).toHaveLength(8);
    const found = [...plain!.slice(1), ...accelerated!.slice(1)];
    for (const [i, value] of shown.entries()) {
      if (i % 4 === 0) expect(found[i]).toBeCloseTo(value, 2);
      else expect(Math.abs(found[i]! - value)).toBeLessThan(0.25);
    }
    expect(plain!.at(-1)!).toBeGreaterThan(plain![1]!);
    expect(accelerated!.at(-1)!).toBeGreaterThan(plain![1]!);
  });
});
