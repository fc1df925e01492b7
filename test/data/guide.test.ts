/**
 * The guide to data says what there is: every option with its default, every column, every reason, every figure.
 */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { COLUMNS } from "../../src/data/formats.js";
import { DataError, readPreferences, readTexts, readUnpaired } from "../../src/data/index.js";
import { REASONS } from "../../src/data/summary.js";
import { tiny } from "./tiny.js";

const guide = readFileSync(new URL("../../docs/data.md", import.meta.url), "utf8");
const missing = (names: readonly string[], text = guide) =>
  names.filter((name) => !text.includes(`\`${name}\``));
const good = { prompt: "a", chosen: "b", rejected: "c" };

describe("the guide to data", () => {
  it("has every option", async () => {
    const tokenizer = await tiny();
    const wrong = { "?": 1 } as object;
    for (const read of [readPreferences, readUnpaired, readTexts]) {
      const error = await read([], tokenizer, wrong).catch((reason: Error) => reason);
      const names = /it has (.*)$/i.exec((error as Error).message)![1]!.split(", ");
      expect(names.length).toBeGreaterThan(8);
      expect(missing(names)).toEqual([]);
    }
  });

  it("has every column, every reason for which a row is skipped, and every figure", async () => {
    expect(missing(COLUMNS)).toEqual([]);
    expect(REASONS.filter((reason) => !guide.includes(`\n| ${reason} |`))).toEqual([]);
    const { summary } = await readPreferences([good], await tiny());
    const figures = Object.keys(summary).filter((name) => name !== "cache" && name !== "read");
    expect(figures.filter((name) => !new RegExp(`\`(summary\\.)?${name}\``).test(guide))).toEqual(
      [],
    );
  });

  it("shows an error as it is", async () => {
    const { chosen, ...rest } = good;
    const empty = JSON.stringify({ ...good, rejected: "" });
    const text = `${JSON.stringify(good)}\n{x\n\n${JSON.stringify(rest)}\n\n\n${empty}`;
    const file = Object.assign(new Blob([text]), { name: "pairs.jsonl" });
    const error = await readPreferences(file, await tiny()).catch((reason) => reason);
    expect(error).toBeInstanceOf(DataError);
    // Later engines say the line and column of JSON, too.
    const message = error.message.replace(" (line 1 column 2)", "");
    expect(guide).toContain(`\`\`\`\n${message}\n\`\`\``);
  });
});
