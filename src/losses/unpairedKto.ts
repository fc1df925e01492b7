/**
 * Kahneman-Tversky optimization of completions that have no partner.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { where } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBatch, type InputMeaning, LOG_PROBABILITY } from "./inputs.js";
import { type KtoLossOptions, referencePoint, valueTerms } from "./ktoValue.js";

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
  logProbs: { is: "log-probabilities of the completions", ...LOG_PROBABILITY },
  reference: { is: "the same under the reference model", ...LOG_PROBABILITY },
  desirable: { is: "1 for desirable completions, 0 for others", dtype: "any" },
};
