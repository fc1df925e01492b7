/**
 * Supervised fine-tuning and preference in one, by odds.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { log1mexp, minimum } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta, checkPairs } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { perToken, preferenceLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Probability 1 has infinite odds; a log-probability per token is taken to be at most this. */
const LARGEST = -1e-7;

/** Options of {@link orpoLoss}. */
export interface OrpoLossOptions {
  /** β > 0, weight of the odds ratio (the paper's λ); default 0.1. */
  readonly beta?: number;
  /** Weight ≥ 0 of the chosen completions' negative log-likelihood per token; default 1. */
  readonly nllWeight?: number;
}

/**
 * ORPO (Hong et al. 2024, arXiv 2403.07691). With `a = log π_θ / n`, nats per token:
 *
 * `−nllWeight·a_w − β·log σ((a_w − a_l) − (log(1 − e^a_w) − log(1 − e^a_l)))`
 *
 * In the odds a is taken to be at most −1e-7, so that a completion that is empty or certain has finite
 * odds. The likelihood is of the completion alone; TRL's includes the prompt. Rewards are `β·a`. The
 * paper's text was not at hand.
 *
 * @param pairs Needs `chosenLength` and `rejectedLength`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function orpoLoss(pairs: PairLogProbs, options: OrpoLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, nllWeight = 1 } = options;
  checkOptions("orpoLoss", options, "beta", "nllWeight");
  checkBeta("orpoLoss", beta);
  checkNumber("orpoLoss", "nllWeight", nllWeight, (w) => w >= 0, "≥ 0");
  const checked = checkPairs("orpoLoss", pairs, "chosenLength", "rejectedLength");
  const chosen = perToken(checked.chosen, checked.chosenLength);
  const rejected = perToken(checked.rejected, checked.rejectedLength);
  const preference = smoothedLogistic(logOdds(chosen).sub(logOdds(rejected)), 0).mul(beta);
  const perPair = nllWeight === 0 ? preference : preference.sub(chosen.mul(nllWeight));
  return preferenceLoss(perPair, chosen.mul(beta), rejected.mul(beta));
}

function logOdds(a: Tensor): Tensor {
  const below = minimum(a, LARGEST);
  return below.sub(log1mexp(below));
}
