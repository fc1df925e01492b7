/**
 * A preference loss found by search.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { exp, logSigmoid, mul, neg, sigmoid, sub } from "../ops/index.js";
import { DIVERGENCE_OPTIONS, divergenceScores, type FDivergenceOptions } from "./divergence.js";
import { checkBeta } from "./inputs.js";
import { ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link discopopLoss}. */
export interface DiscopopLossOptions extends FDivergenceOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** τ in (0, 1], temperature of the blend; default 0.05. */
  readonly tau?: number;
}

/**
 * DiscoPOP, the log-ratio modulated loss (Lu et al. 2024, arXiv 2406.08414): a blend of the logistic
 * and the exponential loss. With `z = β(s_w − s_l)`, scores `s = g(r)`, `r = log π_θ − log π_ref`, nats:
 *
 * `(1 − q)(−log σ(z)) + q·e^(−z)`, `q = σ(z/τ)`
 *
 * It is not monotone: near z = 0 its gradient with respect to the chosen log-probability can be
 * positive. τ ≤ 1 keeps `q·e^(−z)`, computed as one exponential, bounded. Rewards are `β·r`. The
 * formula is TRL's; the paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function discopopLoss(
  pairs: PairLogProbs,
  options: DiscopopLossOptions = {},
): PreferenceLoss {
  const { beta = 0.1, tau = 0.05 } = options;
  checkOptions("discopopLoss", options, "beta", "tau", ...DIVERGENCE_OPTIONS);
  checkBeta("discopopLoss", beta);
  checkNumber("discopopLoss", "tau", tau, (t) => t > 0 && t <= 1, "in (0, 1]");
  const scores = divergenceScores("discopopLoss", pairs, options);
  const z = scores.chosenScore.sub(scores.rejectedScore).mul(beta);
  const scaled = z.mul(1 / tau);
  const logistic = mul(sigmoid(neg(scaled)), neg(logSigmoid(z)));
  return ratioLoss(logistic.add(exp(sub(logSigmoid(scaled), z))), scores, beta);
}
