/**
 * Supervised fine-tuning on the chosen completions.
 * @module
 */

import { checkOptions } from "../checks.js";
import { maximum, neg } from "../ops/index.js";
import { checkPairs } from "./inputs.js";
import { preferenceLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/**
 * Negative log-likelihood of the chosen completions, nats per token, averaged over the batch's
 * tokens:
 *
 * `−Σ_i log π_θ(y_w,i | x_i) / Σ_i n_w,i`
 *
 * `perPair` is each pair's share, `−B·log π_θ(y_w)/Σ n_w`, so that its mean is the loss. There is no
 * reference, so the rewards are the log-probabilities themselves.
 *
 * @param pairs Needs `chosenLength`.
 * @throws for missing or misshapen inputs.
 */
export function sftLoss(pairs: PairLogProbs, options: Record<never, never> = {}): PreferenceLoss {
  checkOptions("sftLoss", options);
  const { chosen, rejected, chosenLength } = checkPairs("sftLoss", pairs, "chosenLength");
  const tokens = maximum(chosenLength.sum(), 1).cast(chosen.dtype);
  return preferenceLoss(neg(chosen).mul(chosen.size).div(tokens), chosen, rejected);
}
