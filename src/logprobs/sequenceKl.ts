/**
 * How far the policy has moved along a completion, over the whole vocabulary.
 * @module
 */

import { exp, greater, logSoftmax, mul, slice, sub, sum, where } from "../ops/index.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkMask, checkRank, maskedSum, zeroMasked } from "./tokenInputs.js";

/**
 * `Σ_t mask[t]·KL(π_ref(·|y_<t) ‖ π_θ(·|y_<t))`, nats, [B]: TDPO's K (Zeng et al. 2024, arXiv
 * 2404.11999, where it is the sequential KL divergence). A row with an empty mask gives 0. Logits at
 * masked positions may be anything, and get gradient 0. A word whose reference logit is −∞ adds nothing,
 * 0·log 0 = 0; one that only the policy excludes makes the divergence ∞, and its gradients NaN.
 *
 * @param logits [B, T, V], the policy's.
 * @param referenceLogits [B, T, V].
 * @param mask [B, T]: true or 1 at the completion's tokens.
 * @throws if shapes do not fit.
 */
export function sequenceKl(logits: Tensor, referenceLogits: Tensor, mask: Tensor): Tensor {
  checkRank("sequenceKl", "logits", logits, 3, "[B,T,V]");
  if (!sameShape(logits.shape, referenceLogits.shape)) {
    throw new RangeError(
      `sequenceKl: \`referenceLogits\` must have shape ${formatShape(logits.shape)}, got ${formatShape(referenceLogits.shape)}`,
    );
  }
  checkMask("sequenceKl", mask, "logits", logits.shape);
  const kept = (all: Tensor): Tensor => zeroMasked(slice(all, null, [0, -1]), mask);
  return maskedSum(klOf(kept(logits), kept(referenceLogits)), mask);
}

/** `KL(π_ref ‖ π_θ)` of the distributions of logits, nats, `[…, V]` → `[…]`. */
export function klOf(logits: Tensor, referenceLogits: Tensor): Tensor {
  const reference = logSoftmax(referenceLogits);
  const probability = exp(reference);
  // 0·(−∞) = 0: a word the reference excludes has no part, whatever the policy thinks of it.
  const isPossible = greater(probability, 0);
  const possible = (all: Tensor): Tensor => where(isPossible, all, 0);
  const ratio = sub(possible(reference), possible(logSoftmax(logits)));
  return sum(mul(probability, ratio), -1);
}
