/**
 * Anchored preference optimization that raises the chosen and lowers the rejected completion.
 * @module
 */

import { checkOptions } from "../checks.js";
import { sigmoid } from "../ops/activations.js";
import { checkBeta } from "./inputs.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link apoZeroLoss}. */
export interface ApoZeroLossOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
}

/**
 * APO-zero, anchored preference optimization (D'Oosterlinck et al. 2024, arXiv 2408.06266): raise the
 * chosen completion, lower the rejected one. With `r = log π_θ − log π_ref`, nats:
 *
 * `1 − σ(βr_w) + σ(βr_l)`
 *
 * Rewards are `β·r`. The formula is TRL's; the paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function apoZeroLoss(pairs: PairLogProbs, options: ApoZeroLossOptions = {}): PreferenceLoss {
  const { beta = 0.1 } = options;
  checkOptions("apoZeroLoss", options, "beta");
  checkBeta("apoZeroLoss", beta);
  const ratios = logRatios("apoZeroLoss", pairs);
  const missed = sigmoid(ratios.chosenRatio.mul(-beta));
  return ratioLoss(missed.add(sigmoid(ratios.rejectedRatio.mul(beta))), ratios, beta);
}
