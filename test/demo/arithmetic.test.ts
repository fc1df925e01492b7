import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  arithmeticTokenizer,
  cleanPair,
  cleanProblems,
  sumOf,
} from "../../bench/demo/arithmetic.js";
import { byteTokenizer } from "../../bench/demo/tokenizer.js";
import { ERROR_RATE, written, writtenPair, writtenProblems } from "../../bench/demo/writers.js";
import { randomGenerator } from "../../src/index.js";

const SIZES = { heldOut: 400, pairs: 512 };
const twoDigits = fc.integer({ min: 10, max: 99 });

/** Places at which two texts of equal length differ. */
function differences(one: string, other: string): number {
  expect(one.length).toBe(other.length);
  return [...one].filter((digit, i) => digit !== other[i]).length;
}

test("the right answer is the sum with its digits reversed", () => {
  expect(sumOf(47, 85)).toEqual({ prompt: "47+85=", answer: "231" });
});

describe("the clean task", () => {
  test("prefers the right answer to one that differs in exactly one digit", () => {
    fc.assert(
      fc.property(twoDigits, twoDigits, fc.integer(), (a, b, seed) => {
        const sum = sumOf(a, b);
        const { chosen, rejected } = cleanPair(sum, randomGenerator(seed));
        expect(chosen).toBe(sum.answer);
        expect(rejected).toMatch(/^\d+$/);
        expect(differences(chosen, rejected)).toBe(1);
      }),
    );
  });

  test("imitates the right answer to every sum that is not held out", () => {
    const { supervised, pairs } = cleanProblems(3, SIZES);
    expect([supervised.length, pairs.length]).toEqual([7700, 512]);
    expect(supervised.every(({ response, answer }) => response === answer)).toBe(true);
  });
});

describe("the task of imperfect writers", () => {
  const { supervised, pairs } = writtenProblems(3, SIZES);

  test("has answers in which the stated share of digits is wrong, each other digit as often", () => {
    const next = randomGenerator(5);
    const digits = Array.from({ length: 20_000 }, () => written(sumOf(44, 44), next)).join("");
    const wrong = [...digits].filter((digit) => digit !== "8");
    // Standard deviations: .0023 of the share, some 35 of each digit's count.
    expect(Math.abs(wrong.length / digits.length - ERROR_RATE)).toBeLessThan(0.01);
    for (const digit of "012345679") {
      const count = wrong.filter((found) => found === digit).length;
      expect(Math.abs(count - wrong.length / 9)).toBeLessThan(180);
    }
  });

  test("prefers the answer with more right digits", () => {
    fc.assert(
      fc.property(twoDigits, twoDigits, fc.integer(), (a, b, seed) => {
        const sum = sumOf(a, b);
        const { chosen, rejected } = writtenPair(sum, randomGenerator(seed));
        expect(differences(chosen, sum.answer)).toBeLessThan(differences(rejected, sum.answer));
      }),
    );
  });

  test("imitates one written answer to each of 4000 sums, of which some two in five are right", () => {
    const right = supervised.filter(({ response, answer }) => response === answer);
    expect(new Set(supervised.map(({ prompt }) => prompt)).size).toBe(4000);
    // .7² of the sums below 100, .7³ of the others.
    expect(right.length / supervised.length).toBeCloseTo(0.41, 1);
  });

  test("has chosen answers that are often, but not always, right", () => {
    const right = pairs.filter(({ chosen, answer }) => chosen === answer);
    expect(right.length / pairs.length).toBeGreaterThan(0.7);
    expect(right.length / pairs.length).toBeLessThan(0.82);
  });
});

describe.each([
  ["clean", cleanProblems],
  ["writers", writtenProblems],
])("the problems of %s", (_, problemsOf) => {
  test("hold out sums that are not learnt from; the pairs are of sums that are", () => {
    const { supervised, pairs, heldOut } = problemsOf(3, SIZES);
    const prompts = (list: readonly { prompt: string }[]) => list.map(({ prompt }) => prompt);
    const learnt = new Set(prompts(supervised));
    expect([pairs.length, heldOut.length]).toEqual([512, 400]);
    expect(prompts(heldOut).filter((prompt) => learnt.has(prompt))).toEqual([]);
    expect(prompts(pairs).every((prompt) => learnt.has(prompt))).toBe(true);
  });

  test("are determined by a seed", () => {
    expect(problemsOf(3, SIZES)).toEqual(problemsOf(3, SIZES));
    expect(problemsOf(4, SIZES)).not.toEqual(problemsOf(3, SIZES));
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
    const { encode, decode, end, vocabularySize } = byteTokenizer;
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const ids = encode(text);
        expect(ids.every((id) => id >= 0 && id < vocabularySize && id !== end)).toBe(true);
        expect(decode([...ids, end])).toBe(text);
      }),
    );
  });
});
