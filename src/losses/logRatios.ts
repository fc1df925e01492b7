/**
 * Log-ratios of a batch of pairs, and the result of a loss from its terms.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { maximum } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkPairs } from "./inputs.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Log-ratios `r = log π_θ − log π_ref` of a batch of pairs, nats; [batch] each. */
export interface LogRatios {
  readonly chosenRatio: Tensor;
  readonly rejectedRatio: Tensor;
}

/** The log-ratios of pairs, which need a reference. */
export function logRatios(loss: string, pairs: PairLogProbs): LogRatios {
  const checked = checkPairs(loss, pairs, "referenceChosen", "referenceRejected");
  return {
    chosenRatio: checked.chosen.sub(checked.referenceChosen),
    rejectedRatio: checked.rejected.sub(checked.referenceRejected),
  };
}

/** A loss whose implicit rewards are `β·r`. */
export function ratioLoss(perPair: Tensor, ratios: LogRatios, beta: number): PreferenceLoss {
  return preferenceLoss(perPair, ratios.chosenRatio.mul(beta), ratios.rejectedRatio.mul(beta));
}

/** A loss from the loss of each pair and the implicit rewards. */
export function preferenceLoss(
  perPair: Tensor,
  chosenReward: Tensor,
  rejectedReward: Tensor,
): PreferenceLoss {
  return {
    loss: perPair.mean(),
    perPair,
    rewards: { chosen: stopGradient(chosenReward), rejected: stopGradient(rejectedReward) },
  };
}

/** Log-probability per token, nats/token; 0 for an empty completion. */
export function perToken(logProbs: Tensor, length: Tensor): Tensor {
  return logProbs.div(maximum(length, 1).cast(logProbs.dtype));
}
