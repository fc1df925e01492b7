/**
 * DPO with a margin per pair, given by how much better the chosen completion is.
 * @module
 */

import { checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import { checkIfNumber, perPairValue } from "./perPair.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link offsetDpoLoss}. */
export interface OffsetDpoLossOptions {
  /** δ(x), the margin wanted, in units of the reward: [batch], or one for all. Needed. */
  readonly offset?: Tensor | number;
  /** β > 0; default 0.1. */
  readonly beta?: number;
}

/**
 * ODPO, DPO with an offset (Amini et al. 2024, arXiv 2402.10571). With `r = log π_θ − log π_ref`, nats:
 *
 * `−log σ(β(r_w − r_l) − δ)`
 *
 * The paper takes δ as an increasing function of the difference of the completions' scores; here it is
 * given, without gradient. Rewards are `β·r`. The paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs (`offset` among them) and options out of range.
 */
export function offsetDpoLoss(
  pairs: PairLogProbs,
  options: OffsetDpoLossOptions = {},
): PreferenceLoss {
  const { beta = 0.1 } = options;
  checkOptions("offsetDpoLoss", options, "offset", "beta");
  checkBeta("offsetDpoLoss", beta);
  checkIfNumber("offsetDpoLoss", "offset", options.offset);
  const ratios = logRatios("offsetDpoLoss", pairs);
  const meaning = "margins wanted";
  const offset = perPairValue("offsetDpoLoss", "offset", meaning, options.offset, pairs.chosen);
  const constant = typeof offset === "number" ? offset : stopGradient(offset);
  const z = ratios.chosenRatio.sub(ratios.rejectedRatio).mul(beta).sub(constant);
  return ratioLoss(smoothedLogistic(z, 0), ratios, beta);
}
