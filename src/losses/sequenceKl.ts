/**
 * How far the policy has moved along a completion, over the whole vocabulary.
 * @module
 */

import { exp, greater, logSoftmax, slice, sub, sum, where } from "../ops/index.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkRank, checkTokens, maskedSum } from "./tokenInputs.js";

/**
 * `Σ_t mask[t]·KL(π_ref(·|y_<t) ‖ π_θ(·|y_<t))`, nats, [B]: TDPO's K (Zeng et al. 2024, arXiv
 * 2404.11999, where it is the sequential KL divergence). A row with an empty mask gives 0.
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
  const policy = logSoftmax(slice(logits, null, [0, -1]));
  const reference = logSoftmax(slice(referenceLogits, null, [0, -1]));
  const probability = exp(reference);
  // A word the reference excludes has no part, whatever the policy thinks of it.
  const terms = where(greater(probability, 0), probability.mul(sub(reference, policy)), 0);
  const divergence = sum(terms, -1);
  checkTokens("sequenceKl", "divergence", divergence, mask);
  return maskedSum(divergence, mask);
}
