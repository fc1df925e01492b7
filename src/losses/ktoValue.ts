/**
 * KTO's value of a completion, which its losses on pairs and on single completions share.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { sigmoid } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta } from "./inputs.js";
import { checkIfNumber, perPairValue } from "./perPair.js";

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

/** The losses of a completion whose log-ratio lies `above` the reference point. */
export function valueTerms(loss: string, options: KtoLossOptions) {
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

/** The reference point, without gradient. */
export function referencePoint(loss: string, kl: Tensor | number | undefined, like: Tensor) {
  const meaning = "the reference point (ktoKl gives it)";
  const k = perPairValue(loss, "kl", meaning, kl, like);
  return typeof k === "number" ? k : stopGradient(k);
}
