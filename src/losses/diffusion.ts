/**
 * Preference losses of diffusion models, on denoising errors in place of log-probabilities.
 * @module
 */

import { checkBeta, checkNumber, checkOptions } from "./inputs.js";
import { checkErrors } from "./logProbPairs.js";
import { bernoulliDivergence, logRatios, preferenceLoss, smoothedLogistic } from "./pieces.js";
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

/** Options of {@link dmpoLoss}. */
export interface DmpoLossOptions {
  /** β > 0; default 5000. */
  readonly beta?: number;
  /** α in (0, ½], the probability the target leaves the rejected sample; default 0.01. */
  readonly alpha?: number;
}

/**
 * DMPO, divergence minimization (arXiv 2507.07510), a reconstruction: the paper's text was not at hand
 * and the form is a re-implementation's. With u as in {@link diffusionDpoLoss}:
 *
 * `KL(Bernoulli(σ(u)) ‖ Bernoulli(1 − α))`, with gradient through σ(u):
 * `dL/du = σ(u)σ(−u)(u − logit(1 − α))`
 *
 * The reverse divergence seeks a mode, where Diffusion-DPO's covers the mass. Rewards are as there.
 *
 * @param errors Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs, options out of range, and as the direct base of spoLoss.
 */
export function dmpoLoss(errors: PairErrors, options: DmpoLossOptions = {}): PreferenceLoss {
  const { beta = 5000, alpha = 0.01 } = options;
  checkOptions("dmpoLoss", options, "beta", "alpha");
  checkNumber("dmpoLoss", "alpha", alpha, (a) => a > 0 && a <= 0.5, "in (0, ½]");
  const { u, chosen, rejected } = utility("dmpoLoss", errors, beta);
  return preferenceLoss(bernoulliDivergence(u, alpha), chosen, rejected);
}

function utility(loss: string, errors: PairErrors, beta: number) {
  checkBeta(loss, beta);
  const excess = logRatios(loss, errors);
  checkErrors(loss, errors);
  const chosen = excess.chosenRatio.mul(-beta / 2);
  const rejected = excess.rejectedRatio.mul(-beta / 2);
  return { u: chosen.sub(rejected), chosen, rejected };
}
