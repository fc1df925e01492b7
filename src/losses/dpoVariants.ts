/**
 * DPO with a term added to its margin.
 * @module
 */

import { neg, relu } from "../ops/index.js";
import { checkBeta, checkNumber, checkOptions, checkPairs } from "./inputs.js";
import { preferenceLoss, smoothedLogistic } from "./pieces.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link dpopLoss}. */
export interface DpopLossOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** λ ≥ 0, weight of the penalty; default 50. */
  readonly lambda?: number;
}

/**
 * DPO-Positive (Pal et al. 2024, arXiv 2402.13228): the margin pays for a chosen completion that lost
 * probability. With log-ratios `r = log π_θ − log π_ref`, nats:
 *
 * `−log σ(β(r_w − r_l − λ·max(0, −r_w)))`
 *
 * Rewards are `β·r`. The paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function dpopLoss(pairs: PairLogProbs, options: DpopLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, lambda = 50 } = options;
  checkOptions("dpopLoss", options, "beta", "lambda");
  checkBeta("dpopLoss", beta);
  checkNumber("dpopLoss", "lambda", lambda, (l) => l >= 0, "≥ 0");
  const checked = checkPairs("dpopLoss", pairs, "referenceChosen", "referenceRejected");
  const chosenRatio = checked.chosen.sub(checked.referenceChosen);
  const rejectedRatio = checked.rejected.sub(checked.referenceRejected);
  const margin = chosenRatio.sub(rejectedRatio).sub(relu(neg(chosenRatio)).mul(lambda));
  return preferenceLoss(
    smoothedLogistic(margin.mul(beta), 0),
    chosenRatio.mul(beta),
    rejectedRatio.mul(beta),
  );
}

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
  const { chosen, rejected, referenceChosen, referenceRejected, chosenLength, rejectedLength } =
    checkPairs(
      name,
      pairs,
      "referenceChosen",
      "referenceRejected",
      "chosenLength",
      "rejectedLength",
    );
  const chosenReward = chosen.sub(referenceChosen).mul(beta);
  const rejectedReward = rejected.sub(referenceRejected).mul(beta);
  const longer = chosenLength.sub(rejectedLength).cast(chosen.dtype);
  const z = chosenReward.sub(rejectedReward).add(longer.mul(alpha));
  return preferenceLoss(smoothedLogistic(z, 0), chosenReward, rejectedReward);
}
