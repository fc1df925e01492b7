/**
 * Preference optimization without a reference, held to the chosen completions by their likelihood.
 * @module
 */

import { checkChoice, checkNumber, checkOptions } from "../checks.js";
import { relu, square, sub } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta, checkLabelSmoothing, checkPairs } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { perToken, preferenceLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link cpoLoss}. */
export interface CpoLossOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** Weight ≥ 0 of the chosen completions' negative log-likelihood; default 1. */
  readonly nllWeight?: number;
  /** The preference term's form; default `"sigmoid"`. */
  readonly type?: "sigmoid" | "hinge" | "ipo";
  /** ε in [0, ½] of the sigmoid form, as TRL has it: the share of labels taken to be flipped; default 0. */
  readonly labelSmoothing?: number;
}

/**
 * CPO (Xu et al. 2024, arXiv 2401.08417, eq. 5). With sequence log-probabilities s, nats:
 *
 * `−(1−ε) log σ(β(s_w − s_l)) − ε log σ(−β(s_w − s_l)) − nllWeight·s_w`
 *
 * `type: "hinge"` takes `max(0, 1 − β(s_w − s_l))` for the first term, `"ipo"`
 * `(a_w − a_l − 1/(2β))²` with log-probabilities per token a. Rewards are `β·s`.
 *
 * @param pairs `"ipo"` needs `chosenLength` and `rejectedLength`.
 * @throws for missing or misshapen inputs, options out of range, and ε > 0 without the sigmoid form.
 */
export function cpoLoss(pairs: PairLogProbs, options: CpoLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, nllWeight = 1, type = "sigmoid", labelSmoothing = 0 } = options;
  checkOptions("cpoLoss", options, "beta", "nllWeight", "type", "labelSmoothing");
  checkBeta("cpoLoss", beta);
  checkNumber("cpoLoss", "nllWeight", nllWeight, (w) => w >= 0, "≥ 0");
  checkChoice("cpoLoss", "type", type, ["sigmoid", "hinge", "ipo"]);
  checkLabelSmoothing("cpoLoss", labelSmoothing);
  if (labelSmoothing > 0 && type !== "sigmoid") {
    throw new TypeError('cpoLoss: labelSmoothing belongs to type "sigmoid"');
  }
  const { chosen, rejected } = checkPairs("cpoLoss", pairs);
  const preference = preferenceTerm(pairs, beta, type, labelSmoothing);
  const perPair = nllWeight === 0 ? preference : preference.sub(chosen.mul(nllWeight));
  return preferenceLoss(perPair, chosen.mul(beta), rejected.mul(beta));
}

function preferenceTerm(
  pairs: PairLogProbs,
  beta: number,
  type: "sigmoid" | "hinge" | "ipo",
  labelSmoothing: number,
): Tensor {
  if (type === "ipo") {
    const checked = checkPairs("cpoLoss", pairs, "chosenLength", "rejectedLength");
    const chosen = perToken(checked.chosen, checked.chosenLength);
    const rejected = perToken(checked.rejected, checked.rejectedLength);
    return square(chosen.sub(rejected).sub(1 / (2 * beta)));
  }
  const z = pairs.chosen.sub(pairs.rejected).mul(beta);
  return type === "hinge" ? relu(sub(1, z)) : smoothedLogistic(z, labelSmoothing);
}
