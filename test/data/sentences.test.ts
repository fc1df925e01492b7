/**
 * Sentences of tokenised completions: which one each token is in, for tokens that divide characters and carry spaces.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { loadTokenizer, rowsOf, type Tokenizer, withSentences } from "../../src/index.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";

let tokenizer: Tokenizer;
beforeAll(async () => {
  // " N" is a token of its own, as common beginnings of words are.
  const own = byteLevel({ merges: ["Ġ N", "Ċ Ċ"], added: [{ content: "<end>" }] });
  tokenizer = await loadTokenizer(tokenizerFiles(own));
});

const plain = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
const divided = async (chosen: string, options = {}, prompt = "Q: ") => {
  const row = { row: 7, promptIds: plain(prompt), chosenIds: plain(chosen), rejectedIds: [1] };
  const [found] = await withSentences(rowsOf([row]), tokenizer, options).read([0]);
  return found!;
};

describe("a token belongs to the sentence", () => {
  it.each([
    // Bytes, each a token; " N" is one, and begins the second sentence.
    ["Yes. No.", [0, 0, 0, 0, 1, 1, 1]],
    // A space by itself is of the sentence before it.
    ["Yes. Ok.", [0, 0, 0, 0, 0, 1, 1, 1]],
    ["A!\n\nB?", [0, 0, 0, 0, 1, 1]],
    // Both bytes of É are of the sentence that it begins.
    ["Hi. Éa.", [0, 0, 0, 0, 1, 1, 1, 1]],
    ["🙂. No.", [0, 0, 0, 0, 0, 1, 1, 1]],
    ["Yes.<end>", [0, 0, 0, 0, 0]],
    ["<end>", [0]],
    ["one", [0, 0, 0]],
  ])("%j", async (text, expected) => {
    expect((await divided(text)).chosenSentences).toEqual(expected);
  });
});

describe("similarities", () => {
  it("are asked of each sentence, with the image of the row", async () => {
    const asked: unknown[] = [];
    const similarity = async (sentence: string, image: unknown) => {
      asked.push([sentence, image]);
      return sentence.length;
    };
    const images = Array.from({ length: 8 }, (_, i) => `image ${i}`);
    const { similarities } = await divided("Yes. Not so.", { similarity, images });
    expect(asked).toEqual([
      ["Yes.", "image 7"],
      ["Not so.", "image 7"],
    ]);
    expect(similarities).toEqual([4, 7]);
    expect(await divided("Yes.")).not.toHaveProperty("similarities");
  });

  it("are asked for once, however often rows are read, and again where that failed", async () => {
    const asked: string[] = [];
    const similarity = async (sentence: string) => {
      asked.push(sentence);
      if (asked.length === 2) throw new Error("busy");
      return sentence.length;
    };
    const chosenIds = plain("Yes. No.");
    const rows = [0, 1].map((row) => ({ row, promptIds: [1], chosenIds, rejectedIds: [2] }));
    const images = ["same", "same"];
    const found = withSentences(rowsOf(rows), tokenizer, { similarity, images });
    await expect(found.read([0])).rejects.toThrow("busy");
    for (const indices of [[0, 1], [1], [0]]) {
      for (const row of await found.read(indices)) expect(row.similarities).toEqual([4, 3]);
    }
    expect(asked).toEqual(["Yes.", "No.", "No."]);
  });

  it("are refused where they are no numbers, and images that nobody looks at", async () => {
    const similarity = () => Number.NaN;
    await expect(divided("Yes.", { similarity })).rejects.toThrow(
      'similarity must give a finite number, got NaN for row 7, "Yes."',
    );
    await expect(divided("Yes.", { images: [] })).rejects.toThrow("images are for similarity");
    await expect(divided("Yes.", { similarity: 3 })).rejects.toThrow("expected a function, got 3");
    await expect(divided("Yes.", { lang: "de" })).rejects.toThrow("lang");
  });
});
