/**
 * The hinge loss of the log-ratio margin.
 * @module
 */

import { checkOptions } from "../checks.js";
import { relu, sub } from "../ops/index.js";
import { DIVERGENCE_OPTIONS, divergenceScores, type FDivergenceOptions } from "./divergence.js";
import { checkBeta } from "./inputs.js";
import { ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link hingeLoss}. */
export interface HingeLossOptions extends FDivergenceOptions {
  /** β > 0; the margin wanted is 1/β nats; default 0.1. */
  readonly beta?: number;
}

/**
 * Hinge loss on the log-ratio margin (Liu et al. 2023, arXiv 2309.06657: RSO's hinge-norm with γ = β),
 * with scores `s = g(r)`, `r = log π_θ − log π_ref`: `max(0, 1 − β(s_w − s_l))`.
 *
 * Rewards are `β·r`, nats. The paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function hingeLoss(pairs: PairLogProbs, options: HingeLossOptions = {}): PreferenceLoss {
  const { beta = 0.1 } = options;
  checkOptions("hingeLoss", options, "beta", ...DIVERGENCE_OPTIONS);
  checkBeta("hingeLoss", beta);
  const scores = divergenceScores("hingeLoss", pairs, options);
  const z = scores.chosenScore.sub(scores.rejectedScore).mul(beta);
  return ratioLoss(relu(sub(1, z)), scores, beta);
}
