/**
 * The formats of rows, and what becomes of each.
 */

import { describe, expect, it } from "vitest";
import { readPreferences, readTexts, readUnpaired } from "../../src/data/index.js";
import { all, assistant, CHAT, shown, tiny, user } from "./tiny.js";

const text = (ids: ArrayLike<number>, tokenizer: { decode(ids: readonly number[]): string }) =>
  tokenizer.decode(Array.from(ids));

describe("readPreferences", () => {
  const read = async (row: object, options = {}, template = CHAT) => {
    const tokenizer = await tiny({ template });
    const { rows } = await readPreferences([row], tokenizer, options);
    const [{ promptIds, chosenIds, rejectedIds }] = (await all(rows)) as [never];
    return [promptIds, chosenIds, rejectedIds].map((ids) => text(ids, tokenizer));
  };
  const chat = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] };
  const tokens = ["<user>a<e>\n<assistant>", "b<e>", "c<e>"];

  it("takes texts and conversations, with a prompt or without", async () => {
    expect(await read({ prompt: "a", chosen: "b", rejected: "c<e>" })).toEqual([
      "a",
      "b<e>",
      "c<e>",
    ]);
    expect(await read(chat)).toEqual(tokens);
    const { prompt, chosen, rejected } = chat;
    const whole = { chosen: [...prompt, ...chosen], rejected: [...prompt, ...rejected] };
    expect(await read(whole)).toEqual(tokens);
    expect(await read({ ...whole, prompt: null })).toEqual(tokens);
    // A column with the text of the prompt, beside conversations that hold it.
    expect(await read({ ...whole, prompt: "a" })).toEqual(tokens);
  });

  it("takes columns by their names in the data", async () => {
    const columns = { prompt: "question", chosen: "good", rejected: "bad" } as const;
    const row = { question: "a", good: "b", bad: "c", chosen: 3 };
    expect(await read(row, { columns })).toEqual(["a", "b<e>", "c<e>"]);
  });

  it("gives tools and variables of a row to the template", async () => {
    const template = `{% if tools %}{{ tools[0].name }}:{% endif %}{{ mood }}${CHAT}`;
    const tools = [{ name: "add", about: null }];
    for (const given of [tools, JSON.stringify(tools)]) {
      const row = { ...chat, tools: given, chat_template_kwargs: { mood: "calm", other: null } };
      expect((await read(row, {}, template))[0]).toBe(`add:calm${tokens[0]}`);
    }
  });

  it("begins conversations with a system message, where they have none", async () => {
    const system = "Be brief.";
    expect((await read(chat, { system }))[0]).toBe(`<system>Be brief.<e>\n${tokens[0]}`);
    const own = { ...chat, prompt: [{ role: "system", content: "x" }, ...chat.prompt] };
    expect((await read(own, { system }))[0]).toBe(`<system>x<e>\n${tokens[0]}`);
    const { prompt, chosen, rejected } = chat;
    const whole = { chosen: [...prompt, ...chosen], rejected: [...prompt, ...rejected] };
    expect((await read(whole, { system }))[0]).toBe(`<system>Be brief.<e>\n${tokens[0]}`);
  });

  it("leaves nulls of tables out of messages", async () => {
    const template = "{% for m in messages %}{{ m.name is defined }}{{ m.content }}{% endfor %}";
    const message = { role: "assistant", content: "b", name: null };
    const row = { prompt: [user("a")], chosen: [message], rejected: [assistant("c")] };
    expect((await read(row, {}, template))[1]).toBe("falseb");
  });

  it("counts prompts that completions share", async () => {
    const tokenizer = await tiny();
    const { prompt, chosen, rejected } = chat;
    const whole = { chosen: [...prompt, ...chosen], rejected: [...prompt, ...rejected] };
    const given = [chat, whole, { ...whole, prompt: "a" }, { chosen: "a b", rejected: "a c" }];
    const { summary } = await readPreferences(given, tokenizer);
    expect([summary.implicit, summary.repeated]).toEqual([2, 1]);
  });

  it("reads the first rows only, and counts what it found", async () => {
    const tokenizer = await tiny();
    const given = ["b", "cc", "ddd"].map((chosen) => ({ prompt: "aa", chosen, rejected: "x" }));
    const { rows, summary } = await readPreferences(given, tokenizer, { limit: 2 });
    expect(rows.length).toBe(2);
    expect(summary).toMatchObject({
      read: 2,
      kept: 2,
      dropped: {},
      truncated: { rows: 0, tokens: 0, ends: 0 },
      // Twice the prompt, and EOS everywhere.
      tokens: 2 * 4 + 2 + 3 + 2 + 2,
      trained: 2 + 3 + 2 + 2,
      longest: [
        { row: 1, tokens: 5 },
        { row: 0, tokens: 4 },
      ],
      noEos: 0,
      conversations: 0,
      cache: null,
    });
  });

  it("counts completions without EOS", async () => {
    const tokenizer = await tiny({ eos: false });
    const given = [{ prompt: "a", chosen: "b", rejected: "c" }];
    const { rows, summary } = await readPreferences(given, tokenizer);
    expect([summary.noEos, shown(tokenizer, (await all(rows))[0]!.chosenIds)]).toEqual([2, "b"]);
  });

  it("takes iterables, also those that wait", async () => {
    const tokenizer = await tiny();
    const row = { prompt: "a", chosen: "b", rejected: "c" };
    async function* waiting() {
      yield row;
      yield row;
    }
    expect((await readPreferences(waiting(), tokenizer)).rows.length).toBe(2);
    expect((await readPreferences(new Set([row]), tokenizer)).rows.length).toBe(1);
  });

  it("gives rows of any order, and refuses indices that none has", async () => {
    const tokenizer = await tiny();
    const given = Array.from({ length: 300 }, (_, i) => ({
      prompt: "a",
      chosen: "x".repeat(1000 + i),
      rejected: "c",
    }));
    const { rows } = await readPreferences(given, tokenizer, { maxLength: null });
    const found = await rows.read([299, 0, 150]);
    expect(found.map(({ row, chosenIds }) => [row, chosenIds.length])).toEqual([
      [299, 1300],
      [0, 1001],
      [150, 1151],
    ]);
    await expect(rows.read([300])).rejects.toThrow("rows have indices from 0 to 299, got 300");
  });
});

describe("readUnpaired", () => {
  const read = async (rows: readonly object[], options = {}) => {
    const tokenizer = await tiny();
    const found = await readUnpaired(rows, tokenizer, options);
    return (await all(found.rows)).map(({ row, desirable, completionIds, mismatchedIds }) => [
      row,
      desirable,
      text(completionIds, tokenizer),
      text(mismatchedIds, tokenizer),
    ]);
  };
  const single = (completion: string, label: unknown) => ({ prompt: "aa", completion, label });

  it("exchanges completions among the rows of a batch", async () => {
    const rows = [single("b", true), single("c", false), single("d", 1), single("e", 0)];
    expect(await read(rows, { batchSize: 3 })).toEqual([
      [0, true, "b<e>", "d<e>"],
      [1, false, "c<e>", "b<e>"],
      [2, true, "d<e>", "c<e>"],
      // Alone in its batch.
      [3, false, "e<e>", "d<e>"],
    ]);
    const trl = await read(rows, { batchSize: 3, tokenization: "trl" });
    expect(trl.at(-1)).toEqual([3, false, "e<e>", "e<e>"]);
  });

  it("takes completions of other prompts, near ones rather than far ones", async () => {
    const rows = Array.from("aaabbac", (prompt, i) => ({
      prompt,
      completion: `${i}`,
      label: i % 2 === 0,
    }));
    const others = async (options: object) =>
      (await read(rows, options)).map(([, , , other]) => (other as string)[0]).join("");
    expect(await others({ batchSize: 3 })).toBe("333" + "554" + "5");
    expect(await others({ batchSize: 4 })).toBe("3332" + "645");
    expect(await others({ batchSize: 4, tokenization: "trl" })).toBe("3012645");
  });

  it("exchanges them whole among rows that are kept, and cuts them to what is left", async () => {
    const rows = [
      single("bbbb", true),
      { ...single("x", true), prompt: "aaaaa" },
      single("c", false),
    ];
    expect(await read(rows, { batchSize: 2, maxLength: 4 })).toEqual([
      [0, true, "bb", "c<e>"],
      [2, false, "c<e>", "bb"],
    ]);
  });

  it("takes pairs apart, of each thousand the chosen ones first", async () => {
    const rows = Array.from({ length: 1002 }, (_, i) =>
      i === 1 ? single("s", true) : { prompt: "a", chosen: `c${i}`, rejected: `r${i}` },
    );
    const found = await read(rows);
    expect(found.length).toBe(2 * 1002 - 1);
    const seen = (place: number) => found[place]!.slice(0, 3);
    expect([0, 1, 2, 999].map(seen)).toEqual([
      [0, true, "c0<e>"],
      [1, true, "s<e>"],
      [2, true, "c2<e>"],
      [999, true, "c999<e>"],
    ]);
    expect([1000, 1001, 1998].map(seen)).toEqual([
      [0, false, "r0<e>"],
      [2, false, "r2<e>"],
      [999, false, "r999<e>"],
    ]);
    expect([1999, 2000, 2001, 2002].map(seen)).toEqual([
      [1000, true, "c1000<e>"],
      [1001, true, "c1001<e>"],
      [1000, false, "r1000<e>"],
      [1001, false, "r1001<e>"],
    ]);
  });
});

describe("the summary of completions with labels", () => {
  it("counts a pair that is taken apart once, and what it is taken apart into", async () => {
    const tokenizer = await tiny();
    const pair = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("cc")] };
    const { summary } = await readUnpaired([pair, { ...pair, prompt: [user("d")] }], tokenizer);
    expect(summary).toMatchObject({
      read: 2,
      conversations: 2,
      kept: 4,
      desirable: 2,
      trained: 10,
    });
  });
});

describe("pairs that are taken apart", () => {
  const rows = [
    { prompt: "a", chosen: "b", rejected: "b" },
    { prompt: "a", chosen: "bcdefg", rejected: "bcdefh" },
    { prompt: "a", chosen: "b", rejected: "c" },
    { prompt: "abcdef", chosen: "b", rejected: "c" },
  ];
  const read = async (options: object) => {
    const { rows: found, summary } = await readUnpaired(rows, await tiny(), options);
    const { dropped, identical, kept } = summary;
    expect([...summary.skipped].length).toBe(
      Object.values(dropped).reduce((sum, count) => sum + count, 0),
    );
    return { rows: (await all(found)).map(({ row }) => row), dropped, identical, kept };
  };

  it("are skipped where their completions are the same, and as often as they were read", async () => {
    expect(await read({ maxLength: 4 })).toEqual({
      rows: [2, 2],
      dropped: {
        "chosen and rejected are identical": 1,
        "chosen and rejected are identical up to maxLength": 1,
        "the prompt is too long": 1,
      },
      identical: 1,
      kept: 2,
    });
    expect(await read({ maxLength: 4, tokenization: "trl" })).toEqual({
      rows: [0, 1, 2, 0, 1, 2],
      dropped: { "the prompt is too long": 1 },
      identical: 1,
      kept: 6,
    });
  });

  it("lose the completion that is too long, and keep the other", async () => {
    const one = { prompt: "a", chosen: "bcdefg", rejected: "b" };
    const given = [one, { prompt: "a", chosen: "x", rejected: "y" }];
    const options = { maxLength: 4, truncation: "drop" } as const;
    const { rows: found, summary } = await readUnpaired(given, await tiny(), options);
    expect((await all(found)).map(({ row, desirable }) => [row, desirable])).toEqual([
      [1, true],
      [0, false],
      [1, false],
    ]);
    expect([...summary.skipped]).toEqual([{ row: 0, reason: "the row is too long" }]);
  });
});

describe("a prompt that its completions repeat", () => {
  const read = async (row: object, options = {}) => {
    const tokenizer = await tiny();
    const { rows, summary } = await readPreferences([row], tokenizer, options);
    const [{ promptIds, chosenIds }] = (await all(rows)) as [never];
    return [text(promptIds, tokenizer), text(chosenIds, tokenizer), summary.repeated];
  };
  const texts = { prompt: "Q: a\n", chosen: "Q: a\nyes", rejected: "Q: a\nno" };
  const turns = [user("a"), assistant("b"), user("c")];
  const chats = {
    prompt: turns,
    chosen: [...turns, assistant("d")],
    rejected: [...turns, assistant("e")],
  };

  it("is there once", async () => {
    expect(await read(texts)).toEqual(["Q: a\n", "yes<e>", 1]);
    expect(await read(chats)).toEqual([
      "<user>a<e>\n<assistant>b<e>\n<user>c<e>\n<assistant>",
      "d<e>",
      1,
    ]);
    expect(await read({ ...chats, prompt: "a" })).toMatchObject({ 2: 1 });
  });

  it("is there twice in TRL", async () => {
    const trl = { tokenization: "trl" };
    expect(await read(texts, trl)).toEqual(["Q: a\n", "Q: a\nyes<e>", 1]);
    expect((await read(chats, trl))[1]).toMatch(/user/);
  });

  it("is not what an answer begins with, where it is a word or one completion's", async () => {
    const word = { prompt: "Hi", chosen: "Hi there", rejected: "Hi!" };
    expect(await read(word)).toEqual(["Hi", "Hi there<e>", 0]);
    expect((await read({ ...texts, rejected: "no" }))[1]).toBe("Q: a\nyes<e>");
  });

  it("is not learned from a text or a completion with a label either", async () => {
    const tokenizer = await tiny();
    const { prompt, chosen: completion, rejected } = texts;
    const learned = await readTexts([{ prompt, completion }], tokenizer);
    const [row] = await all(learned.rows);
    expect([text(row!.ids, tokenizer), learned.summary.repeated]).toEqual(["Q: a\nyes<e>", 1]);
    const labelled = [
      { prompt, completion, label: true },
      { prompt, completion: rejected, label: false },
    ];
    const { rows, summary } = await readUnpaired(labelled, tokenizer);
    expect(text((await all(rows))[0]!.completionIds, tokenizer)).toBe("yes<e>");
    expect(summary.repeated).toBe(2);
  });
});

describe("readTexts", () => {
  /** The text of a row with what is learned in brackets. */
  const read = async (row: object, options = {}, template = CHAT) => {
    const tokenizer = await tiny({ template });
    const { rows } = await readTexts([row], tokenizer, options);
    const [{ ids, trained }] = (await all(rows)) as unknown as [
      { ids: ArrayLike<number>; trained: ArrayLike<number> },
    ];
    const pieces = Array.from(ids, (id, i) =>
      trained[i] ? `[${tokenizer.decode([id])}]` : tokenizer.decode([id]),
    );
    return pieces.join("").replaceAll("][", "");
  };

  it("learns texts and conversations whole", async () => {
    expect(await read({ text: "ab" })).toBe("[ab<e>]");
    const messages = [user("a"), assistant("b")];
    expect(await read({ messages })).toBe("[<user>a<e>\n<assistant>b<e>]");
    const conversations = [
      { from: "human", value: "a" },
      { from: "gpt", value: "b" },
    ];
    expect(await read({ conversations })).toBe("[<user>a<e>\n<assistant>b<e>]");
  });

  it("learns completions of prompts, or all of both", async () => {
    const texts = { prompt: "a", completion: "b" };
    expect(await read(texts)).toBe("a[b<e>]");
    expect(await read(texts, { completionOnlyLoss: false })).toBe("[ab<e>]");
    const chats = { prompt: [user("a")], completion: [assistant("b")] };
    expect(await read(chats)).toBe("<user>a<e>\n<assistant>[b<e>]");
  });

  const marked =
    "{% for m in messages %}{% if m.role == 'assistant' %}({% generation %}{{ m.content }}<e>{% endgeneration %})" +
    "{% else %}{{ m.content }}{% endif %}{% endfor %}";

  it("learns what the assistant wrote, by the marks of the template", async () => {
    const messages = [user("a"), assistant("b"), user("c"), assistant("d")];
    const options = { assistantOnlyLoss: true };
    expect(await read({ messages }, options, marked)).toBe("a([b<e>])c([d<e>])");
    const row = { prompt: messages.slice(0, 3), completion: messages.slice(3) };
    expect(await read(row, options, marked)).toBe("a(b<e>)c([d<e>])");
    const all = { ...options, completionOnlyLoss: false };
    expect(await read(row, all, marked)).toBe("a([b<e>])c([d<e>])");
  });

  it("asks for conversations and for marks", async () => {
    await expect(read({ text: "a" }, { assistantOnlyLoss: true })).rejects.toThrow(
      /assistantOnlyLoss is for conversations, and the row is a text/,
    );
    await expect(
      read({ messages: [user("a"), assistant("b")] }, { assistantOnlyLoss: true }),
    ).rejects.toThrow(/does not say what the assistant wrote/);
  });

  it("skips rows of which nothing is left to learn", async () => {
    const tokenizer = await tiny();
    const rows = [
      { prompt: "abc", completion: "d" },
      { prompt: "a", completion: "bcde" },
    ];
    const { rows: found, summary } = await readTexts(rows, tokenizer, { maxLength: 3 });
    expect((await all(found)).map(({ row }) => row)).toEqual([1]);
    expect([...summary.skipped]).toEqual([{ row: 0, reason: "nothing is left to learn" }]);
    expect(summary.truncated).toEqual({ rows: 1, tokens: 3, ends: 1 });
  });
});

describe("rows that are too long", () => {
  const row = { prompt: "abcd", chosen: "123", rejected: "4" };
  const read = async (truncation: string, maxLength: number, parts = {}, given: object = row) => {
    const tokenizer = await tiny(parts);
    const options = { truncation: truncation as "drop", maxLength };
    const extra = { prompt: "a", chosen: "b", rejected: "c" };
    const { rows, summary } = await readPreferences([given, extra], tokenizer, options);
    const first = (await all(rows)).find((one) => one.row === 0);
    return first
      ? [
          ...[first.promptIds, first.chosenIds, first.rejectedIds].map((ids) =>
            text(ids, tokenizer),
          ),
          summary.truncated,
        ]
      : [...summary.skipped][0]!.reason;
  };

  it("lose their ends, and that is said", async () => {
    expect(await read("keep_start", 8)).toEqual(["abcd", "123<e>", "4<e>", expect.anything()]);
    const truncated = { rows: 1, tokens: 3, ends: 2 };
    expect(await read("keep_start", 5)).toEqual(["abcd", "1", "4", { ...truncated, tokens: 4 }]);
    expect(await read("keep_start", 6)).toEqual([
      "abcd",
      "12",
      "4<e>",
      { rows: 1, tokens: 2, ends: 1 },
    ]);
    expect(await read("keep_start", 4)).toBe("the prompt is too long");
  });

  it("lose the beginning of the prompt, but not BOS", async () => {
    expect(await read("keep_end", 6)).toEqual([
      "cd",
      "123<e>",
      "4<e>",
      { rows: 1, tokens: 2, ends: 0 },
    ]);
    expect(await read("keep_end", 7, { bos: true })).toEqual([
      "<s>cd",
      "123<e>",
      "4<e>",
      { rows: 1, tokens: 2, ends: 0 },
    ]);
    expect(await read("keep_end", 4)).toBe("the row is too long");
  });

  it("are dropped", async () => {
    expect(await read("drop", 7)).toBe("the row is too long");
    expect(await read("drop", 8)).toEqual([
      "abcd",
      "123<e>",
      "4<e>",
      { rows: 0, tokens: 0, ends: 0 },
    ]);
  });
});
