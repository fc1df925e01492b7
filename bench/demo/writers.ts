/**
 * Additions as imperfect writers answer them. A writer gets each digit wrong with a fixed
 * probability, so what is imitated is often wrong; of two written answers one can still tell the
 * better. The preferences carry what imitation cannot.
 * @module
 */

import { type RandomGenerator, randomGenerator } from "../../src/index.js";
import {
  type ArithmeticProblems,
  type ArithmeticSizes,
  otherDigit,
  type Sum,
  shuffledSums,
} from "./arithmetic.js";
import type { PreferencePair } from "./pairs.js";

/** The probability with which a writer gets a digit wrong. */
export const ERROR_RATE = 0.3;

/** Sums that were answered once each, to be imitated. */
const ANSWERED_SUMS = 4000;

/** An answer as a writer gives it: every wrong digit is any other, all equally likely. */
export function written({ answer }: Sum, next: RandomGenerator): string {
  const digits = [...answer].map((digit) =>
    next() < ERROR_RATE ? otherDigit(digit, next) : digit,
  );
  return digits.join("");
}

/** Two written answers, chosen the one with more right digits; as many are written again. */
export function writtenPair(sum: Sum, next: RandomGenerator): PreferencePair {
  const rightDigits = (text: string): number =>
    [...text].filter((digit, i) => digit === sum.answer[i]).length;
  for (;;) {
    const [one, other] = [written(sum, next), written(sum, next)];
    const better = rightDigits(one) - rightDigits(other);
    if (better > 0) return { prompt: sum.prompt, chosen: one, rejected: other };
    if (better < 0) return { prompt: sum.prompt, chosen: other, rejected: one };
  }
}

/** Written answers to imitate, pairs of others to the first of their sums, and held-out pairs. */
export function writtenProblems(
  seed: number | string,
  { heldOut, pairs }: ArithmeticSizes,
): ArithmeticProblems {
  const next = randomGenerator(`${seed} writers`);
  const sums = shuffledSums(next);
  const answered = sums.slice(heldOut, heldOut + ANSWERED_SUMS);
  const pairOf = (sum: Sum) => ({ ...sum, ...writtenPair(sum, next) });
  return {
    supervised: answered.map((sum) => ({ ...sum, response: written(sum, next) })),
    pairs: answered.slice(0, pairs).map(pairOf),
    heldOut: sums.slice(0, heldOut).map(pairOf),
  };
}
