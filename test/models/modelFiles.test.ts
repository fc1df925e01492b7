/** A model's files by their names, wherever they are. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  hasFile,
  type ModelSource,
  modelFiles,
  readBytes,
  readJson,
  readText,
} from "../../src/models/modelFiles.js";

const CONTENTS: Readonly<Record<string, string>> = { "a.json": '{"é":1}', "b.txt": "héllo" };
const bytesOf = (text: string) => new TextEncoder().encode(text);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "prefgrad-files-"));
  for (const [name, text] of Object.entries(CONTENTS)) await writeFile(join(directory, name), text);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const entries = Object.entries(CONTENTS);
describe.each<[string, () => ModelSource]>([
  ["a directory", () => directory],
  ["a directory with a slash", () => `${directory}/`],
  ["Files", () => entries.map(([name, text]) => new File([text], name))],
  ["files by name", () => Object.fromEntries(entries.map(([n, text]) => [n, bytesOf(text)]))],
])("%s", (_, source) => {
  it("gives bytes, text and JSON by name, and null for what is not there", async () => {
    const files = await modelFiles(source());
    expect(await readJson(files, "a.json")).toEqual({ é: 1 });
    expect(await readText(files, "b.txt")).toBe("héllo");
    expect(await readBytes(files, "b.txt")).toEqual(bytesOf("héllo"));
    expect([await hasFile(files, "a.json"), await hasFile(files, "c")]).toEqual([true, false]);
    expect(await readJson(files, "c")).toBeNull();
    const file = (await files.open("b.txt"))!;
    expect(await file.read(3, 5)).toEqual(bytesOf("ll"));
    await file.close();
  });
});

it("names the file that is no JSON, no object, or no text", async () => {
  const files = await modelFiles({
    cut: bytesOf("{"),
    list: bytesOf("[]"),
    binary: new Uint8Array([255]),
  });
  await expect(readJson(files, "cut")).rejects.toThrow(/^cut of the given files cannot be read/);
  await expect(readJson(files, "list")).rejects.toThrow(/^list of .* holds no JSON object/);
  await expect(readText(files, "binary")).rejects.toThrow(/^binary of .* is not UTF-8/);
});
