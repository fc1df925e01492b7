/**
 * Text of tokens as they come: bytes that make characters, and strings that end it.
 */

import { describe, expect, it } from "vitest";
import { loadTokenizer } from "../../src/models/tokenizer.js";
import { WrittenText } from "../../src/models/writtenText.js";
import { byteFallback, tokenizerFiles } from "./tinyTokenizer.js";

/** Every id is a byte. */
const bytes = { decode: (ids: number[]) => new TextDecoder().decode(Uint8Array.from(ids)) };
const idsOf = (text: string) => [...new TextEncoder().encode(text)];

/** Every id is a word with a space before it, which the first one loses. */
const WORDS = ["the", "stop", "end", "ing"];
const words = { decode: (ids: number[]) => ids.map((id) => WORDS[id]).join(" ") };

function pieces(ids: number[], stopStrings: string[] = [], prompt: number[] = []) {
  const written = new WrittenText(bytes, prompt, stopStrings);
  return ids.map((id, i) => written.push(id, i === ids.length - 1));
}

describe("WrittenText", () => {
  it("gives a character with the token that completes it", () => {
    const text = "aé€🙂b";
    const found = pieces(idsOf(text)).map((piece) => piece.text);
    expect(found).toEqual(["a", "", "é", "", "", "€", "", "", "", "🙂", "b"]);
  });

  it("completes the prompt's last character, and gives at the end what is not complete", () => {
    const [first, ...rest] = idsOf("é");
    expect(pieces(rest, [], [97, first!]).map((piece) => piece.text)).toEqual(["é"]);
    expect(pieces([97, first!]).map((piece) => piece.text)).toEqual(["a", "\uFFFD"]);
  });

  it("keeps the space of a word after the prompt", () => {
    const written = new WrittenText(words, [0], []);
    expect([1, 2, 3, 0, 1, 2, 3].map((id) => written.push(id, false).text).join("")).toBe(
      " stop end ing the stop end ing",
    );
  });

  it.each([
    ["abcde", ["cd"], 3],
    ["abcde", ["x", "e", "de"], 4],
    ["aé€", ["é€"], 5],
    ["cdxcd", ["cd"], 1],
    ["aaab", ["aab"], 3],
    ["abc", ["d"], -1],
  ])("finds in %j which of %j is complete first", (text, stops, place) => {
    expect(pieces(idsOf(text), stops).findIndex((piece) => piece.stops)).toBe(place);
  });

  it("finds no stop string that begins in the prompt", () => {
    const found = pieces(idsOf("bc"), ["ab"], idsOf("a"));
    expect(found.some((piece) => piece.stops)).toBe(false);
  });
});

describe("WrittenText with bytes as fallback", async () => {
  const tokenizer = await loadTokenizer(
    tokenizerFiles(byteFallback({ added: [{ content: "<end>" }] })),
  );
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const END = encode("<end>")[0]!;

  function read(prompt: number[], ids: number[], stopStrings: string[] = [], skips = false) {
    const written = new WrittenText(tokenizer, prompt, stopStrings, skips);
    return ids.map((id, i) => written.push(id, i === ids.length - 1));
  }
  const textOf = (...given: Parameters<typeof read>) =>
    read(...given)
      .map(({ text }) => text)
      .join("");

  // Twenty characters of three bytes and twenty of four, none in the vocabulary.
  const characters = [
    ...Array.from({ length: 20 }, (_, i) => String.fromCodePoint(0x4e00 + 37 * i)),
    ...Array.from({ length: 20 }, (_, i) => String.fromCodePoint(0x1f600 + i)),
  ];

  it("gives every character with the last of its bytes", () => {
    const ids = encode(characters.join(""));
    const found = read([], ids).map(({ text }) => text);
    expect(found.filter((text) => text !== "")).toEqual(characters);
    expect(found.join("")).toBe(tokenizer.decode(ids));
  });

  it("gives after any part of a text the rest of it", () => {
    const text = `${characters.join("")} ab ${characters.slice(17, 23).join(" ")}`;
    const ids = encode(text);
    for (let cut = 0; cut <= text.length; cut++) {
      if (/[\uDC00-\uDFFF]/.test(text[cut] ?? "")) continue;
      const prompt = encode(text.slice(0, cut));
      expect(textOf(prompt, ids.slice(prompt.length))).toBe(text.slice(cut));
    }
  });

  it("completes the prompt's last character, and gives it alone", () => {
    const ids = encode("ab你好c");
    for (const missing of [1, 2, 3]) {
      const prompt = ids.slice(0, -1 - missing);
      expect(textOf(prompt, ids.slice(prompt.length))).toBe("好c");
    }
  });

  it("finds a stop string at the last of its bytes", () => {
    const ids = encode("你好世界 ab");
    const found = read([], ids, ["世界"]).findIndex(({ stops }) => stops);
    expect(tokenizer.decode(ids.slice(0, found + 1))).toBe("你好世界");
    const all = encode(characters.join(""));
    for (const stop of [characters[1]!, characters[20]!, characters[38]! + characters[39]!]) {
      const place = read(encode("你"), all, [stop]).findIndex(({ stops }) => stops);
      expect(tokenizer.decode(all.slice(0, place + 1)).endsWith(stop)).toBe(true);
    }
  });

  it("gives bytes that make no character once, and all characters around them", () => {
    const [broken] = encode("é").slice(-1);
    const ids = [...encode("你好"), broken!, ...encode("ab")];
    expect(textOf([], ids)).toBe("你好\uFFFD ab");
    expect(textOf(encode("你"), [broken!])).toBe("\uFFFD");
  });

  it("leaves special tokens out where they are to be skipped, and keeps the space after them", () => {
    const ids = [...encode("ab"), END, END, ...encode("cd"), END];
    expect(textOf([], ids)).toBe("ab<end><end> cd<end>");
    expect(textOf([], ids, [], true)).toBe("ab cd");
    expect(textOf(encode("e"), ids, [], true)).toBe(" ab cd");
  });
});
