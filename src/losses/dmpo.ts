/**
 * DMPO: a reverse divergence for diffusion models.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { type PairErrors, utility } from "./diffusionDpo.js";
import { bernoulliDivergence } from "./logistic.js";
import { preferenceLoss } from "./logRatios.js";
import type { PreferenceLoss } from "./types.js";

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
