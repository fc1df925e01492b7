/**
 * DPO with a margin for the difference of lengths.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { checkBeta, checkPairs } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, preferenceLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link lengthRegularizedDpoLoss}. */
export interface LengthRegularizedDpoLossOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** α ≥ 0, per token; default 0.05. */
  readonly alpha?: number;
}

/**
 * R-DPO, length-regularized DPO (Park et al. 2024, arXiv 2403.19159). With log-ratios
 * `r = log π_θ − log π_ref`, nats, and lengths n, tokens:
 *
 * `−log σ(β(r_w − r_l) + α·n_w − α·n_l)`
 *
 * The sign is plus: it weakens the push where the chosen completion is the longer one. (Some tables
 * print a minus.) Rewards are `β·r`. The paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen`, `referenceRejected`, `chosenLength` and `rejectedLength`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function lengthRegularizedDpoLoss(
  pairs: PairLogProbs,
  options: LengthRegularizedDpoLossOptions = {},
): PreferenceLoss {
  const name = "lengthRegularizedDpoLoss";
  const { beta = 0.1, alpha = 0.05 } = options;
  checkOptions(name, options, "beta", "alpha");
  checkBeta(name, beta);
  checkNumber(name, "alpha", alpha, (a) => a >= 0, "≥ 0");
  const { chosen, chosenLength, rejectedLength } = checkPairs(
    name,
    pairs,
    "chosenLength",
    "rejectedLength",
  );
  const { chosenRatio, rejectedRatio } = logRatios(name, pairs);
  const chosenReward = chosenRatio.mul(beta);
  const rejectedReward = rejectedRatio.mul(beta);
  const longer = chosenLength.sub(rejectedLength).cast(chosen.dtype);
  const z = chosenReward.sub(rejectedReward).add(longer.mul(alpha));
  return preferenceLoss(smoothedLogistic(z, 0), chosenReward, rejectedReward);
}
