/**
 * The program of the guide to ASPO runs, and prints what the page says.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeTinyModel } from "../cli/run.js";
import { modulesIn, printed } from "./codeBlocks.js";
import { textOf } from "./files.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-docs-"));
  await writeTinyModel(join(folder, "path/to/model"));
});
afterAll(() => rm(folder, { recursive: true }));

it("goes from texts to a model, and prints what the guide says", async () => {
  const [program, ...others] = modulesIn("docs/aspo.md").map(({ code }) => code);
  expect(others).toEqual([]);
  const lines = await printed(program!, folder);
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(textOf("docs/aspo.md")).toContain(`\`${line}\``);
});
