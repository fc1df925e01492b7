/**
 * Noise contrastive alignment: the chosen reward rises and the rejected one falls, each for itself.
 * @module
 */

import { checkOptions } from "../checks.js";
import { logSigmoid, mul, neg } from "../ops/index.js";
import { DIVERGENCE_OPTIONS, divergenceScores, type FDivergenceOptions } from "./divergence.js";
import { checkBeta } from "./inputs.js";
import { ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link ncaLoss}. */
export interface NcaLossOptions extends FDivergenceOptions {
  /** β > 0; default 0.01. */
  readonly beta?: number;
}

/**
 * Noise contrastive alignment on pairs (Chen et al. 2024, arXiv 2402.05369; TRL's `nca_pair`). With
 * scores `s = g(r)`, `r = log π_θ − log π_ref`, nats:
 *
 * `−log σ(βs_w) − ½ log σ(−βs_w) − ½ log σ(−βs_l)`
 *
 * Rewards are `β·r`. The formula is TRL's; the paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function ncaLoss(pairs: PairLogProbs, options: NcaLossOptions = {}): PreferenceLoss {
  const { beta = 0.01 } = options;
  checkOptions("ncaLoss", options, "beta", ...DIVERGENCE_OPTIONS);
  checkBeta("ncaLoss", beta);
  const scores = divergenceScores("ncaLoss", pairs, options);
  const chosen = mul(scores.chosenScore, beta);
  const noise = logSigmoid(neg(chosen)).add(logSigmoid(mul(scores.rejectedScore, -beta)));
  return ratioLoss(neg(logSigmoid(chosen)).sub(noise.mul(0.5)), scores, beta);
}
