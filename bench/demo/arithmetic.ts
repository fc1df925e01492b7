/**
 * The generated task: two-digit additions. Small enough that a model of 100,000 parameters learns
 * it in half a minute, and exact: whether an answer is right needs no judge.
 * @module
 */

import { type RandomGenerator, randomGenerator } from "../../src/index.js";
import type { PreferencePair } from "./pairs.js";
import { shuffled } from "./shuffle.js";
import { characterTokenizer } from "./tokenizer.js";

/** How many problems of each kind to make. */
export interface ArithmeticSizes {
  /** Problems kept out of all training. */
  readonly heldOut: number;
  /** Pairs to train preferences on. */
  readonly pairs: number;
}

/** The problems of a seed. A problem is in `heldOut` or in the others, never in both. */
export interface ArithmeticProblems {
  /** Right answers to learn from: every problem that is not held out. */
  readonly supervised: readonly PreferencePair[];
  /** The first of `supervised`. */
  readonly pairs: readonly PreferencePair[];
  readonly heldOut: readonly PreferencePair[];
}

/** One character a token; `;` ends an answer. */
export const arithmeticTokenizer = characterTokenizer("0123456789+=*; ", ";", " ");

/** Draws all 8,100 problems `10+10=` … `99+99=` in the order of a seed. */
export function arithmeticProblems(
  seed: number | string,
  { heldOut, pairs }: ArithmeticSizes,
): ArithmeticProblems {
  const next = randomGenerator(`${seed} arithmetic`);
  const sums: [number, number][] = [];
  for (let a = 10; a < 100; a++) for (let b = 10; b < 100; b++) sums.push([a, b]);
  const all = shuffled(sums, next).map(([a, b]) => problem(a, b, next));
  const supervised = all.slice(heldOut);
  return { supervised, pairs: supervised.slice(0, pairs), heldOut: all.slice(0, heldOut) };
}

/**
 * The pair of one sum. The answer has its digits reversed, so that a carry is known before it is
 * needed: `47+85=` is answered `231`. The rejected answer has one digit replaced.
 */
export function problem(a: number, b: number, next: RandomGenerator): PreferencePair {
  const digits = [...String(a + b)].reverse();
  const place = Math.floor(next() * digits.length);
  const shift = 1 + Math.floor(next() * 9);
  const wrong = digits.map((digit, i) =>
    i === place ? String((Number(digit) + shift) % 10) : digit,
  );
  return { prompt: `${a}+${b}=`, chosen: digits.join(""), rejected: wrong.join("") };
}
