/**
 * The program of the guide to diffusion models runs, and prints what the page says.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { modulesIn, printed } from "./codeBlocks.js";

const [program, ...others] = modulesIn("docs/diffusion.md").map(({ code }) => code);

describe("the guide to diffusion models", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "prefgrad-docs-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("moves samples from one side to the other", async () => {
    expect(others).toEqual([]);
    const [before, after] = (await printed(program!, folder)).map((line) =>
      line.split(" ").map(Number),
    ) as [[number, number], [number, number]];
    for (const share of before) expect(share).toBeGreaterThan(0.4);
    expect(after[0]).toBeLessThan(0.05);
    expect(after[1]).toBeGreaterThan(0.8);
  });
});
