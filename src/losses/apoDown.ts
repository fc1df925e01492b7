/**
 * Anchored preference optimization that lowers both completions, the rejected one more.
 * @module
 */

import { checkOptions } from "../checks.js";
import { sigmoid } from "../ops/activations.js";
import { sub } from "../ops/index.js";
import { DIVERGENCE_OPTIONS, divergenceScores, type FDivergenceOptions } from "./divergence.js";
import { checkBeta } from "./inputs.js";
import { ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link apoDownLoss}. */
export interface ApoDownLossOptions extends FDivergenceOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
}

/**
 * APO-down (D'Oosterlinck et al. 2024, arXiv 2408.06266): lower both completions, the rejected one
 * more. With `r = log π_θ − log π_ref`, nats, and `z = β(s_w − s_l)` of scores `s = g(r)`:
 *
 * `σ(βr_w) + 1 − σ(z)`
 *
 * The divergence acts on z alone, as in TRL. Rewards are `β·r`. The paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function apoDownLoss(pairs: PairLogProbs, options: ApoDownLossOptions = {}): PreferenceLoss {
  const { beta = 0.1 } = options;
  checkOptions("apoDownLoss", options, "beta", ...DIVERGENCE_OPTIONS);
  checkBeta("apoDownLoss", beta);
  const scores = divergenceScores("apoDownLoss", pairs, options);
  const against = sub(scores.rejectedScore, scores.chosenScore).mul(beta);
  return ratioLoss(sigmoid(scores.chosenRatio.mul(beta)).add(sigmoid(against)), scores, beta);
}
