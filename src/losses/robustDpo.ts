/**
 * DPO whose expectation does not change when a known share of the labels is flipped.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { logSigmoid, mul, neg, sub } from "../ops/index.js";
import { DIVERGENCE_OPTIONS, divergenceScores, type FDivergenceOptions } from "./divergence.js";
import { checkBeta } from "./inputs.js";
import { ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link robustDpoLoss}. */
export interface RobustDpoLossOptions extends FDivergenceOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** ε in [0, ½), the share of labels known to be flipped; default 0.1. */
  readonly labelSmoothing?: number;
}

/**
 * Robust DPO, rDPO (Ray Chowdhury et al. 2024, arXiv 2403.00409): the unbiased estimate of DPO's loss
 * when a share ε of the labels is flipped. With `z = β(s_w − s_l)`, scores `s = g(r)`,
 * `r = log π_θ − log π_ref`, nats:
 *
 * `(−(1−ε) log σ(z) + ε log σ(−z)) / (1 − 2ε)`
 *
 * It may be negative. Rewards are `β·r`. The formula is TRL's; the paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range; at ε = ½ nothing can be learnt.
 */
export function robustDpoLoss(
  pairs: PairLogProbs,
  options: RobustDpoLossOptions = {},
): PreferenceLoss {
  const { beta = 0.1, labelSmoothing = 0.1 } = options;
  checkOptions("robustDpoLoss", options, "beta", "labelSmoothing", ...DIVERGENCE_OPTIONS);
  checkBeta("robustDpoLoss", beta);
  checkNumber(
    "robustDpoLoss",
    "labelSmoothing",
    labelSmoothing,
    (e) => e >= 0 && e < 0.5,
    "in [0, ½)",
  );
  const scores = divergenceScores("robustDpoLoss", pairs, options);
  const z = scores.chosenScore.sub(scores.rejectedScore).mul(beta);
  const scale = 1 - 2 * labelSmoothing;
  const right = mul(logSigmoid(z), -(1 - labelSmoothing) / scale);
  const flipped = mul(logSigmoid(neg(z)), -labelSmoothing / scale);
  return ratioLoss(sub(right, flipped), scores, beta);
}
