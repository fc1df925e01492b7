/**
 * The order of training data: a function of the seed and the step alone, so that a run continues
 * with the same data wherever it was interrupted, and two methods can be given the same.
 * @module
 */

import { type RandomGenerator, randomGenerator } from "../../src/index.js";

/** The items in a random order (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], next: RandomGenerator): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/**
 * The positions of each step's batch among `count` examples. Every epoch is a shuffle of its own,
 * and a batch may reach into the next.
 */
export function dataOrder(
  seed: number | string,
  count: number,
  batchSize: number,
): (step: number) => number[] {
  const positions = Array.from({ length: count }, (_, i) => i);
  let known: { epoch: number; order: number[] } | null = null;
  const epochOrder = (epoch: number): number[] => {
    if (known?.epoch !== epoch) {
      known = { epoch, order: shuffled(positions, randomGenerator(`${seed} epoch ${epoch}`)) };
    }
    return known.order;
  };
  return (step) =>
    Array.from({ length: batchSize }, (_, i) => {
      const place = step * batchSize + i;
      return epochOrder(Math.floor(place / count))[place % count]!;
    });
}
