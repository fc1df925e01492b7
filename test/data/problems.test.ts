/**
 * What is wrong with a dataset is said before anything is done with it: all at once, each with its line and a remedy.
 */

import { describe, expect, it } from "vitest";
import {
  DataError,
  type DataSource,
  readPreferences,
  readTexts,
  readUnpaired,
} from "../../src/data/index.js";
import { assistant, tiny, user } from "./tiny.js";

const file = (text: string | Uint8Array) =>
  Object.assign(new Blob([text as BlobPart]), { name: "pairs.jsonl" });
const good = { prompt: "a", chosen: "b", rejected: "c" };

/** The error of reading, which is a DataError. */
async function errorOf(reading: Promise<unknown>): Promise<DataError> {
  const error = await reading.then(
    () => expect.unreachable("the data was read"),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  return error;
}

const pairs = async (source: DataSource, options = {}) =>
  errorOf(readPreferences(source, await tiny(), options));
const messageOf = async (row: unknown) => (await pairs([row])).problems[0]!.message;

describe("a DataError", () => {
  it("has file and line of every problem", async () => {
    const lines = [
      JSON.stringify(good),
      "{not json",
      "",
      JSON.stringify({ ...good, chosen: undefined }),
      "[1]",
      JSON.stringify(good),
      JSON.stringify({ ...good, rejected: "" }),
    ];
    const error = await pairs(file(lines.join("\n")));
    expect(error.message.split("\n  ").map((line) => line.slice(0, 74))).toEqual([
      "readPreferences: the data has 4 problems",
      expect.stringMatching(/^pairs\.jsonl:2: is not JSON \(/),
      "pairs.jsonl:4: chosen is missing; the row has prompt, rejected: the option",
      "pairs.jsonl:5: must be an object with a field for each column, got an arra",
      "pairs.jsonl:7: rejected is empty; fill it in or leave the row out",
    ]);
    expect(error.problems.map(({ row, line }) => [row, line])).toEqual([
      [1, 2],
      [2, 4],
      [3, 5],
      [5, 7],
    ]);
  });

  it("tells twenty, and counts the others", async () => {
    const error = await pairs(Array.from({ length: 33 }, () => ({ ...good, chosen: 3 })));
    expect([error.problems.length, error.count]).toEqual([20, 33]);
    expect(error.message).toMatch(/has 33 problems\n {2}row 0: chosen must be/);
    expect(error.message).toMatch(/\n {2}row 19: [^\n]*\n {2}and 13 more$/);
  });

  it("has the line of a record in an array of JSON, and says where that is cut short", async () => {
    const text = `[\n${JSON.stringify(good)},\n\n {"prompt":\n "a", "chosen": "b"}, x,\n${JSON.stringify(good)}`;
    const error = await pairs(file(text));
    expect(
      error.message
        .split("\n  ")
        .slice(1)
        .map((line) => line.slice(0, 48)),
    ).toEqual([
      "pairs.jsonl:4: rejected is missing; the row has ",
      expect.stringMatching(/^pairs\.jsonl:5: is not JSON/),
      "pairs.jsonl:6: the file ends within its array; i",
    ]);
    expect((await pairs(file(`[${JSON.stringify(good)}]\n{}`))).message).toMatch(
      /pairs\.jsonl:2: something follows the array/,
    );
  });

  it.each([
    ["[G,,G]", "an element of the array is missing at a comma"],
    ["[,G]", "an element of the array is missing at a comma"],
    ["[G,]", "an element of the array is missing at a comma"],
    ["[G}", "the array is closed by }; it ends with ]"],
    ["[}", "the array is closed by }; it ends with ]"],
  ])("says what is wrong with %s", async (text, message) => {
    const { problems } = await pairs(file(text.replaceAll("G", JSON.stringify(good))));
    expect(problems.map((problem) => [problem.line, problem.message])).toEqual([[1, message]]);
  });

  it.each([
    ["Latin-1", [0x7b, 0xe9, 0x7d], "2 (0xE9)"],
    ["a character that was cut", [0xe2, 0x82, 0xac, 0xe2, 0x82], "4 (0xE2)"],
    ["a continuation without a beginning", [0xc3, 0xa9, 0x82], "3 (0x82)"],
    ["half of a surrogate pair", [0xf0, 0x9d, 0x84, 0x9e, 0xed, 0xa0, 0x80], "5 (0xED)"],
    ["UTF-16", [0xff, 0xfe, 0x7b, 0x00], "1 (0xFF)"],
  ])("says the first byte that is not UTF-8: %s", async (_, bytes, place) => {
    expect((await pairs(file(Uint8Array.from(bytes)))).message).toContain(
      `pairs.jsonl:1: byte ${place} is not UTF-8; save the file as UTF-8`,
    );
  });
});

describe("a row", () => {
  it.each([
    [null, "must be an object with a field for each column, got null"],
    ["a", 'must be an object with a field for each column, got "a"'],
    [
      { question: "a" },
      "chosen is missing; the row has question: the option columns says which is which",
    ],
    [{ ...good, prompt: 3 }, "prompt must be a text or a list of { role, content }, got 3"],
    [{ ...good, prompt: "" }, "prompt is empty; fill it in or leave the row out"],
    [{ ...good, chosen: " \n" }, "chosen is empty; fill it in or leave the row out"],
    [{ ...good, chosen: [] }, "chosen is empty; fill it in or leave the row out"],
    [{ ...good, chosen: "\ud83d" }, /^chosen has half of a surrogate pair at position 0/],
    [
      { ...good, prompt: [user("a")] },
      "prompt is a conversation and chosen a text; a row has either texts or conversations",
    ],
    [
      { ...good, chosen: [assistant("b")] },
      "chosen is a conversation and rejected a text; a row has either texts or conversations",
    ],
    [{ ...good, tools: 3 }, "tools must be a list of JSON schemas, or its JSON, got 3"],
    [{ ...good, tools: "[" }, "tools is no JSON; it must be a list of JSON schemas, or its JSON"],
    [{ ...good, chat_template_kwargs: [] }, "chat_template_kwargs must be an object, got an array"],
  ])("%j: %s", async (row, message) => {
    expect(await messageOf(row)).toEqual(
      typeof message === "string" ? message : expect.stringMatching(message),
    );
  });

  const prompt = [user("a")];
  const chosen = [assistant("b")];
  const chat = { prompt, chosen, rejected: [assistant("c")] };
  it.each([
    [{ ...chat, prompt: ["a"] }, 'prompt[0] must be { role, content }, got "a"'],
    [
      { ...chat, prompt: [{ content: "a" }] },
      'prompt[0].role must be a text as "user", got undefined',
    ],
    [
      { ...chat, prompt: [{ role: "usr", content: "a" }] },
      /^prompt\[0\] has the unknown role "usr"; roles are system, /,
    ],
    [{ ...chat, prompt: [{ role: "user" }] }, "prompt[0].content is missing"],
    [
      { ...chat, prompt: [{ role: "user", content: 3 }] },
      "prompt[0].content must be a text, got 3",
    ],
    [
      { ...chat, prompt: [{ role: "user", content: [{ type: "image" }] }] },
      /^prompt\[0\]\.content has a part that is no \{ type: "text", text \}/,
    ],
    [{ ...chat, prompt: [user("\udc00")] }, /^prompt\[0\]\.content has half of a surrogate pair/],
    [
      { ...chat, chosen: [user("b")] },
      "chosen has no message of the assistant, so there is nothing to learn",
    ],
    [
      { ...chat, chosen: [assistant("")] },
      "chosen has an empty message of the assistant; fill it in or leave the row out",
    ],
    [
      { chosen: [user("x"), ...chosen], rejected: [user("y"), ...chosen] },
      "chosen and rejected share no first message, so the row has no prompt; give the column prompt",
    ],
    [
      { chosen: [...prompt, user("x"), ...chosen], rejected: [...prompt, user("y"), ...chosen] },
      /^chosen and rejected differ first in a message of the user, so they answer different prompts; /,
    ],
    [
      { ...chat, chosen: [user("x"), ...chosen] },
      /^a completion begins with a message of the user, which would be learned; /,
    ],
    [
      { ...chat, chosen: [assistant(" \n")] },
      "chosen has an empty message of the assistant; fill it in or leave the row out",
    ],
  ])("of conversations %j: %s", async (row, message) => {
    expect(await messageOf(row)).toEqual(
      typeof message === "string" ? message : expect.stringMatching(message),
    );
  });

  it("answers one prompt, also where a system message stands in front of it", async () => {
    const row = { chosen: [user("a"), ...chosen], rejected: [user("b"), ...chosen] };
    const [problem] = (await pairs([row], { system: "Be brief." })).problems;
    expect(problem!.message).toMatch(/^chosen and rejected share no first message/);
  });

  it("has all of its problems", async () => {
    const { problems } = await pairs([
      { prompt: [{ role: "usr", content: "a" }, user("\ud800")], chosen: 3, tools: "[" },
    ]);
    expect(problems.map(({ row, message }) => [row, message.split(" ", 3).join(" ")])).toEqual([
      [0, "prompt[0] has the"],
      [0, "prompt[1].content has half"],
      [0, "chosen must be"],
      [0, "rejected is missing;"],
      [0, "tools is no"],
    ]);
  });

  it.each(["tools", "chat_template_kwargs"])("has %s that end", async (name) => {
    const loop: Record<string, unknown> = {};
    loop.inner = loop;
    const given = name === "tools" ? [loop] : loop;
    expect(await messageOf({ ...chat, [name]: given })).toBe(
      `${name} is nested more than 200 levels deep; flatten it`,
    );
    const deep = JSON.parse(`${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`);
    expect(await messageOf({ ...chat, [name]: name === "tools" ? [deep] : deep })).toMatch(
      /is nested more than 200 levels deep/,
    );
  });

  it("may have integers of 64 bits", async () => {
    const one = { ...user("a"), id: 3n };
    const row = { chosen: [one, ...chosen], rejected: [one, assistant("c")] };
    const { rows } = await readPreferences([row], await tiny());
    expect(rows.length).toBe(1);
  });

  it("says why a template refuses it, and that a tokenizer has none", async () => {
    const refusing = await tiny({ template: "{{ raise_exception('no users here') }}" });
    const refused = await errorOf(readPreferences([chat, chat], refusing));
    expect(refused.message).toMatch(/row 1: [^\n]*no users here/);
    expect(refused.count).toBe(2);
    const without = await tiny({ template: null });
    expect((await errorOf(readPreferences([chat], without))).message).toMatch(
      /the row is a conversation, and the tokenizer has no chat template; /,
    );
  });

  it("has a label", async () => {
    const tokenizer = await tiny();
    const rows = [
      { prompt: "a", completion: "b" },
      { prompt: "a", completion: "b", label: "yes" },
      { completion: "b", label: true },
    ];
    const { problems } = await errorOf(readUnpaired(rows, tokenizer));
    expect(problems.map(({ message }) => message)).toEqual([
      "label is missing; it says whether the completion is desirable, true or false",
      'label must be true or false, got "yes"',
      expect.stringMatching(/^prompt is missing; the row has completion, label/),
    ]);
  });

  it("has a text to learn", async () => {
    const tokenizer = await tiny();
    const { problems } = await errorOf(readTexts([{ content: "a" }, { prompt: "a" }], tokenizer));
    expect(problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(
        /^has none of messages, conversations, text, and prompt with completion; /,
      ),
      expect.stringMatching(/^completion is missing/),
    ]);
  });
});

describe("all rows together", () => {
  it("have the columns that are named", async () => {
    const columns = { prompt: "questoin" };
    const row = { question: "a", chosen: "a b", rejected: "a c" };
    expect((await pairs([row], { columns })).message).toMatch(
      /the rows: no row has questoin, which columns\.prompt names; did you mean question\?/,
    );
    expect((await pairs([row], { columns: { prompt: "xyz" } })).message).toMatch(
      /no row has xyz, which columns\.prompt names; rows have question, chosen, rejected/,
    );
    const some = [row, { questoin: "a", chosen: "b", rejected: "c" }];
    expect((await readPreferences(some, await tiny(), { columns })).rows.length).toBe(2);
  });

  it("are some", async () => {
    expect((await pairs([])).message).toMatch(/the rows: has no rows/);
    expect((await pairs(file("\n\n"))).message).toMatch(/pairs\.jsonl: has no rows/);
  });

  it("are not all too long", async () => {
    const error = await pairs([{ ...good, prompt: "abc" }], { maxLength: 3 });
    expect(error.message).toMatch(
      /no row is left of 1: the prompt is too long \(1\); maxLength is 3/,
    );
  });

  it("have labels of both kinds", async () => {
    const rows = [1, 2].map(() => ({ prompt: "a", completion: "b", label: false }));
    expect((await errorOf(readUnpaired(rows, await tiny()))).message).toMatch(
      /label is false in all 2 rows, so there is nothing to tell apart/,
    );
  });

  it("have a conversation for a system message", async () => {
    expect((await pairs([good], { system: "Be brief." })).message).toMatch(
      /no row is a conversation, so there is none for the option system to begin/,
    );
  });
});

describe("options", () => {
  it.each([
    [{ maxLenght: 3 }, /has no option `maxLenght`; did you mean `maxLength`\?/],
    [{ maxLength: 1 }, /maxLength must be an integer ≥ 2/],
    [{ truncation: "right" }, /truncation must be one of "keep_start", "keep_end", "drop"/],
    [{ tokenization: "TRL" }, /tokenization must be one of "safe", "trl"/],
    [{ columns: { question: "q" } }, /columns: a name must be one of "prompt"/],
    [{ columns: { prompt: 3 } }, /columns\.prompt must be a name, got 3/],
    [{ limit: 0 }, /limit must be an integer ≥ 1/],
    [{ split: "test" }, /split is for directories and ids of the hub/],
    [{ system: "" }, /system must be a text/],
    [{ cache: 3 }, /cache must be the path of a directory/],
  ])("%j are refused", async (options, message) => {
    const reading = readPreferences([good], await tiny(), options as object);
    await expect(reading).rejects.toThrow(message);
  });

  it("are refused for what is no tokenizer", async () => {
    const tokenizer = await tiny();
    for (const read of [readPreferences, readUnpaired, readTexts]) {
      await expect(read([good], undefined as never)).rejects.toThrow(
        /tokenizer must be one of loadTokenizer or loadModel, got undefined/,
      );
      await expect(read([good], { tokenizer } as never)).rejects.toThrow(
        /got a model; give its tokenizer/,
      );
    }
  });

  it("are refused for sources that are none", async () => {
    const tokenizer = await tiny();
    await expect(readPreferences(3 as never, tokenizer)).rejects.toThrow(/source must be a path/);
    await expect(readPreferences("nowhere.jsonl", tokenizer)).rejects.toThrow(
      /there is no file nowhere\.jsonl/,
    );
  });
});
