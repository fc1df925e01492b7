/**
 * The largest of many values.
 * @module
 */

/** The largest of any number of values; −∞ of none. */
export function largest(values: Iterable<number>): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) most = Math.max(most, value);
  return most;
}
