/**
 * Two-digit additions, the material of both generated tasks. Small enough that a model of 100,000
 * parameters learns them in half a minute, and exact: whether an answer is right needs no judge.
 * @module
 */

import { type RandomGenerator, randomGenerator } from "../../src/index.js";
import type { Example, PreferencePair } from "./pairs.js";
import { shuffled } from "./shuffle.js";
import { characterTokenizer } from "./tokenizer.js";

/** A sum with its one right answer. */
export interface Sum {
  readonly prompt: string;
  readonly answer: string;
}

/** How many problems of each kind to make. */
export interface ArithmeticSizes {
  /** Sums kept out of all training. */
  readonly heldOut: number;
  /** Pairs to train preferences on. */
  readonly pairs: number;
}

/** The problems of a seed. A sum is in `heldOut` or in the others, never in both. */
export interface ArithmeticProblems {
  /** Answers to imitate. */
  readonly supervised: readonly (Sum & Example)[];
  /** Pairs of answers to sums of `supervised`. */
  readonly pairs: readonly (Sum & PreferencePair)[];
  readonly heldOut: readonly (Sum & PreferencePair)[];
}

/** One character a token; `;` ends an answer. */
export const arithmeticTokenizer = characterTokenizer("0123456789+=*; ", ";");

/**
 * A sum as text. The answer has its digits reversed, so that a carry is known before it is needed:
 * `47+85=` is answered `231`.
 */
export function sumOf(a: number, b: number): Sum {
  return { prompt: `${a}+${b}=`, answer: [...String(a + b)].reverse().join("") };
}

/** All 8,100 sums `10+10=` … `99+99=` in a random order. */
export function shuffledSums(next: RandomGenerator): Sum[] {
  const all: Sum[] = [];
  for (let a = 10; a < 100; a++) for (let b = 10; b < 100; b++) all.push(sumOf(a, b));
  return shuffled(all, next);
}

/** Any of the nine other digits. */
export function otherDigit(digit: string, next: RandomGenerator): string {
  return String((Number(digit) + 1 + Math.floor(next() * 9)) % 10);
}

/** The right answer, and the same with one digit replaced. */
export function cleanPair({ prompt, answer }: Sum, next: RandomGenerator): PreferencePair {
  const place = Math.floor(next() * answer.length);
  const wrong = [...answer].map((digit, i) => (i === place ? otherDigit(digit, next) : digit));
  return { prompt, chosen: answer, rejected: wrong.join("") };
}

/** The clean task: every sum that is not held out with its right answer, and pairs of right and wrong. */
export function cleanProblems(
  seed: number | string,
  { heldOut, pairs }: ArithmeticSizes,
): ArithmeticProblems {
  const next = randomGenerator(`${seed} arithmetic`);
  const sums = shuffledSums(next).map((sum) => ({ ...sum, ...cleanPair(sum, next) }));
  const learnt = sums.slice(heldOut);
  return {
    supervised: learnt.map((sum) => ({ ...sum, response: sum.answer })),
    pairs: learnt.slice(0, pairs),
    heldOut: sums.slice(0, heldOut),
  };
}
