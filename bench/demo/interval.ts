/**
 * Means over seeds with their 95 % intervals.
 * @module
 */

import { InvalidArgumentError } from "commander";

/** t(.975) by degrees of freedom, from 1. */
const QUANTILES = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/** The most values an interval can be of; the fewest are 2. */
export const MOST_VALUES = QUANTILES.length + 1;

/** A mean, and half the width of its interval: `t·s/√n` of Student's t, s being the sample's standard deviation. */
export function intervalOf(values: readonly number[]): readonly [mean: number, half: number] {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return [mean, QUANTILES[n - 2]! * Math.sqrt(squares / (n - 1) / n)];
}

/** A mean ± half its interval, in three digits. */
export function intervalText(values: readonly number[]): string {
  const [mean, half] = intervalOf(values);
  return `${mean.toFixed(3).replace("-", "−")} ± ${half.toFixed(3)}`;
}

/** The seeds of an argument, as many as an interval can be of. @throws for others, in commander's way. */
export function seedsIn(text: string): number[] {
  const seeds = text.split(",").map(Number);
  if (!seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0)) {
    throw new InvalidArgumentError("Integers from 0, separated by commas.");
  }
  if (seeds.length >= 2 && seeds.length <= MOST_VALUES) return seeds;
  throw new InvalidArgumentError(`From 2 to ${MOST_VALUES} of them.`);
}
