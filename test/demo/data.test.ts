import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readPairs } from "../../bench/demo/data.js";
import { InputError } from "../../bench/demo/inputError.js";
import { lengthOf } from "../../bench/demo/pairs.js";
import { type Settings, settingsFor } from "../../bench/demo/settings.js";
import { taskOf } from "../../bench/demo/task.js";
import { temporaryDirectory } from "./tiny.js";

const directory = temporaryDirectory();
const pair = { prompt: "2+2=", chosen: "4", rejected: "5" };
const line = JSON.stringify(pair);

function file(name: string, ...lines: string[]): string {
  const path = join(directory, name);
  writeFileSync(path, lines.join("\n"));
  return path;
}

function messageOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return (error as Error).message;
  }
  throw new Error("nothing was wrong");
}

describe("readPairs", () => {
  test("reads a pair a line and remembers where it stood", () => {
    const path = file("good.jsonl", `\uFEFF${line}`, "", `${line}\r`, "");
    expect(readPairs(path)).toEqual([
      { ...pair, place: `${path}:1` },
      { ...pair, place: `${path}:3` },
    ]);
  });

  test("ignores other fields", () => {
    const path = file("more.jsonl", JSON.stringify({ id: 7, ...pair }));
    expect(readPairs(path)).toEqual([{ ...pair, place: `${path}:1` }]);
  });

  test("a missing file is named", () => {
    const path = join(directory, "absent.jsonl");
    expect(messageOf(() => readPairs(path))).toBe(`${path}: no such file`);
  });

  test("a directory is no file", () => {
    const path = join(directory, "folder");
    mkdirSync(path);
    expect(messageOf(() => readPairs(path))).toBe(`${path}: is a directory, not a JSONL file`);
  });

  test("a file without pairs is named", () => {
    const path = file("empty.jsonl", "", " ");
    expect(messageOf(() => readPairs(path))).toBe(`${path}: the file has no preference pairs`);
  });

  test.each([
    ["{not json", /:2: the line is not JSON \(.+\)$/],
    ["[1, 2]", /:2: expected an object with prompt, chosen, rejected$/],
    ["null", /:2: expected an object with prompt, chosen, rejected$/],
    ['{"prompt": "a", "chosen": "b"}', /:2: "rejected" is missing$/],
    ['{"prompt": "", "chosen": "b", "rejected": "c"}', /:2: "prompt" is empty$/],
    ['{"prompt": "a", "chosen": 4, "rejected": "c"}', /:2: "chosen" must be a text, found 4$/],
    [
      '{"prompt": "a", "chosen": [{"role": "user"}], "rejected": "c"}',
      /:2: "chosen" must be a text, found \[\{"role":"user"\}\]$/,
    ],
  ])("line 2 being %s is named with its file", (bad, message) => {
    const path = file("bad.jsonl", line, bad, line);
    expect(messageOf(() => readPairs(path))).toMatch(message);
    expect(messageOf(() => readPairs(path)).startsWith(path)).toBe(true);
  });
});

describe("a file that is not UTF-8", () => {
  const bytes = (name: string, ...parts: (string | number[])[]): string => {
    const path = join(directory, name);
    writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part as string))));
    return path;
  };

  test.each([
    ["Latin-1", ['{"prompt": "caf', [0xe9], '"}'], "16 (0xE9)"],
    ["a character that was cut", ['{"prompt": "€', [0xe2, 0x82]], "16 (0xE2)"],
    ["a continuation without a beginning", ["{", [0x82]], "2 (0x82)"],
    ["a surrogate", ["{", [0xed, 0xa0, 0x80]], "2 (0xED)"],
    ["UTF-16", [[0xff, 0xfe, 0x7b, 0x00]], "1 (0xFF)"],
  ])("is refused with line and byte: %s", (_, parts, place) => {
    const path = bytes("other.jsonl", `${line}\n${line.replace("2", "é€𝄞")}\n`, ...parts);
    expect(messageOf(() => readPairs(path))).toBe(
      `${path}:3: byte ${place} is not UTF-8; convert the file first`,
    );
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
  const settings = (choices: Partial<Settings>): Settings => ({
    ...settingsFor({ data: path, batchSize: 1 }),
    ...choices,
  });

  test("by default the context holds the longest pair", () => {
    const task = taskOf(settings({}));
    expect(task.context).toBe(46);
    expect(Math.max(...[...task.training, ...task.heldOut].map(lengthOf))).toBe(46);
    expect(task.description.join()).not.toMatch(/cut|left out/);
  });

  test("a prompt that leaves no room is an error with file and line", () => {
    expect(messageOf(() => taskOf(settings({ context: 40 })))).toBe(
      `${path}:3: the prompt has 40 bytes, which leaves no room for a response in the context of 40; ` +
        "raise --context, or skip such pairs with --drop-long",
    );
  });

  test("responses over the context are cut, and counted", () => {
    const task = taskOf(settings({ context: 41 }));
    expect(task.description).toContain(
      "2 responses were cut at the context (--drop-long leaves them out)",
    );
  });

  const alike = (count: number, common: string): string[] =>
    Array.from({ length: count }, (_, i) =>
      JSON.stringify({ prompt: `${i}?`, chosen: `${common}a`, rejected: `${common}b` }),
    );

  test("pairs that are equal, or become so where they are cut, are left out and counted", () => {
    const equal = JSON.stringify({ prompt: "same?", chosen: "yes", rejected: "yes" });
    const lines = [...alike(3, "x".repeat(50)), ...alike(5, ""), equal];
    const task = taskOf(settings({ data: file("alike.jsonl", ...lines), context: 30 }));
    expect(task.description).toContain(
      "4 pairs whose responses are equal within the context were left out",
    );
    expect(task.training.length + task.heldOut.length).toBe(5);
  });

  test("pairs that are all equal within the context are an error", () => {
    const data = file("equal.jsonl", ...alike(9, "x".repeat(50)));
    expect(messageOf(() => taskOf(settings({ data, context: 30 })))).toBe(
      `${data}: chosen and rejected are equal in every pair, within the context of 30 bytes; ` +
        "if they differ further on, raise --context",
    );
  });

  test("too few pairs that differ are an error", () => {
    const data = file("few.jsonl", ...alike(9, "x".repeat(50)), ...alike(4, ""));
    expect(messageOf(() => taskOf(settings({ data, context: 30, batchSize: 4 })))).toBe(
      "--batch-size 4 exceeds the 3 training pairs; pass a smaller one",
    );
  });

  test("a file of more lines than a call takes arguments is read", () => {
    const count = 150_000;
    const lines = Array.from({ length: count }, () => line);
    lines.push(JSON.stringify({ ...pair, prompt: "3+3=" }));
    const task = taskOf(
      settings({ data: file("many.jsonl", lines.join("\n")), trainingPairs: 64 }),
    );
    expect(task.description[0]).toContain(`${count + 1} pairs`);
  });

  test("--drop-long leaves long pairs out, and counts them", () => {
    const task = taskOf(settings({ context: 30, dropLong: true }));
    expect(task.description).toContain("2 pairs longer than the context were left out");
    expect(task.training.length + task.heldOut.length).toBe(2);
  });

  test("--drop-long that leaves nothing is an error", () => {
    expect(messageOf(() => taskOf(settings({ context: 5, dropLong: true })))).toBe(
      "--drop-long: every pair is longer than the context of 5 bytes",
    );
  });

  test("a batch larger than the data is an error", () => {
    expect(messageOf(() => taskOf(settings({ batchSize: 4 })))).toBe(
      "--batch-size 4 exceeds the 3 training pairs; pass a smaller one",
    );
  });

  test("pairs of one prompt are either all held out or all trained on", () => {
    const lines = Array.from({ length: 60 }, (_, i) =>
      JSON.stringify({ prompt: `p${i % 12}`, chosen: `c${i}`, rejected: `r${i}` }),
    );
    const { training, heldOut } = taskOf(
      settings({ data: file("shared.jsonl", ...lines), trainingPairs: 100 }),
    );
    const prompts = (pairs: typeof training) => pairs.map(({ promptIds }) => String(promptIds));
    const [trained, held] = [prompts(training), prompts(heldOut)];
    expect(trained.length + held.length).toBe(60);
    expect(held.length).toBeGreaterThanOrEqual(6);
    expect(held.filter((prompt) => trained.includes(prompt))).toEqual([]);
  });

  test("one prompt alone cannot be split", () => {
    const alone = file("alone.jsonl", line, line);
    expect(messageOf(() => taskOf(settings({ data: alone })))).toBe(
      `${alone}: needs pairs of at least two prompts, to train and to measure`,
    );
  });
});
