/**
 * Token-level DPO: the margin pays for the divergence along each completion.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import { perPairTensor } from "./perPair.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link tdpoLoss}. */
export interface TdpoLossOptions {
  /** K_w, `Σ_t KL(π_ref ‖ π_θ)` along the chosen completion, nats, [batch]: see {@link sequenceKl}. Needed. */
  readonly chosenKl?: Tensor;
  /** K_l, the same along the rejected completion. Needed. */
  readonly rejectedKl?: Tensor;
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** 1 or 2, which of the paper's losses; default 2. */
  readonly version?: 1 | 2;
  /** α ≥ 0, of version 2 only; default 0.5. */
  readonly alpha?: number;
}

/**
 * TDPO (Zeng et al. 2024, arXiv 2404.11999). With `r = log π_θ − log π_ref` and the divergences K, nats:
 *
 * version 1: `−log σ(β(r_w − r_l − (K_l − K_w)))`
 * version 2: `−log σ(β(r_w − r_l − α(K_l − sg K_w)))`
 *
 * Gradients flow into the divergences. Rewards are `β·r`. The formula is the authors' code's; the
 * paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs (the divergences among them), options out of range, and
 * `alpha` with version 1.
 */
export function tdpoLoss(pairs: PairLogProbs, options: TdpoLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, version = 2, alpha } = options;
  checkOptions("tdpoLoss", options, "chosenKl", "rejectedKl", "beta", "version", "alpha");
  checkBeta("tdpoLoss", beta);
  checkNumber("tdpoLoss", "version", version, (v) => v === 1 || v === 2, "that is 1 or 2");
  if (alpha !== undefined) {
    if (version === 1) throw new TypeError("tdpoLoss: alpha belongs to version 2");
    checkNumber("tdpoLoss", "alpha", alpha, (a) => a >= 0, "≥ 0");
  }
  const ratios = logRatios("tdpoLoss", pairs);
  const divergence = (which: "chosen" | "rejected") =>
    perPairTensor(
      "tdpoLoss",
      `${which}Kl`,
      `Σ_t KL(π_ref ‖ π_θ) along the ${which} completions`,
      options[`${which}Kl`],
      pairs.chosen,
    );
  const [chosenKl, rejectedKl] = [divergence("chosen"), divergence("rejected")];
  const drift =
    version === 1
      ? rejectedKl.sub(chosenKl)
      : rejectedKl.sub(stopGradient(chosenKl)).mul(alpha ?? 0.5);
  const margin = ratios.chosenRatio.sub(ratios.rejectedRatio).sub(drift);
  return ratioLoss(smoothedLogistic(margin.mul(beta), 0), ratios, beta);
}
