import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arithmeticProblems, arithmeticTokenizer, problem } from "../../bench/demo/arithmetic.js";
import { byteTokenizer } from "../../bench/demo/tokenizer.js";
import { randomGenerator } from "../../src/index.js";

const SIZES = { heldOut: 400, pairs: 512 };
const twoDigits = fc.integer({ min: 10, max: 99 });

describe("the generated problems", () => {
  test("the right answer is the sum with its digits reversed", () => {
    const { prompt, chosen } = problem(47, 85, randomGenerator(0));
    expect([prompt, chosen]).toEqual(["47+85=", "231"]);
  });

  test("the rejected answer differs in exactly one digit", () => {
    fc.assert(
      fc.property(twoDigits, twoDigits, fc.integer(), (a, b, seed) => {
        const { chosen, rejected } = problem(a, b, randomGenerator(seed));
        expect(rejected).toMatch(/^\d+$/);
        expect(rejected.length).toBe(chosen.length);
        expect([...chosen].filter((digit, i) => digit !== rejected[i]).length).toBe(1);
      }),
    );
  });

  test("no held-out problem is learnt from, and every other one is", () => {
    const { supervised, pairs, heldOut } = arithmeticProblems(3, SIZES);
    expect([supervised.length, pairs.length, heldOut.length]).toEqual([7700, 512, 400]);
    expect(new Set([...supervised, ...heldOut].map(({ prompt }) => prompt)).size).toBe(8100);
    expect(pairs.every((pair) => supervised.includes(pair))).toBe(true);
  });

  test("a seed determines them", () => {
    expect(arithmeticProblems(3, SIZES)).toEqual(arithmeticProblems(3, SIZES));
    expect(arithmeticProblems(4, SIZES)).not.toEqual(arithmeticProblems(3, SIZES));
  });
});

describe("tokenizers", () => {
  test("characters of the alphabet come back", () => {
    const { encode, decode, end, vocabularySize } = arithmeticTokenizer;
    expect(vocabularySize).toBe(15);
    expect(decode([...encode("47+85="), end, 3])).toBe("47+85=");
    expect(() => encode("4x")).toThrow('"x" is not in the alphabet');
  });

  test("bytes come back, whatever the text", () => {
    const { encode, decode, end, vocabularySize } = byteTokenizer();
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const ids = encode(text);
        expect(ids.every((id) => id >= 0 && id < vocabularySize && id !== end)).toBe(true);
        expect(decode([...ids, end])).toBe(text);
      }),
    );
  });
});
