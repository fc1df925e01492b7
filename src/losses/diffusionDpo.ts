/**
 * Diffusion-DPO: denoising errors in place of log-probabilities.
 * @module
 */

import { checkOptions } from "../checks.js";
import { checkBatch, checkBeta, type InputMeaning } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { checkErrors } from "./logProbPairs.js";
import { preferenceLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/**
 * Mean squared denoising errors of the noised chosen and rejected sample, [batch] each, of the policy
 * and of the reference: at the same timestep, with the same noise. An error is, up to scale, minus the
 * log-likelihood's bound: negated, the four are log-probabilities as other losses take them.
 */
export type PairErrors = Pick<
  PairLogProbs,
  "chosen" | "rejected" | "referenceChosen" | "referenceRejected"
>;

/** Options of {@link diffusionDpoLoss}. */
export interface DiffusionDpoLossOptions {
  /** β > 0; default 5000 (2000 for Stable Diffusion 1.5). */
  readonly beta?: number;
}

/**
 * Diffusion-DPO (Wallace et al. 2023, arXiv 2311.12908). With mean squared errors m of the denoiser:
 *
 * `−log σ(u)`, `u = −½β((m_w − m_l) − (the reference's m_w − m_l))`
 *
 * Rewards are `−½β(m − the reference's m)`. {@link spoLoss} reads pairs as log-probabilities: give it
 * negated errors, and as its base a function that negates them back. The paper's text was not at hand.
 *
 * @param errors Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs, options out of range, and as the direct base of spoLoss.
 */
export function diffusionDpoLoss(
  errors: PairErrors,
  options: DiffusionDpoLossOptions = {},
): PreferenceLoss {
  const { beta = 5000 } = options;
  checkOptions("diffusionDpoLoss", options, "beta");
  const { u, chosen, rejected } = utility("diffusionDpoLoss", errors, beta);
  return preferenceLoss(smoothedLogistic(u, 0), chosen, rejected);
}

const NAMES = ["chosen", "rejected", "referenceChosen", "referenceRejected"] as const;

const ERRORS: Readonly<Record<keyof PairErrors, InputMeaning>> = {
  chosen: { is: "denoising errors of the chosen samples", dtype: "floating point" },
  rejected: { is: "denoising errors of the rejected samples", dtype: "floating point" },
  referenceChosen: {
    is: "denoising errors of the chosen samples under the reference model",
    dtype: "floating point",
  },
  referenceRejected: {
    is: "denoising errors of the rejected samples under the reference model",
    dtype: "floating point",
  },
};

export function utility(loss: string, errors: PairErrors, beta: number) {
  checkBeta(loss, beta);
  checkBatch(loss, errors, ERRORS, NAMES);
  checkErrors(loss, errors);
  const { chosen: own, rejected: other, referenceChosen, referenceRejected } = errors;
  const chosen = own.sub(referenceChosen!).mul(-beta / 2);
  const rejected = other.sub(referenceRejected!).mul(-beta / 2);
  return { u: chosen.sub(rejected), chosen, rejected };
}
