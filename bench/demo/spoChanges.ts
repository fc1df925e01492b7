/**
 * What SPO changed, seed by seed: variants with it and without it in pairs.
 * @module
 */

import { intervalText } from "./interval.js";

/**
 * A line for each variant whose name is another's and the suffix: the mean of the seeds' differences with its interval.
 * @param variants names, each with a value of each seed
 */
export function spoChanges(
  variants: ReadonlyMap<string, readonly number[]>,
  suffix: string,
): string[] {
  return [...variants].flatMap(([alone, values]) => {
    const changed = variants.get(alone + suffix);
    if (changed === undefined) return [];
    const differences = changed.map((value, i) => value - values[i]!);
    return [`SPO around ${alone}: ${intervalText(differences)}, seed by seed`];
  });
}
