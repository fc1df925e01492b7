/**
 * Kahneman-Tversky optimization: completions judged one by one, against a reference point.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { relu, sigmoid, where } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBatch, checkBeta, checkNumber, checkOptions, type InputMeaning } from "./inputs.js";
import { checkIfNumber, perPairValue } from "./perPair.js";
import { logRatios, ratioLoss } from "./pieces.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link ktoLoss} and {@link unpairedKtoLoss}. */
export interface KtoLossOptions {
  /** k ≥ 0, the reference point, nats, a number or scalar: see {@link ktoKl}. Needed. */
  readonly kl?: Tensor | number;
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** λ_D ≥ 0, weight of desirable completions; default 1. */
  readonly desirableWeight?: number;
  /** λ_U ≥ 0, weight of undesirable completions; default 1. */
  readonly undesirableWeight?: number;
}

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

/** Completions judged one by one. Every tensor has shape [batch]. */
export interface JudgedLogProbs {
  /** `Σ_t log π_θ(y_t)`, nats. */
  readonly logProbs: Tensor;
  /** The same under the frozen reference. */
  readonly reference: Tensor;
  /** True or 1 for desirable completions. */
  readonly desirable: Tensor;
}

/** What {@link unpairedKtoLoss} gives. */
export interface UnpairedLoss {
  /** Scalar to descend: the mean of `perExample`. */
  readonly loss: Tensor;
  /** [batch]. */
  readonly perExample: Tensor;
  /** `β·(log π_θ − log π_ref)`, [batch], without gradient. */
  readonly rewards: Tensor;
}

/**
 * KTO (Ethayarajh et al. 2024, arXiv 2402.01306) on completions without partners:
 * `λ_D(1 − σ(β(r − k)))` for desirable, `λ_U(1 − σ(β(k − r)))` for undesirable ones; see
 * {@link ktoLoss}.
 *
 * @throws for misshapen inputs, a missing `kl`, and options out of range.
 */
export function unpairedKtoLoss(
  examples: JudgedLogProbs,
  options: KtoLossOptions = {},
): UnpairedLoss {
  const { desirable, undesirable } = valueTerms("unpairedKtoLoss", options);
  checkBatch("unpairedKtoLoss", examples, JUDGED, ["logProbs", "reference", "desirable"]);
  const { logProbs, reference, desirable: judged } = examples;
  const ratio = logProbs.sub(reference);
  const above = ratio.sub(referencePoint("unpairedKtoLoss", options.kl, logProbs));
  const perExample = where(judged, desirable(above), undesirable(above));
  const rewards = stopGradient(ratio.mul(options.beta ?? 0.1));
  return { loss: perExample.mean(), perExample, rewards };
}

const JUDGED: Readonly<Record<keyof JudgedLogProbs, InputMeaning>> = {
  logProbs: { is: "log-probabilities of the completions", dtype: "floating point" },
  reference: { is: "the same under the reference model", dtype: "floating point" },
  desirable: { is: "1 for desirable completions, 0 for others", dtype: "any" },
};

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
    dtype: "floating point",
  },
  reference: JUDGED.reference,
};

/** The losses of a completion whose log-ratio lies `above` the reference point. */
function valueTerms(loss: string, options: KtoLossOptions) {
  const { beta = 0.1, desirableWeight = 1, undesirableWeight = 1 } = options;
  checkOptions(loss, options, "kl", "beta", "desirableWeight", "undesirableWeight");
  checkBeta(loss, beta);
  checkNumber(loss, "desirableWeight", desirableWeight, (w) => w >= 0, "≥ 0");
  checkNumber(loss, "undesirableWeight", undesirableWeight, (w) => w >= 0, "≥ 0");
  checkIfNumber(loss, "kl", options.kl, (k) => k >= 0, "≥ 0, or a scalar tensor");
  // 1 − σ(x) = σ(−x)
  return {
    desirable: (above: Tensor) => sigmoid(above.mul(-beta)).mul(desirableWeight),
    undesirable: (above: Tensor) => sigmoid(above.mul(beta)).mul(undesirableWeight),
  };
}

function referencePoint(loss: string, kl: Tensor | number | undefined, like: Tensor) {
  const meaning = "the reference point (ktoKl gives it)";
  const k = perPairValue(loss, "kl", meaning, kl, like);
  return typeof k === "number" ? k : stopGradient(k);
}
