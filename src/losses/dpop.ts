/**
 * DPO-Positive: a penalty where the chosen completion falls below its reference.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { neg, relu } from "../ops/index.js";
import { checkBeta } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, ratioLoss } from "./logRatios.js";
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
  const ratios = logRatios("dpopLoss", pairs);
  const { chosenRatio, rejectedRatio } = ratios;
  const margin = chosenRatio.sub(rejectedRatio).sub(relu(neg(chosenRatio)).mul(lambda));
  return ratioLoss(smoothedLogistic(margin.mul(beta), 0), ratios, beta);
}
