/**
 * What a benchmark case is: a problem, how its numbers are checked, and who solves it.
 */

import type { Kind, Peer, Problems, Results } from "../problem.js";

/** A case of a family. */
export interface Case<K extends Kind = Kind> {
  /** Cases of a family share a table. */
  readonly family: string;
  readonly name: string;
  readonly kind: K;
  /** Makes the problem; called when the case's turn comes. */
  problem(): Problems[K];
  /** Makes the check of a problem's solutions. */
  checker(problem: Problems[K]): Check;
  /** Work per run, to print as a rate: floating-point operations, or bytes read and written. */
  readonly work?: { readonly unit: "GFLOP/s" | "GB/s"; readonly amount: number };
  /** Names of the contenders that take part; all that can by default. */
  readonly contenders?: (name: string) => boolean;
  /** Left out of short runs. */
  readonly long?: boolean;
  /** The scaling curve that the case is a point of; its contenders are the points of "threads". */
  readonly curve?: string;
}

/** A peer that may or may not start. */
export interface Contender {
  readonly name: string;
  readonly load: () => Promise<Peer>;
  /** The one scaling curve that it takes part in; all cases by default. */
  readonly curve?: string;
}

/** Throws a {@link Mismatch} unless the numbers are right. */
export type Check = (results: Results) => void;

/** Numbers that are wrong. */
export class Mismatch extends Error {}

/** Declares a case; ties the types of its problem and check together. */
export function defineCase<K extends Kind>(definition: Case<K>): Case {
  return definition as unknown as Case;
}
