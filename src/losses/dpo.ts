/**
 * Direct preference optimization: the logistic loss of the log-ratio margin.
 * @module
 */

import { checkOptions } from "../checks.js";
import { DIVERGENCE_OPTIONS, divergenceScores, type FDivergenceOptions } from "./divergence.js";
import { checkBeta, checkLabelSmoothing } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link dpoLoss}. */
export interface DpoLossOptions extends FDivergenceOptions {
  /** β > 0, strength of the pull towards the reference; default 0.1. */
  readonly beta?: number;
  /** ε in [0, ½], the share of labels taken to be flipped: above 0 this is cDPO; default 0. */
  readonly labelSmoothing?: number;
}

/**
 * DPO (Rafailov et al. 2023, arXiv 2305.18290, eq. 7). With `r = log π_θ − log π_ref` of a completion
 * and its score `s = g(r)` (`s = r` by default):
 *
 * `−(1−ε) log σ(β(s_w − s_l)) − ε log σ(−β(s_w − s_l))`
 *
 * ε > 0 is conservative DPO (Mitchell 2023); `fDivergence` is f-DPO (Wang et al. 2023, arXiv
 * 2309.16240). Rewards are `β·r`, nats.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 * @example const { loss } = dpoLoss({ chosen, rejected, referenceChosen, referenceRejected });
 */
export function dpoLoss(pairs: PairLogProbs, options: DpoLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, labelSmoothing = 0 } = options;
  checkOptions("dpoLoss", options, "beta", "labelSmoothing", ...DIVERGENCE_OPTIONS);
  checkBeta("dpoLoss", beta);
  checkLabelSmoothing("dpoLoss", labelSmoothing);
  const scores = divergenceScores("dpoLoss", pairs, options);
  const z = scores.chosenScore.sub(scores.rejectedScore).mul(beta);
  return ratioLoss(smoothedLogistic(z, labelSmoothing), scores, beta);
}
