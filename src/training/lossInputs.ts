/**
 * What losses take of each pair beside the log-probabilities of its completions: made in every step, of what policy and
 * reference say of each token.
 * @module
 */

import type { ExtraScore } from "./sequences.js";

/** What a loss takes besides. */
export interface LossInputs {
  /** The score of sequences that it is made of. */
  readonly reads: ExtraScore;
  /** The loss's options that it is given as; values of rows have the same names. */
  readonly names: readonly string[];
}

/** TDPO's K (arXiv 2404.11999). */
const DIVERGENCES: LossInputs = { reads: "kl", names: ["chosenKl", "rejectedKl"] };

/** The losses that take something besides. */
export const LOSS_INPUTS: Readonly<Record<string, LossInputs>> = {
  tdpo1: DIVERGENCES,
  tdpo2: DIVERGENCES,
};
