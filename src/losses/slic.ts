/**
 * Losses of sequence likelihood calibration and statistical rejection sampling.
 * @module
 */

import { relu, sub } from "../ops/index.js";
import { checkChoice, checkNumber, checkOptions, checkPairs } from "./inputs.js";
import { logRatios, preferenceLoss, ratioLoss, smoothedLogistic } from "./pieces.js";
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

/** Options of {@link rsoLoss}. */
export interface RsoLossOptions {
  /** γ > 0, scale of the margin, apart from the β of the sampling; default 0.05. */
  readonly gamma?: number;
  /** `"sigmoid-norm"` (default) or `"hinge-norm"`. */
  readonly type?: "sigmoid-norm" | "hinge-norm";
}

/**
 * RSO's losses (Liu et al. 2023, arXiv 2309.06657), for pairs made by statistical rejection sampling.
 * With `r = log π_θ − log π_ref`, nats:
 *
 * `"sigmoid-norm"`: `−log σ(γ(r_w − r_l))`; `"hinge-norm"`: `max(0, 1 − γ(r_w − r_l))`
 *
 * {@link dpoLoss} and {@link hingeLoss} at β = γ. Rewards are `γ·r`. The paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function rsoLoss(pairs: PairLogProbs, options: RsoLossOptions = {}): PreferenceLoss {
  const { gamma = 0.05, type = "sigmoid-norm" } = options;
  checkOptions("rsoLoss", options, "gamma", "type");
  checkNumber("rsoLoss", "gamma", gamma, (g) => g > 0, "> 0");
  checkChoice("rsoLoss", "type", type, ["sigmoid-norm", "hinge-norm"]);
  const ratios = logRatios("rsoLoss", pairs);
  const z = ratios.chosenRatio.sub(ratios.rejectedRatio).mul(gamma);
  return ratioLoss(type === "hinge-norm" ? relu(sub(1, z)) : smoothedLogistic(z, 0), ratios, gamma);
}
