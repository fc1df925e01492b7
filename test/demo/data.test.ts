import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { lengthOf } from "../../bench/demo/pairs.js";
import { type Settings, settingsFor } from "../../bench/demo/settings.js";
import { taskOf } from "../../bench/demo/task.js";
import { asInput, InputError } from "../../src/cli/input.js";
import { temporaryDirectory } from "./tiny.js";

const directory = temporaryDirectory();
const pair = { prompt: "2+2=", chosen: "4", rejected: "5" };
const line = JSON.stringify(pair);

function file(name: string, ...lines: string[]): string {
  const path = join(directory, name);
  writeFileSync(path, lines.join("\n"));
  return path;
}

/** Settings for a file of a few pairs. */
const settingsOf = (data: string, choices: Partial<Settings> = {}): Settings => ({
  ...settingsFor({ data, batchSize: 1 }),
  ...choices,
});

/** What a user is told. */
const messageOf = (settings: Settings): Promise<string> =>
  asInput(() => taskOf(settings)).then(
    () => expect.unreachable("nothing was wrong"),
    (error) => {
      expect(error).toBeInstanceOf(InputError);
      return (error as Error).message;
    },
  );

describe("the pairs of a file", () => {
  test("are read a line each, with what else a line has left aside", async () => {
    const other = JSON.stringify({ id: 7, ...pair, prompt: "3+3=" });
    const path = file("good.jsonl", `\uFEFF${line}`, "", `${other}\r`, "");
    const { training, heldOut, tokenizer } = await taskOf(settingsOf(path));
    const pairs = [...training, ...heldOut].sort((one, two) => one.row - two.row);
    expect(pairs.map(({ promptIds }) => tokenizer.decode(Array.from(promptIds)))).toEqual([
      "2+2=",
      "3+3=",
    ]);
    expect(pairs.map(({ chosenIds }) => Array.from(chosenIds))).toEqual(
      Array(2).fill([..."4"].map((digit) => digit.charCodeAt(0)).concat(tokenizer.end)),
    );
  });

  test("a missing file is named", async () => {
    const path = join(directory, "absent.jsonl");
    expect(await messageOf(settingsOf(path))).toMatch(`${path}: cannot be read (ENOENT`);
  });

  test("a directory is no file", async () => {
    const path = join(directory, "folder");
    mkdirSync(path);
    expect(await messageOf(settingsOf(path))).toMatch(`${path}: cannot be read (EISDIR`);
  });

  test("a file without pairs is named", async () => {
    const path = file("empty.jsonl", "", " ");
    expect(await messageOf(settingsOf(path))).toContain(`${path}: has no rows`);
  });

  test.each([
    ["{not json", "is not JSON"],
    ["[1, 2]", "must be an object"],
    ["null", "must be an object"],
    ['{"prompt": "a", "chosen": "b"}', "rejected is missing"],
    ['{"prompt": "", "chosen": "b", "rejected": "c"}', "prompt is empty"],
    ['{"prompt": "a", "chosen": 4, "rejected": "c"}', "chosen must be a text"],
  ])("line 2 being %s is named with its file", async (bad, message) => {
    const path = file("bad.jsonl", line, bad, line);
    expect(await messageOf(settingsOf(path))).toContain(`${path}:2: ${message}`);
  });

  test("a line that is not UTF-8 is named with its first wrong byte", async () => {
    const path = join(directory, "other.jsonl");
    writeFileSync(path, Buffer.concat([Buffer.from(`${line}\n{"prompt": "caf`), Buffer.of(0xe9)]));
    expect(await messageOf(settingsOf(path))).toContain(`${path}:2: byte 16 (0xE9) is not UTF-8`);
  });
});

describe("pairs of a file and the context", () => {
  const long = (prompt: number, chosen: number, rejected: number, first: string): string =>
    JSON.stringify({
      prompt: first.padEnd(prompt, "."),
      chosen: "c".repeat(chosen),
      rejected: "r".repeat(rejected),
    });
  const path = file(
    "long.jsonl",
    long(10, 5, 5, "a"),
    long(10, 30, 5, "b"),
    long(40, 5, 5, "c"),
    long(10, 5, 5, "d"),
  );
  const settings = (choices: Partial<Settings>): Settings => settingsOf(path, choices);

  test("by default the context holds the longest pair", async () => {
    const task = await taskOf(settings({}));
    expect(task.context).toBe(46);
    expect(Math.max(...[...task.training, ...task.heldOut].map(lengthOf))).toBe(46);
    expect(task.description.join()).not.toMatch(/cut|left out/);
  });

  test("a prompt that leaves no room is an error with file and row", async () => {
    expect(await messageOf(settings({ context: 40 }))).toBe(
      `${path}, row 2: the prompt leaves no room for a response in the context of 40 bytes; raise --context, ` +
        "or skip such pairs with --drop-long",
    );
  });

  test("responses over the context are cut, and counted", async () => {
    const task = await taskOf(settings({ context: 41 }));
    expect(task.description).toContain(
      "2 responses were cut at the context (--drop-long leaves them out)",
    );
  });

  const alike = (count: number, common: string): string[] =>
    Array.from({ length: count }, (_, i) =>
      JSON.stringify({ prompt: `${i}?`, chosen: `${common}a`, rejected: `${common}b` }),
    );

  test("pairs that are equal, or become so where they are cut, are left out and counted", async () => {
    const equal = JSON.stringify({ prompt: "same?", chosen: "yes", rejected: "yes" });
    const lines = [...alike(3, "x".repeat(50)), ...alike(5, ""), equal];
    const task = await taskOf(settings({ data: file("alike.jsonl", ...lines), context: 30 }));
    expect(task.description).toContain(
      "4 pairs whose responses are equal within the context were left out",
    );
    expect(task.training.length + task.heldOut.length).toBe(5);
  });

  test("pairs that are all equal within the context are an error", async () => {
    const data = file("equal.jsonl", ...alike(9, "x".repeat(50)));
    expect(await messageOf(settings({ data, context: 30 }))).toContain(
      `${data}: no row is left of 9: chosen and rejected are identical up to maxLength (9); maxLength is 30`,
    );
  });

  test("too few pairs that differ are an error", async () => {
    const data = file("few.jsonl", ...alike(9, "x".repeat(50)), ...alike(4, ""));
    expect(await messageOf(settings({ data, context: 30, batchSize: 4 }))).toBe(
      "--batch-size 4 exceeds the 3 training pairs; pass a smaller one",
    );
  });

  test("a file of more lines than a call takes arguments is read", async () => {
    const count = 150_000;
    const lines = Array.from({ length: count }, () => line);
    lines.push(JSON.stringify({ ...pair, prompt: "3+3=" }));
    const task = await taskOf(
      settings({ data: file("many.jsonl", lines.join("\n")), trainingPairs: 64 }),
    );
    expect(task.description[0]).toContain(`${count + 1} pairs`);
  });

  test("--drop-long leaves long pairs out, and counts them", async () => {
    const task = await taskOf(settings({ context: 30, dropLong: true }));
    expect(task.description).toContain("2 pairs longer than the context were left out");
    expect(task.training.length + task.heldOut.length).toBe(2);
  });

  test("--drop-long that leaves nothing is an error", async () => {
    expect(await messageOf(settings({ context: 5, dropLong: true }))).toContain(
      `${path}: no row is left of 4: the row is too long (4); maxLength is 5`,
    );
  });

  test("a batch larger than the data is an error", async () => {
    expect(await messageOf(settings({ batchSize: 4 }))).toBe(
      "--batch-size 4 exceeds the 3 training pairs; pass a smaller one",
    );
  });

  test("pairs of one prompt are either all held out or all trained on", async () => {
    const lines = Array.from({ length: 60 }, (_, i) =>
      JSON.stringify({ prompt: `p${i % 12}`, chosen: `c${i}`, rejected: `r${i}` }),
    );
    const { training, heldOut } = await taskOf(
      settings({ data: file("shared.jsonl", ...lines), trainingPairs: 100 }),
    );
    const prompts = (pairs: typeof training) => pairs.map(({ promptIds }) => String(promptIds));
    const [trained, held] = [prompts(training), prompts(heldOut)];
    expect(trained.length + held.length).toBe(60);
    expect(held.length).toBeGreaterThanOrEqual(6);
    expect(held.filter((prompt) => trained.includes(prompt))).toEqual([]);
  });

  test("one prompt alone cannot be split", async () => {
    const alone = file("alone.jsonl", line, line);
    expect(await messageOf(settings({ data: alone }))).toBe(
      `${alone}: needs pairs of at least two prompts, to train and to measure`,
    );
  });
});
