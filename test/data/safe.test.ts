/**
 * What TRL's tokens of a row lose, and that the safe ones do not lose it.
 */

import { describe, expect, it } from "vitest";
import {
  type PreferenceRow,
  readPreferences,
  readTexts,
  type Tokenization,
} from "../../src/data/index.js";
import { loadTokenizer } from "../../src/models/index.js";
import { byteFallback, tokenizerFiles } from "../models/tinyTokenizer.js";
import { all, assistant, CHAT, shown, type TinyParts, tiny, user } from "./tiny.js";

/** Prompt, chosen and rejected of a row, as text with bars between tokens. */
async function pair(
  row: object,
  tokenization: Tokenization,
  { parts = {}, ...options }: { parts?: TinyParts } & Record<string, unknown> = {},
) {
  const tokenizer = await tiny(parts);
  const { rows, summary } = await readPreferences([row], tokenizer, { tokenization, ...options });
  const [first] = await all(rows);
  const { promptIds = [], chosenIds = [], rejectedIds = [] } = first ?? {};
  return {
    texts: [promptIds, chosenIds, rejectedIds].map((ids) => shown(tokenizer, ids)),
    summary,
  };
}

describe("a completion that merges with its prompt", () => {
  const merges = ["t h", "th e", "r e", "the re"];

  it("keeps its first token", async () => {
    const row = { prompt: "the", chosen: "re", rejected: " x" };
    const trl = await pair(row, "trl", { parts: { merges } });
    expect(trl.texts).toEqual(["the", "<e>", " |x|<e>"]);
    const safe = await pair(row, "safe", { parts: { merges } });
    expect(safe.texts).toEqual(["the", "re|<e>", " |x|<e>"]);
    expect([trl.summary.merged, safe.summary.merged]).toEqual([1, 1]);
  });

  it("is not empty", async () => {
    const row = { prompt: "xy", chosen: "z", rejected: "w" };
    const parts = { merges: ["y z", "x yz"] };
    const trl = await pair(row, "trl", { parts });
    expect(trl.texts).toEqual(["x|y", "", "w|<e>"]);
    expect(trl.summary.empty).toBe(1);
    const safe = await pair(row, "safe", { parts });
    expect(safe.texts).toEqual(["x|y", "z|<e>", "w|<e>"]);
    expect(safe.summary.empty).toBe(0);
  });

  it("has TRL's tokens where nothing merges", async () => {
    const row = { prompt: "the", chosen: " the", rejected: "\nre" };
    const [trl, safe] = [
      await pair(row, "trl", { parts: { merges } }),
      await pair(row, "safe", { parts: { merges } }),
    ];
    expect(safe).toEqual(trl);
    expect(safe.summary.merged).toBe(0);
  });
});

describe("a prompt that begins with BOS", () => {
  it("has one", async () => {
    const row = { prompt: "<s>a", chosen: "b", rejected: "c" };
    const trl = await pair(row, "trl", { parts: { bos: true } });
    expect(trl.texts).toEqual(["<s>|<s>|a", "b|<e>", "c|<e>"]);
    const safe = await pair(row, "safe", { parts: { bos: true } });
    expect(safe.texts).toEqual(["<s>|a", "b|<e>", "c|<e>"]);
    expect([trl.summary.doubleBos, safe.summary.doubleBos]).toEqual([1, 1]);
  });

  it("has one where the template writes it twice, and so has a text", async () => {
    const parts = { bos: true, template: `{{ bos_token }}{{ bos_token }}${CHAT}` };
    const row = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] };
    expect((await pair(row, "trl", { parts })).texts[0]).toMatch(/^<s>\|<s>\|/);
    expect((await pair(row, "safe", { parts })).texts).toEqual([
      "<s>|<|u|s|e|r|>|a|<e>|\n|<|a|s|s|i|s|t|a|n|t|>",
      "b|<e>",
      "c|<e>",
    ]);
    const tokenizer = await tiny({ bos: true });
    for (const [tokenization, text] of [
      ["trl", "<s>|<s>|a|<e>"],
      ["safe", "<s>|a|<e>"],
    ] as const) {
      const { rows } = await readTexts([{ text: "<s>a" }], tokenizer, { tokenization });
      expect(shown(tokenizer, (await all(rows))[0]!.ids)).toBe(text);
    }
  });
});

describe("a prompt that is what both texts begin with", () => {
  const prompts = async (chosen: string, rejected: string, merges: readonly string[] = []) => {
    const row = { chosen, rejected };
    const parts = { merges };
    const [trl, safe] = [await pair(row, "trl", { parts }), await pair(row, "safe", { parts })];
    return [trl.texts[0]!.replaceAll("|", ""), safe.texts[0]!.replaceAll("|", "")];
  };

  it("does not end within a word", async () => {
    expect(await prompts("It is 12", "It is 13")).toEqual(["It is 1", "It is"]);
    expect(await prompts("Say cat", "Say car")).toEqual(["Say ca", "Say"]);
    expect(await prompts("A:\nyes", "A:\nyear")).toEqual(["A:\nye", "A:\n"]);
  });

  it("leaves the space to the completions, as TRL does", async () => {
    expect(await prompts("Is it? Yes", "Is it? No")).toEqual(["Is it?", "Is it?"]);
  });

  it("does not end within a token", async () => {
    // "!!" is one token, of which the texts share a half.
    const parts = { merges: ["! !"] };
    const row = { chosen: "Hi!! x", rejected: "Hi! x" };
    expect((await pair(row, "trl", { parts })).texts).toEqual(["H|i|!", " |x|<e>", " |x|<e>"]);
    expect((await pair(row, "safe", { parts })).texts).toEqual(["H|i", "!!| |x|<e>", "!| |x|<e>"]);
  });

  it("does not end within a character", async () => {
    const row = { chosen: "a 👩‍🚀", rejected: "a 👩‍🎨" };
    const { texts } = await pair(row, "safe");
    expect(texts[0]).toBe("a");
  });

  it("is asked for where nothing is shared", async () => {
    await expect(pair({ chosen: "yes", rejected: "no" }, "safe")).rejects.toThrow(
      "row 0: chosen and rejected share no first word, so the row has no prompt; give the column prompt",
    );
  });
});

describe("what follows the last EOS of a conversation", () => {
  const row = {
    prompt: [user("a")],
    chosen: [assistant("b")],
    rejected: [assistant("c"), user("d"), assistant("e")],
  };

  it("does not count", async () => {
    expect((await pair(row, "trl")).texts.slice(1)).toEqual([
      "b|<e>|\n",
      "c|<e>|\n|<|u|s|e|r|>|d|<e>|\n|<|a|s|s|i|s|t|a|n|t|>|e|<e>|\n",
    ]);
    expect((await pair(row, "safe")).texts.slice(1)).toEqual([
      "b|<e>",
      "c|<e>|\n|<|u|s|e|r|>|d|<e>|\n|<|a|s|s|i|s|t|a|n|t|>|e|<e>",
    ]);
    const tokenizer = await tiny();
    const { rows } = await readTexts([{ messages: [user("a"), assistant("b")] }], tokenizer);
    const [text] = await all(rows);
    expect(shown(tokenizer, text!.ids)).toBe("<|u|s|e|r|>|a|<e>|\n|<|a|s|s|i|s|t|a|n|t|>|b|<e>");
  });

  it("stays where it is text", async () => {
    const template =
      "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}{{ eos_token }}{% endif %}{% endfor %}";
    expect((await pair(row, "safe", { parts: { template } })).texts[2]).toBe("c|d|<e>|e");
  });
});

describe("a template that begins the answer in another way than it goes on", () => {
  const template = CHAT.replace("%}<assistant>{%", "%}<assistant><think>{%");

  it("keeps the whole answer", async () => {
    const row = {
      prompt: [user("a")],
      chosen: [assistant("Yes, yes")],
      rejected: [assistant("No")],
    };
    const trl = await pair(row, "trl", { parts: { template } });
    expect(trl.texts.slice(1)).toEqual(["s|<e>|\n", ""]);
    const safe = await pair(row, "safe", { parts: { template } });
    expect(safe.texts.slice(1)).toEqual(["Y|e|s|,| |y|e|s|<e>", "N|o|<e>"]);
    expect(safe.texts[0]).toMatch(/\|t\|>$/);
  });

  it("is refused where prompt and answer begin apart", async () => {
    const row = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] };
    const parts = { template: `{{ messages | length }}${CHAT}` };
    await expect(pair(row, "safe", { parts })).rejects.toThrow(
      /the chat template does not begin prompt and completion as it begins the prompt alone/,
    );
  });
});

describe("a pair that says nothing", () => {
  it("is skipped where its completions are the same, and kept as TRL keeps it", async () => {
    const row = { prompt: "a", chosen: "b", rejected: "b" };
    const { summary } = await pair(row, "trl");
    expect([summary.kept, summary.identical]).toEqual([1, 1]);
    await expect(pair(row, "safe")).rejects.toThrow("chosen and rejected are identical (1)");
  });

  it("is skipped where they are the same as far as maxLength reaches", async () => {
    const tokenizer = await tiny();
    const rows = [
      { prompt: "a", chosen: "bcd", rejected: "bce" },
      { prompt: "a", chosen: "x", rejected: "y" },
    ];
    for (const [tokenization, kept] of [
      ["trl", 2],
      ["safe", 1],
    ] as const) {
      const { summary } = await readPreferences(rows, tokenizer, { maxLength: 3, tokenization });
      expect([summary.kept, summary.identical]).toEqual([kept, 0]);
      expect([...summary.skipped]).toEqual(
        tokenization === "safe"
          ? [{ row: 0, reason: "chosen and rejected are identical up to maxLength" }]
          : [],
      );
    }
  });
});

describe("roles of ShareGPT", () => {
  it("are those of the template", async () => {
    const tokenizer = await tiny();
    const conversations = [
      { from: "human", value: "a" },
      { from: "gpt", value: "b" },
    ];
    const texts = async (tokenization: Tokenization) => {
      const { rows } = await readTexts([{ conversations }], tokenizer, { tokenization });
      return tokenizer.decode(Array.from((await all(rows))[0]!.ids));
    };
    expect(await texts("trl")).toBe("<human>a<e>\n<gpt>b<e>\n");
    expect(await texts("safe")).toBe("<user>a<e>\n<assistant>b<e>");
  });
});

describe("rows of several formats", () => {
  it("are each read as what they are", async () => {
    const tokenizer = await tiny();
    const given = [
      { prompt: "a", chosen: "b", rejected: "c" },
      { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] },
      { chosen: [user("a"), assistant("b")], rejected: [user("a"), assistant("c")] },
      { chosen: "a b", rejected: "a c" },
    ];
    const { rows, summary } = await readPreferences(given, tokenizer);
    expect((await all(rows)).map(({ chosenIds }) => shown(tokenizer, chosenIds))).toEqual([
      "b|<e>",
      "b|<e>",
      "b|<e>",
      " |b|<e>",
    ]);
    expect([summary.kept, summary.conversations]).toEqual([4, 2]);
  });
});

describe("a tokenizer that puts a space before every text", () => {
  it("puts none before a completion that merges with its prompt", async () => {
    const json = byteFallback({ merges: ["a b", "▁ x"], added: [{ content: "<e>" }] });
    const tokenizer = await loadTokenizer(tokenizerFiles(json, { eos_token: "<e>" }));
    const given = [{ prompt: "xa", chosen: "b", rejected: "c" }];
    const { rows } = await readPreferences(given, tokenizer);
    const [{ promptIds, chosenIds, rejectedIds }] = (await all(rows)) as [PreferenceRow];
    const ids = (text: string) => tokenizer.encode(text);
    expect(Array.from(promptIds)).toEqual(ids("xa"));
    // As in "xb", behind the token of "▁x".
    expect(Array.from(chosenIds)).toEqual(ids("xb<e>").slice(1));
    expect(Array.from(rejectedIds)).toEqual(ids("xc<e>").slice(1));
  });
});
