/**
 * DPO calibrated: a margin, and log-ratios that are rewards on a given scale.
 * @module
 */

import { checkOptions } from "../checks.js";
import { square } from "../ops/index.js";
import { checkBeta } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link calDpoLoss}. */
export interface CalDpoLossOptions {
  /** β > 0: the log-ratios are to be ±1/(2β) nats; default 0.002. */
  readonly beta?: number;
}

/**
 * Cal-DPO (Xiao et al. 2024, arXiv 2412.14516). With `r = log π_θ − log π_ref`, nats:
 *
 * `−log σ(r_w − r_l) + ½((r_w − 1/(2β))² + (r_l + 1/(2β))²)`
 *
 * There is no β inside σ. Rewards are `β·r`. The paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function calDpoLoss(pairs: PairLogProbs, options: CalDpoLossOptions = {}): PreferenceLoss {
  const { beta = 0.002 } = options;
  checkOptions("calDpoLoss", options, "beta");
  checkBeta("calDpoLoss", beta);
  const ratios = logRatios("calDpoLoss", pairs);
  const { chosenRatio, rejectedRatio } = ratios;
  const target = 1 / (2 * beta);
  const calibration = square(chosenRatio.sub(target)).add(square(rejectedRatio.add(target)));
  const preference = smoothedLogistic(chosenRatio.sub(rejectedRatio), 0);
  return ratioLoss(preference.add(calibration.mul(0.5)), ratios, beta);
}
