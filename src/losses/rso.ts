/**
 * The losses of statistical rejection sampling optimization.
 * @module
 */

import { checkChoice, checkNumber, checkOptions } from "../checks.js";
import { relu } from "../ops/activations.js";
import { sub } from "../ops/index.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

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
