/**
 * Sequence likelihood calibration.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { relu, sub } from "../ops/index.js";
import { checkPairs } from "./inputs.js";
import { preferenceLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link slicLoss}. */
export interface SlicLossOptions {
  /** δ ≥ 0, the margin wanted, nats; default 1. */
  readonly delta?: number;
  /** λ ≥ 0, weight of the chosen completions' negative log-likelihood; default 0.1. */
  readonly nllWeight?: number;
}

/**
 * SLiC-HF (Zhao et al. 2023, arXiv 2305.10425). With sequence log-probabilities s, nats:
 *
 * `max(0, δ − s_w + s_l) − λ·s_w`
 *
 * Sums over tokens, no reference. Rewards are the log-probabilities. The paper's text was not at hand.
 *
 * @throws for missing or misshapen inputs and options out of range.
 */
export function slicLoss(pairs: PairLogProbs, options: SlicLossOptions = {}): PreferenceLoss {
  const { delta = 1, nllWeight = 0.1 } = options;
  checkOptions("slicLoss", options, "delta", "nllWeight");
  checkNumber("slicLoss", "delta", delta, (d) => d >= 0, "≥ 0");
  checkNumber("slicLoss", "nllWeight", nllWeight, (w) => w >= 0, "≥ 0");
  const { chosen, rejected } = checkPairs("slicLoss", pairs);
  const hinge = relu(sub(delta, chosen.sub(rejected)));
  const perPair = nllWeight === 0 ? hinge : hinge.sub(chosen.mul(nllWeight));
  return preferenceLoss(perPair, chosen, rejected);
}
