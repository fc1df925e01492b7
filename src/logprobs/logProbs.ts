/**
 * From a language model's logits to the log-probabilities of given tokens.
 *
 * Position t is predicted from position t − 1, so a sequence of T tokens has T − 1 log-probabilities.
 * @module
 */

import { isFloating } from "../kernels/dtype.js";
import { cast, expandDims, logSumExp, slice, squeeze, sub, takeAlongAxis } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkIds, checkMask, checkRank, maskedSum, zeroMasked } from "./tokenInputs.js";

/**
 * Log-probability of each token given those before it, nats: `[B, T−1]`, entry t − 1 being
 * `logits[t−1, ids[t]] − log Σ_v e^logits[t−1, v]`. An id outside the vocabulary (a padding mark such
 * as −100) gives NaN; {@link sequenceLogProbs} leaves it out if it is masked. At a position whose logits
 * are not finite the gradient is NaN, even if the result there is not used.
 *
 * @param logits [B, T, V]. What is not floating point is computed in float32.
 * @param ids [B, T], integers.
 * @throws if shapes or dtypes do not fit.
 */
export function tokenLogProbs(logits: Tensor, ids: Tensor): Tensor {
  checkRank("tokenLogProbs", "logits", logits, 3, "[B,T,V]");
  checkIds("tokenLogProbs", ids, "logits", logits.shape);
  return logProbsOf(slice(logits, null, [0, -1]), slice(ids, null, [1]));
}

/**
 * Log-probability of each sequence's completion, nats: `[B]`,
 * `Σ_t mask[t]·(logits[t−1, ids[t]] − log Σ_v e^logits[t−1, v])` for t ≥ 1. A row with an empty mask
 * gives 0. Logits and ids at masked positions may be anything: they have no part in the value, and the
 * gradient of such logits is 0, also where they are not finite.
 *
 * @param logits [B, T, V]. What is not floating point is computed in float32.
 * @param ids [B, T], integers.
 * @param mask [B, T]: true or 1 at the completion's tokens; other weights multiply.
 * @throws if shapes or dtypes do not fit.
 */
export function sequenceLogProbs(logits: Tensor, ids: Tensor, mask: Tensor): Tensor {
  checkRank("sequenceLogProbs", "logits", logits, 3, "[B,T,V]");
  checkIds("sequenceLogProbs", ids, "logits", logits.shape);
  checkMask("sequenceLogProbs", mask, "logits", logits.shape);
  const kept = zeroMasked(slice(logits, null, [0, -1]), mask);
  return maskedSum(logProbsOf(kept, slice(ids, null, [1])), mask);
}

/** Log-probabilities of targets under logits, `[…, V]` and `[…]` → `[…]`. */
export function logProbsOf(logits: Tensor, targets: Tensor): Tensor {
  const scores = isFloating(logits.dtype) ? logits : cast(logits, "float32");
  const chosen = squeeze(takeAlongAxis(scores, expandDims(targets, -1)), -1);
  return sub(chosen, logSumExp(scores, -1));
}
