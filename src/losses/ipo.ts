/**
 * Identity preference optimization: the margin is sent to a target by squared error.
 * @module
 */

import { checkFlag, checkOptions } from "../checks.js";
import { square } from "../ops/index.js";
import {
  DIVERGENCE_OPTIONS,
  divergenceScores,
  type FDivergenceOptions,
  LARGEST_SQUARED_EXPONENT,
} from "./divergence.js";
import { checkBeta, checkPairs } from "./inputs.js";
import { perToken, ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link ipoLoss}. */
export interface IpoLossOptions extends FDivergenceOptions {
  /** β > 0 (the paper's τ); the margin wanted is 1/(2β); default 0.1. */
  readonly beta?: number;
  /** Scores per token (default), as TRL has it; false: sums, as the authors' repository has it. */
  readonly average?: boolean;
}

/**
 * IPO (Azar et al. 2023, arXiv 2310.12036, eq. 17): the margin is to be 1/(2β), neither less nor more.
 * With scores `s = g(r)`, `r = log π_θ − log π_ref`, and lengths n, tokens:
 *
 * `(s_w/n_w − s_l/n_l − 1/(2β))²`, or without `average` `(s_w − s_l − 1/(2β))²`
 *
 * Rewards are `β·r`, nats.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`, and to average `chosenLength` and
 * `rejectedLength`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function ipoLoss(pairs: PairLogProbs, options: IpoLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, average = true } = options;
  checkOptions("ipoLoss", options, "beta", "average", ...DIVERGENCE_OPTIONS);
  checkBeta("ipoLoss", beta);
  checkFlag("ipoLoss", "average", average);
  const scores = divergenceScores("ipoLoss", pairs, options, LARGEST_SQUARED_EXPONENT);
  let { chosenScore, rejectedScore } = scores;
  if (average) {
    const lengths = checkPairs("ipoLoss", pairs, "chosenLength", "rejectedLength");
    chosenScore = perToken(chosenScore, lengths.chosenLength);
    rejectedScore = perToken(rejectedScore, lengths.rejectedLength);
  }
  return ratioLoss(square(chosenScore.sub(rejectedScore).sub(1 / (2 * beta))), scores, beta);
}
