/**
 * Kahneman-Tversky optimization on pairs, and the reference point completions are judged against.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { relu } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBatch, type InputMeaning, LOG_PROBABILITY } from "./inputs.js";
import { type KtoLossOptions, referencePoint, valueTerms } from "./ktoValue.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/**
 * KTO on pairs (Ethayarajh et al. 2024, arXiv 2402.01306): the chosen completion is a desirable example
 * and the rejected one an undesirable one. With `r = log π_θ − log π_ref`, nats:
 *
 * `½ λ_D(1 − σ(β(r_w − k))) + ½ λ_U(1 − σ(β(k − r_l)))`
 *
 * k has no gradient. For completions without a partner there is {@link unpairedKtoLoss}. Rewards are
 * `β·r`. The formula is TRL's; the paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs (`kl` among them) and options out of range.
 * @example ktoLoss(pairs, { kl: ktoKl(mismatched, mismatchedReference) });
 */
export function ktoLoss(pairs: PairLogProbs, options: KtoLossOptions = {}): PreferenceLoss {
  const { beta = 0.1 } = options;
  const { desirable, undesirable } = valueTerms("ktoLoss", options);
  const ratios = logRatios("ktoLoss", pairs);
  const kl = referencePoint("ktoLoss", options.kl, pairs.chosen);
  const chosen = desirable(ratios.chosenRatio.sub(kl));
  const rejected = undesirable(ratios.rejectedRatio.sub(kl));
  return ratioLoss(chosen.add(rejected).mul(0.5), ratios, beta);
}

/**
 * KTO's reference point, a scalar without gradient: `k = max(0, mean(log π_θ − log π_ref))` over
 * mismatched pairs, each a prompt with another prompt's completion (shift the completions of a batch
 * by one). It estimates the policy's divergence from the reference, nats per sequence.
 *
 * @param mismatched [M], log-probabilities of the mismatched completions.
 * @param reference [M], the same under the reference.
 * @throws for missing, misshapen or empty inputs.
 */
export function ktoKl(mismatched: Tensor, reference: Tensor): Tensor {
  checkBatch("ktoKl", { mismatched, reference }, MISMATCHED, ["mismatched", "reference"]);
  return stopGradient(relu(mismatched.sub(reference).mean()));
}

const MISMATCHED: Readonly<Record<"mismatched" | "reference", InputMeaning>> = {
  mismatched: {
    is: "log-probabilities of prompts with other prompts' completions",
    ...LOG_PROBABILITY,
  },
  reference: { is: "the same under the reference model", dtype: "floating point" },
};
