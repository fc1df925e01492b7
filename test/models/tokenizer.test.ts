/**
 * Tokenizers: ids and text are those of transformers. The trained tokenizers of
 * `../shared/golden/models` are read where they are there.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadTokenizer, type Tokenizer } from "../../src/index.js";
import {
  BYTE_CHARACTERS,
  BYTES,
  byteFallback,
  byteLevel,
  split,
  steps,
  tokenizerFiles,
  WORDS,
} from "./tinyTokenizer.js";
import { PIPELINES } from "./tokenizerCases.js";

const GOLDEN = new URL("../../../shared/golden/models/", import.meta.url).pathname;
const there = existsSync(GOLDEN);

const load = (json: object, config?: object): Promise<Tokenizer> =>
  loadTokenizer(tokenizerFiles(json, config));

/** Splits a text at the places of its tokens. */
const pieces = (tokenizer: Tokenizer, text: string): string[] =>
  tokenizer.offsets(text).map(([from, to]) => text.slice(from, to));

describe.skipIf(!there)(
  "trained tokenizers, against transformers (skipped without the files)",
  () => {
    const folders = there
      ? readdirSync(join(GOLDEN, "tokenizers")).map((name) => [`tokenizers/${name}`, "golden.json"])
      : [];

    it.each([...folders, ["gsm-llama", "tokenizer.golden.json"]])("%s", async (folder, file) => {
      const tokenizer = await loadTokenizer(join(GOLDEN, folder!));
      const golden = JSON.parse(readFileSync(join(GOLDEN, folder!, file!), "utf8"));
      expect(tokenizer.vocabularySize).toBe(golden.vocab_size);
      const { bosTokenId: bos, eosTokenId: eos, padTokenId: pad, unkTokenId: unk } = tokenizer;
      expect({ bos, eos, pad, unk }).toEqual(golden.special);
      expect(golden.strings.length).toBeGreaterThan(300);
      for (const { text, ids, decoded, ...other } of golden.strings) {
        expect([text, tokenizer.encode(text, { addSpecialTokens: false })]).toEqual([text, ids]);
        const whole = tokenizer.encode(text);
        expect([text, whole]).toEqual([text, other.ids_with_special ?? ids]);
        expect(tokenizer.decode(ids)).toBe(decoded);
        expect(tokenizer.decode(whole)).toBe(other.decoded_with_special ?? decoded);
        expect(tokenizer.decode(whole, { skipSpecialTokens: true })).toBe(
          other.decoded_skip_special ?? decoded,
        );
        if (text.normalize() !== text) continue;
        const places = tokenizer.offsets(text);
        expect(places.length).toBe(ids.length);
        expect(Math.max(0, ...places.map(([, to]) => to))).toBe(text.length);
      }
      for (const { ids, decoded, decoded_skip_special } of golden.decode_only) {
        expect(tokenizer.decode(ids)).toBe(decoded);
        expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(
          decoded_skip_special ?? decoded,
        );
      }
    });
  },
);

describe("encode", () => {
  it.each(PIPELINES)("%s", async (_, json, text, tokens) => {
    const tokenizer = await load(json);
    const { added_tokens, model } = json as ReturnType<typeof byteLevel>;
    const named = new Map(Object.entries(model.vocab).map(([token, id]) => [id, token]));
    for (const { id, content } of added_tokens) named.set(id, content);
    expect(
      tokenizer
        .encode(text)
        .map((id) => named.get(id))
        .join(" "),
    ).toBe(tokens);
  });

  it("adds what the tokenizer adds, unless told not to", async () => {
    const single = [
      { SpecialToken: { id: "<s>", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
    ];
    const postProcessor = { type: "TemplateProcessing", single, pair: single, special_tokens: {} };
    const tokenizer = await load(byteLevel({ added: [{ content: "<s>" }], postProcessor }));
    expect(tokenizer.encode("a")).toEqual([256, 0x61]);
    expect(tokenizer.encode("a", { addSpecialTokens: false })).toEqual([0x61]);
    expect(tokenizer.encode("")).toEqual([256]);
  });

  it("finds added tokens, those that only the configuration names too", async () => {
    // transformers 5 adds the named ones in this order, and takes ids of the vocabulary where it has them.
    const tokenizer = await load(byteLevel({ merges: ["a b"] }), {
      pad_token: { content: "[PAD]", __type: "AddedToken" },
      bos_token: "<s>",
      eos_token: "ab",
      extra_special_tokens: ["[X]"],
    });
    expect(tokenizer.encode("ab[X]<s>[PAD]")).toEqual([256, 259, 257, 258]);
    expect([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.padTokenId]).toEqual([
      257, 256, 258,
    ]);
    expect([tokenizer.unkToken, tokenizer.unkTokenId]).toEqual([null, null]);
    expect(tokenizer.decode([256, 0x61, 259], { skipSpecialTokens: true })).toBe("a");
    expect(tokenizer.vocabularySize).toBe(260);
  });

  it("reads special_tokens_map.json where the configuration declares no tokens", async () => {
    const map = new TextEncoder().encode(JSON.stringify({ eos_token: { content: "<e>" } }));
    const files = tokenizerFiles(byteLevel({ added: [{ content: "<e>" }] }), {});
    const tokenizer = await loadTokenizer({ ...files, "special_tokens_map.json": map });
    expect([tokenizer.eosToken, tokenizer.eosTokenId]).toEqual(["<e>", 256]);
  });

  it("reads files of the first years: merges as text, a model without a type", async () => {
    const json = byteLevel({ merges: ["a b"] });
    const { type: _, ...model } = json.model;
    const old = { ...json, model: { ...model, merges: ["a b"], end_of_word_suffix: "" } };
    expect((await load(old)).encode("ab")).toEqual([256]);
  });

  it("refuses half a surrogate pair and says where, and what is no text", async () => {
    const tokenizer = await load(byteLevel());
    expect(() => tokenizer.encode("👍 \ud83d!")).toThrow(/position 3, U\+D83D.*toWellFormed/);
    expect(() => tokenizer.encode("\ude00")).toThrow(/position 0/);
    expect(() => tokenizer.encode(3 as never)).toThrow("encode: text must be a string, got 3");
    expect(() => tokenizer.encode("a", { add_special_tokens: false } as never)).toThrow(
      /did you mean `addSpecialTokens`/,
    );
    expect(() => tokenizer.encode("a", { addSpecialTokens: 1 as never })).toThrow(/true or false/);
  });
});

describe("decode", () => {
  it("leaves spaces as they are", async () => {
    const text = "Hello , world . It 's n't";
    const tokenizer = await load(byteLevel(), { clean_up_tokenization_spaces: true });
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it("gives nothing for no ids, and for ids without a token", async () => {
    const tokenizer = await load(byteFallback());
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.decode([5000])).toBe("");
    expect(tokenizer.decode([5000, 258, 259, 9999])).toBe("ab");
  });

  it("keeps the byte order mark", async () => {
    for (const json of [byteLevel(), byteFallback()]) {
      const tokenizer = await load(json);
      expect(tokenizer.decode(tokenizer.encode("\ufeffa\ufeff"))).toBe("\ufeffa\ufeff");
    }
  });

  it("gives one U+FFFD for a broken part, and one a byte where bytes fill up a vocabulary", async () => {
    expect((await load(byteLevel())).decode([0xe2, 0x82, 0x61])).toBe("\ufffda");
    expect((await load(byteFallback())).decode([1 + 0xe2, 1 + 0x82, 258])).toBe("\ufffd\ufffda");
  });

  it("takes added tokens for text where they cannot be bytes, as Python does", async () => {
    const added = ["日本", "né", "<｜x｜>"].map((content) => ({ content }));
    for (const decoder of [WORDS, { type: "Sequence", decoders: [WORDS] }]) {
      const tokenizer = await load(byteLevel({ added, decoder }));
      expect(tokenizer.decode([256, 0x21, 258])).toBe("日本!<｜x｜>");
      expect(tokenizer.decode([257])).toBe("n\ufffd");
    }
  });

  it("leaves special tokens out on request, and no others", async () => {
    const added = [{ content: "<a>" }, { content: "<b>", special: false }];
    const tokenizer = await load(byteLevel({ added }));
    expect(tokenizer.decode([256, 0x21, 257], { skipSpecialTokens: true })).toBe("!<b>");
    expect(tokenizer.decode([256, 0x21, 257])).toBe("<a>!<b>");
    expect(tokenizer.decode([256], { skipSpecialTokens: true })).toBe("");
  });

  it("refuses what is no id", async () => {
    const tokenizer = await load(byteLevel());
    expect(() => tokenizer.decode([1.5])).toThrow("decode: ids must be integers ≥ 0, got 1.5");
    expect(() => tokenizer.decode([-1])).toThrow(/integers ≥ 0/);
    expect(() => tokenizer.decode([1], { skip: true } as never)).toThrow(/skipSpecialTokens/);
  });
});

describe("offsets", () => {
  it("give a token's characters; parts of a character have all of it", async () => {
    const tokenizer = await load(
      byteLevel({ merges: ["h i", "Ġ hi"], added: [{ content: "<e>" }] }),
    );
    expect(pieces(tokenizer, "hi hi<e>é")).toEqual(["hi", " hi", "<e>", "é", "é"]);
    expect(tokenizer.offsets("👍a")).toEqual([
      [0, 2],
      [0, 2],
      [0, 2],
      [0, 2],
      [2, 3],
    ]);
    expect(tokenizer.offsets("")).toEqual([]);
  });

  it("leave out a space that the tokenizer added", async () => {
    const preTokenizer = { ...WORDS, add_prefix_space: true };
    expect(pieces(await load(byteLevel({ merges: ["Ġ a"], preTokenizer })), "a a")).toEqual([
      "a",
      " a",
    ]);
    const legacy = {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    };
    const parts = { merges: ["▁ a"], normalizer: legacy, added: [{ content: "<e>" }] };
    const tokenizer = await load(byteFallback(parts));
    expect(pieces(tokenizer, "a a<e>a")).toEqual(["a", " a", "<e>", "a"]);
    // Two tokens, the first of which is the added space.
    expect(pieces(tokenizer, " a")).toEqual(["", " a"]);
    expect(pieces(tokenizer, "▁b▁a")).toEqual(["", "▁", "b", "▁a"]);
  });

  it("count the white space that an added token swallows to it", async () => {
    const added = [{ content: "<e>", rstrip: true, lstrip: true }];
    expect(pieces(await load(byteLevel({ added })), "a \n<e>\n b")).toEqual([
      "a",
      " \n<e>\n ",
      "b",
    ]);
  });

  it("refuse a text that the tokenizer changes", async () => {
    const composed = await load(byteLevel({ normalizer: { type: "NFC" } }));
    expect(() => composed.offsets("ok e\u0301")).toThrow(/position 3.*normalize\(\)/);
    expect(pieces(composed, "é")).toEqual(["é", "é"]);
    const removed = await load(byteLevel({ preTokenizer: steps(split("-", "Removed"), BYTES) }));
    expect(() => removed.offsets("a-")).toThrow(/position 1/);
  });
});

describe("loadTokenizer", () => {
  const refused: readonly (readonly [string, object, RegExp])[] = [
    ["WordPiece", byteLevel({ model: { type: "WordPiece" } }), /"WordPiece".*byte-pair/],
    ["Unigram", { ...byteLevel(), model: { type: "Unigram", vocab: [["a", -1]] } }, /"Unigram"/],
    ["no vocabulary", { ...byteLevel(), model: {} }, /no vocabulary/],
    ["dropout", byteLevel({ model: { dropout: 0.1 } }), /dropout/],
    ["suffixes", byteLevel({ model: { end_of_word_suffix: "</w>" } }), /end_of_word_suffix/],
    ["Lowercase", byteLevel({ normalizer: { type: "Lowercase" } }), /normalizer "Lowercase"/],
    ["Bert", byteLevel({ preTokenizer: { type: "BertPreTokenizer" } }), /"BertPreTokenizer"/],
    ["an unknown Split", byteLevel({ preTokenizer: split("-", "Other") }), /Split of Other/],
    [
      "an inverted merge",
      byteLevel({ preTokenizer: split("-", "MergedWithNext", { invert: true }) }),
      /inverted Split of MergedWithNext/,
    ],
    ["WordPiece's decoder", byteLevel({ decoder: { type: "WordPiece" } }), /decoder "WordPiece"/],
    [
      "BERT's post-processor",
      byteLevel({ postProcessor: { type: "BertProcessing" } }),
      /post-processor "BertProcessing"/,
    ],
    ["single words", byteLevel({ added: [{ content: "x", single_word: true }] }), /single_word/],
  ];
  it.each(refused)(
    "refuses what the library would do differently: %s",
    async (_, json, message) => {
      await expect(load(json)).rejects.toThrow(message);
    },
  );

  it.each<[string, object, RegExp]>([
    ["tokens in a text", { added_tokens: "x" }, /malformed: added_tokens is no list/],
    ["a token that is null", { added_tokens: [null] }, /malformed: added_tokens is no list/],
    ["no normalizers", { normalizer: { type: "Sequence" } }, /Sequence has no list of normalizers/],
    [
      "words that are null",
      { pre_tokenizer: { type: "Sequence", pretokenizers: [null] } },
      /Sequence has no list of pretokenizers/,
    ],
    ["a step that is text", { decoder: "x" }, /a step among its decoders has no type/],
    ["a Split of nothing", { pre_tokenizer: { type: "Split" } }, /a Split has no pattern/],
  ])("says what is malformed: %s", async (_, change, message) => {
    await expect(load({ ...byteLevel(), ...change })).rejects.toThrow(message);
  });

  it("says what is missing, and what is there instead", async () => {
    await expect(loadTokenizer({})).rejects.toThrow(
      "there is no tokenizer.json in the given files",
    );
    await expect(loadTokenizer({ "tokenizer.model": new Uint8Array(1) })).rejects.toThrow(
      /tokenizer\.model and no tokenizer\.json.*save_pretrained/,
    );
    await expect(loadTokenizer({ "tokenizer.json": new Uint8Array(1) })).rejects.toThrow(/JSON/);
    await expect(load(byteLevel(), { split_special_tokens: true })).rejects.toThrow(
      /split_special_tokens/,
    );
    await expect(load(byteLevel(), { chat_template: 3 })).rejects.toThrow(/\{ name, template \}/);
  });

  it("reads characters of bytes as the format has them", async () => {
    const tokenizer = await load(byteLevel());
    expect(BYTE_CHARACTERS.length).toBe(256);
    const every = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)).join("");
    expect(tokenizer.encode(every)).toEqual(Array.from({ length: 128 }, (_, code) => code));
    expect(tokenizer.decode(tokenizer.encode(every))).toBe(every);
  });
});
