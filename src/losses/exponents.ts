/**
 * Where exponents are cut, so that exponentials, and sums of their multiples, are finite in float32.
 * @module
 */

/** e⁸⁰ is finite in float32, and so are some thousands of it: a batch's sum. */
export const LARGEST_EXPONENT = 80;
/** The cut for what is squared. */
export const LARGEST_SQUARED_EXPONENT = LARGEST_EXPONENT / 2;

/** The largest x ≤ `largest` at which `factor·eˣ ≤ e^largest`, for each of the factors. */
export function cutFor(largest: number, ...factors: number[]): number {
  return largest - Math.log(Math.max(1, ...factors));
}
