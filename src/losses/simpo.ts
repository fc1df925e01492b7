/**
 * Length-normalized preference optimization without a reference.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { checkBeta, checkLabelSmoothing, checkPairs } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { perToken, preferenceLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link simpoLoss}. */
export interface SimpoLossOptions {
  /** β > 0; default 2. */
  readonly beta?: number;
  /** γ ≥ 0, the margin wanted; default 0.5. */
  readonly gamma?: number;
  /** γ/β, as the authors' configurations give it, instead of `gamma`. */
  readonly gammaBetaRatio?: number;
  /** ε in [0, ½], the share of labels taken to be flipped; default 0. */
  readonly labelSmoothing?: number;
}

/**
 * SimPO (Meng et al. 2024, arXiv 2405.14734, eq. 6). With `a = log π_θ / n`, nats per token:
 *
 * `−(1−ε) log σ(z) − ε log σ(−z)`, `z = β(a_w − a_l) − γ`
 *
 * Rewards are `β·a`.
 *
 * @param pairs Needs `chosenLength` and `rejectedLength`.
 * @throws for missing or misshapen inputs, options out of range, and both `gamma` and `gammaBetaRatio`.
 */
export function simpoLoss(pairs: PairLogProbs, options: SimpoLossOptions = {}): PreferenceLoss {
  const { beta = 2, gamma, gammaBetaRatio, labelSmoothing = 0 } = options;
  checkOptions("simpoLoss", options, "beta", "gamma", "gammaBetaRatio", "labelSmoothing");
  checkBeta("simpoLoss", beta);
  checkLabelSmoothing("simpoLoss", labelSmoothing);
  const margin = wantedMargin("simpoLoss", beta, gamma, gammaBetaRatio);
  const checked = checkPairs("simpoLoss", pairs, "chosenLength", "rejectedLength");
  const chosenReward = perToken(checked.chosen, checked.chosenLength).mul(beta);
  const rejectedReward = perToken(checked.rejected, checked.rejectedLength).mul(beta);
  const z = chosenReward.sub(rejectedReward).sub(margin);
  return preferenceLoss(smoothedLogistic(z, labelSmoothing), chosenReward, rejectedReward);
}

export function wantedMargin(
  loss: string,
  beta: number,
  gamma: number | undefined,
  gammaBetaRatio: number | undefined,
): number {
  if (gamma !== undefined && gammaBetaRatio !== undefined) {
    throw new TypeError(`${loss}: give \`gamma\` or \`gammaBetaRatio\`, not both`);
  }
  const option = gammaBetaRatio === undefined ? "gamma" : "gammaBetaRatio";
  const value = gammaBetaRatio ?? gamma ?? 0.5;
  checkNumber(loss, option, value, (m) => m >= 0, "≥ 0");
  return option === "gamma" ? value : value * beta;
}
