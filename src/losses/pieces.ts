/**
 * The pieces preference losses are composed of.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { logSigmoid, maximum, mul, neg, sub } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import type { PreferenceLoss } from "./types.js";

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

/** `−(1−ε) log σ(z) − ε log σ(−z)`: cross-entropy of the preference with a share ε of labels flipped. */
export function smoothedLogistic(z: Tensor, epsilon: number): Tensor {
  const right = neg(logSigmoid(z));
  if (epsilon === 0) return right;
  return sub(mul(right, 1 - epsilon), mul(logSigmoid(neg(z)), epsilon));
}

/** Log-probability per token, nats/token; 0 for an empty completion. */
export function perToken(logProbs: Tensor, length: Tensor): Tensor {
  return logProbs.div(maximum(length, 1).cast(logProbs.dtype));
}
