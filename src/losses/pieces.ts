/**
 * The pieces preference losses are composed of.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { add, logSigmoid, maximum, mul, neg, sigmoid, sub } from "../ops/index.js";
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

/** `−(1−ε) log σ(z) − ε log σ(−z)`: cross-entropy of the preference with a share ε of labels flipped. */
export function smoothedLogistic(z: Tensor, epsilon: number): Tensor {
  const right = neg(logSigmoid(z));
  if (epsilon === 0) return right;
  return sub(mul(right, 1 - epsilon), mul(logSigmoid(neg(z)), epsilon));
}

/**
 * `KL(Bernoulli(σ(z)) ‖ Bernoulli(1 − ε))`
 * `= σ(z)(log σ(z) − log(1−ε)) + σ(−z)(log σ(−z) − log ε)`, 0 < ε < 1.
 */
export function bernoulliDivergence(z: Tensor, epsilon: number): Tensor {
  const against = neg(z);
  return add(
    mul(sigmoid(z), sub(logSigmoid(z), Math.log1p(-epsilon))),
    mul(sigmoid(against), sub(logSigmoid(against), Math.log(epsilon))),
  );
}

/** Log-probability per token, nats/token; 0 for an empty completion. */
export function perToken(logProbs: Tensor, length: Tensor): Tensor {
  return logProbs.div(maximum(length, 1).cast(logProbs.dtype));
}
