/**
 * Rows on the disk: found again by what they are made of, and written whole or not at all.
 */

import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readPreferences, readTexts, readUnpaired } from "../../src/data/index.js";
import type { Tokenizer } from "../../src/models/index.js";
import { all, assistant, CHAT, tiny, user } from "./tiny.js";

let folder: string;
let cache: string;
let file: string;
const rowOf = (i: number) => ({ prompt: `p${i}`, chosen: "x".repeat(i + 1), rejected: `no ${i}` });
const given = Array.from({ length: 50 }, (_, i) =>
  i === 7 ? { ...rowOf(i), prompt: "p".repeat(60) } : rowOf(i),
);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-rows-"));
  cache = join(folder, "cache");
  file = join(folder, "pairs.jsonl");
  await writeFile(file, given.map((row) => JSON.stringify(row)).join("\n"));
});
afterEach(() => rm(folder, { recursive: true }));

const plain = (rows: readonly object[]) =>
  rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([key, value]) => [
        key,
        typeof value === "object" ? Array.from(value) : value,
      ]),
    ),
  );
const options = { maxLength: 55 };

describe("the cache", () => {
  it("gives the rows that memory gives, and the summary, written or found", async () => {
    const tokenizer = await tiny();
    const memory = await readPreferences(file, tokenizer, options);
    const { skipped, cache: none, ...figures } = memory.summary;
    expect(none).toBeNull();
    for (const expected of ["written", "hit"]) {
      const { rows, summary } = await readPreferences(file, tokenizer, { ...options, cache });
      expect(summary).toMatchObject({ ...figures, cache: expected });
      expect([...summary.skipped]).toEqual([...skipped]);
      expect([...summary.skipped].length).toBe(1);
      expect(plain(await all(rows))).toEqual(plain(await all(memory.rows)));
      expect(plain(await rows.read([40, 3]))).toEqual(plain(await memory.rows.read([40, 3])));
      await expect(rows.read([49])).rejects.toThrow("rows have indices from 0 to 48, got 49");
    }
    expect((await readdir(cache)).length).toBe(1);
  });

  it("holds rows of every kind", async () => {
    const tokenizer = await tiny();
    const texts = given.map(({ prompt, chosen }) => ({ prompt, completion: chosen }));
    for (const read of [
      (own: object) => readUnpaired(given, tokenizer, own),
      (own: object) => readTexts(texts, tokenizer, own),
    ]) {
      const memory = await read({});
      await read({ cache });
      const found = await read({ cache });
      expect(found.summary.cache).toBe("hit");
      expect(plain(await all<readonly object[]>(found.rows))).toEqual(
        plain(await all<readonly object[]>(memory.rows)),
      );
    }
  });

  it("is missed where the data, the tokenizer or an option is another one", async () => {
    const tokenizer = await tiny();
    const read = async (own: object, other = tokenizer) =>
      (await readPreferences(file, other, { ...options, cache, ...own })).summary.cache;
    expect(await read({})).toBe("written");
    expect(await read({ maxLength: 54 })).toBe("written");
    expect(await read({ tokenization: "trl" })).toBe("written");
    expect(await read({ limit: 9 })).toBe("written");
    expect(await read({}, await tiny({ merges: ["x x"] }))).toBe("written");
    expect(await read({}, await tiny({ template: "{{ messages }}" }))).toBe("written");
    expect(await read({})).toBe("hit");
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace("no 3", "no 4"));
    expect(await read({})).toBe("written");
    const unpaired = async (batchSize: number) =>
      (await readUnpaired(file, tokenizer, { cache, batchSize })).summary.cache;
    expect([await unpaired(2), await unpaired(3), await unpaired(2)]).toEqual([
      "written",
      "written",
      "hit",
    ]);
  });

  it("is written again where its file is damaged", async () => {
    const tokenizer = await tiny();
    const read = () => readPreferences(file, tokenizer, { ...options, cache });
    const { rows } = await read();
    const path = join(cache, (await readdir(cache))[0]!);
    const { size } = await stat(path);
    for (const left of [size - 1, size - 40, 5, 0]) {
      await truncate(path, left);
      expect((await read()).summary.cache).toBe("written");
    }
    expect((await read()).summary.cache).toBe("hit");
    const bytes = await readFile(path);
    for (const from of [0, 400, size - 300, size - 4]) {
      await writeFile(path, Buffer.from(bytes).fill(0x07, from, from + 3));
      expect((await read()).summary.cache).toBe("written");
    }
    expect((await read()).summary.cache).toBe("hit");
    await rm(path);
    await expect(rows.read([0])).rejects.toThrow(
      /is no longer in the cache of rows; read the data again/,
    );
  });

  it("holds nothing of data that has a problem", async () => {
    const tokenizer = await tiny();
    await writeFile(file, `${JSON.stringify(rowOf(0))}\n{}`);
    await expect(readPreferences(file, tokenizer, { cache })).rejects.toThrow(/pairs\.jsonl:2/);
    expect(await readdir(cache)).toEqual([]);
  });

  it("is missed on another day, where the template writes the date", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      const chats = [{ prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] }];
      const dated = await tiny({ template: `{{ strftime_now("%d %b %Y") }}${CHAT}` });
      const read = async (day: string, tokenizer: Tokenizer) => {
        vi.setSystemTime(new Date(`${day}T12:00:00`));
        return (await readPreferences(chats, tokenizer, { cache })).summary.cache;
      };
      expect(await read("2025-03-01", dated)).toBe("written");
      expect(await read("2025-03-01", dated)).toBe("hit");
      expect(await read("2025-03-02", dated)).toBe("written");
      const plain = await tiny();
      expect(await read("2025-03-01", plain)).toBe("written");
      expect(await read("2025-03-02", plain)).toBe("hit");
    } finally {
      vi.useRealTimers();
    }
  });

  it("is for rows that JSON has", async () => {
    const tokenizer = await tiny();
    const loop: Record<string, unknown> = { ...rowOf(1) };
    loop.self = loop;
    await expect(readPreferences([rowOf(0), loop], tokenizer, { cache })).rejects.toThrow(
      /cache finds rows again by their JSON, and row 1 has none/,
    );
    const large = { ...rowOf(1), id: 3n };
    const { summary } = await readPreferences([rowOf(0), large], tokenizer, { cache });
    expect(summary.cache).toBe("written");
  });

  it("says what is wrong with a file that cannot be read", async () => {
    const missing = `http://127.0.0.1:1/pairs.jsonl`;
    await expect(readPreferences(missing, await tiny(), { cache })).rejects.toThrow(
      /has a problem\n {2}http:\/\/127\.0\.0\.1:1\/pairs\.jsonl: cannot be read/,
    );
  });

  it("is not for what can be read once only", async () => {
    const tokenizer = await tiny();
    await expect(readPreferences(new Set(given), tokenizer, { cache })).rejects.toThrow(
      /an iterable can be read once; give a file or an array/,
    );
  });
});
