/**
 * DPO on log-ratios per token.
 * @module
 */

import { checkOptions } from "../checks.js";
import { DIVERGENCE_OPTIONS, divergenceScores, type FDivergenceOptions } from "./divergence.js";
import { checkBeta, checkPairs } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { perToken, ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link dpoNormLoss}. */
export interface DpoNormLossOptions extends FDivergenceOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
}

/**
 * Length-normalized DPO (Lambert et al. 2024, Tülu 3, arXiv 2411.15124; TRL's `sigmoid_norm`). With
 * scores `s = g(r)`, `r = log π_θ − log π_ref`, and lengths n, tokens:
 *
 * `−log σ(β(s_w/n_w − s_l/n_l))`
 *
 * Rewards are `β·r`, nats, not divided by length. The formula is TRL's; the paper's text was not at
 * hand.
 *
 * @param pairs Needs `referenceChosen`, `referenceRejected`, `chosenLength` and `rejectedLength`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function dpoNormLoss(pairs: PairLogProbs, options: DpoNormLossOptions = {}): PreferenceLoss {
  const { beta = 0.1 } = options;
  checkOptions("dpoNormLoss", options, "beta", ...DIVERGENCE_OPTIONS);
  checkBeta("dpoNormLoss", beta);
  const lengths = checkPairs("dpoNormLoss", pairs, "chosenLength", "rejectedLength");
  const scores = divergenceScores("dpoNormLoss", pairs, options);
  const chosen = perToken(scores.chosenScore, lengths.chosenLength);
  const rejected = perToken(scores.rejectedScore, lengths.rejectedLength);
  return ratioLoss(smoothedLogistic(chosen.sub(rejected).mul(beta), 0), scores, beta);
}
