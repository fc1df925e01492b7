/**
 * Comparisons of computed numbers with expected ones.
 */

import type { Results } from "../problem.js";
import { Mismatch } from "./case.js";

/** A result by name. */
export function result(results: Results, name: string, length: number): ArrayLike<number> {
  const found = results[name];
  if (!found) throw new Mismatch(`no ${name} among ${Object.keys(results).join(", ")}`);
  if (found.length !== length) {
    throw new Mismatch(`${name} has ${found.length} elements, not ${length}`);
  }
  return found;
}

/** One number within a tolerance of another. NaN is never. */
export function close(what: string, found: number, expected: number, tolerance: number): void {
  if (Math.abs(found - expected) <= tolerance) return;
  throw new Mismatch(`${what} is ${found}, should be ${expected} within ${tolerance}`);
}

/** All numbers within a tolerance of others. */
export function allClose(
  what: string,
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  for (let i = 0; i < expected.length; i++) {
    close(`${what}[${i}]`, found[i]!, expected[i]!, tolerance);
  }
}

/** Euclidean norm. */
export function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return Math.sqrt(sum);
}
