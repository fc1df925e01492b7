/**
 * Efficient exact optimization: a reverse divergence from smoothed preferences.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { DIVERGENCE_OPTIONS, divergenceScores, type FDivergenceOptions } from "./divergence.js";
import { checkBeta } from "./inputs.js";
import { bernoulliDivergence } from "./logistic.js";
import { ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link exoLoss}. */
export interface ExoLossOptions extends FDivergenceOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** ε in (0, ½], the rejected completion's share of the target; default 0.001. */
  readonly labelSmoothing?: number;
}

/**
 * EXO on pairs (Ji et al. 2024, arXiv 2402.00856; TRL's `exo_pair`): the divergence from the policy's
 * preference to the labels', reverse to DPO's. With `z = β(s_w − s_l)`, scores `s = g(r)`,
 * `r = log π_θ − log π_ref`, nats:
 *
 * `σ(z)(log σ(z) − log(1−ε)) + σ(−z)(log σ(−z) − log ε)`
 *
 * The gradient passes through the weights σ(±z) too. Rewards are `β·r`. The formula is TRL's; the
 * paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range; at ε = 0 the divergence is infinite.
 */
export function exoLoss(pairs: PairLogProbs, options: ExoLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, labelSmoothing = 1e-3 } = options;
  checkOptions("exoLoss", options, "beta", "labelSmoothing", ...DIVERGENCE_OPTIONS);
  checkBeta("exoLoss", beta);
  checkNumber("exoLoss", "labelSmoothing", labelSmoothing, (e) => e > 0 && e <= 0.5, "in (0, ½]");
  const scores = divergenceScores("exoLoss", pairs, options);
  const z = scores.chosenScore.sub(scores.rejectedScore).mul(beta);
  return ratioLoss(bernoulliDivergence(z, labelSmoothing), scores, beta);
}
