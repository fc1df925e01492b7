/**
 * SimPO with a reward whose shape α bends.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { expm1, minimum } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { cutFor, LARGEST_EXPONENT } from "./exponents.js";
import { checkBeta, checkLabelSmoothing, checkPairs } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { perToken, preferenceLoss } from "./logRatios.js";
import { type SimpoLossOptions, wantedMargin } from "./simpo.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link alphaPoLoss}. */
export interface AlphaPoLossOptions extends SimpoLossOptions {
  /** α, the reward's shape: above 0 it flattens near probability 1, below 0 near 0; default 0.25. */
  readonly alpha?: number;
}

/**
 * AlphaPO (Gupta et al. 2025, arXiv 2501.03884): SimPO with the log-probability per token a replaced by
 *
 * `(1 − e^(−αa))/α`, which at α = 0 is a.
 *
 * Exponents −αa are cut at 80, or lower, where β times the replaced a, or its slope, reaches e⁸⁰.
 * Rewards are β times the replaced a. The paper's text was not at hand.
 *
 * @param pairs Needs `chosenLength` and `rejectedLength`.
 * @throws for missing or misshapen inputs, options out of range, and both `gamma` and `gammaBetaRatio`.
 */
export function alphaPoLoss(pairs: PairLogProbs, options: AlphaPoLossOptions = {}): PreferenceLoss {
  const { beta = 2, gamma, gammaBetaRatio, labelSmoothing = 0, alpha = 0.25 } = options;
  checkOptions(
    "alphaPoLoss",
    options,
    "beta",
    "gamma",
    "gammaBetaRatio",
    "labelSmoothing",
    "alpha",
  );
  checkBeta("alphaPoLoss", beta);
  checkLabelSmoothing("alphaPoLoss", labelSmoothing);
  checkNumber("alphaPoLoss", "alpha", alpha, () => true, "that is finite");
  const margin = wantedMargin("alphaPoLoss", beta, gamma, gammaBetaRatio);
  const checked = checkPairs("alphaPoLoss", pairs, "chosenLength", "rejectedLength");
  // The reward is about −β/α·e^(−αa), its slope β·e^(−αa).
  const cut = cutFor(LARGEST_EXPONENT, beta, beta / Math.abs(alpha));
  const reward = (logProbs: Tensor, length: Tensor): Tensor => {
    const a = perToken(logProbs, length);
    if (Math.abs(alpha) < 1e-6) return a.mul(beta);
    return expm1(minimum(a.mul(-alpha), cut)).mul(-beta / alpha);
  };
  const chosenReward = reward(checked.chosen, checked.chosenLength);
  const rejectedReward = reward(checked.rejected, checked.rejectedLength);
  const z = chosenReward.sub(rejectedReward).sub(margin);
  return preferenceLoss(smoothedLogistic(z, labelSmoothing), chosenReward, rejectedReward);
}
