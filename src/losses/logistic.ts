/**
 * Logistic losses of a margin, with labels that may be wrong.
 * @module
 */

import { logSigmoid, sigmoid } from "../ops/activations.js";
import { add, mul, neg, sub } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";

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
