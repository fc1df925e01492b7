/**
 * Random orders of generated sums and of the prompts of a file.
 * @module
 */

import type { RandomGenerator } from "../../src/index.js";

/** The items in a random order (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], next: RandomGenerator): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
