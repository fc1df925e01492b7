/**
 * From a language model's logits to the log-probabilities of given tokens.
 *
 * Position t is predicted from position t − 1, so a sequence of T tokens has T − 1 log-probabilities.
 * @module
 */

import { isFloating } from "../kernels/dtype.js";
import { cast, expandDims, logSumExp, slice, squeeze, sub, takeAlongAxis } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkIds, checkMask, checkRank, maskedSum } from "./tokenInputs.js";

/**
 * Log-probability of each token given those before it, nats: `[B, T−1]`, entry t − 1 being
 * `logits[t−1, ids[t]] − log Σ_v e^logits[t−1, v]`. An id outside the vocabulary (a padding mark such
 * as −100) gives NaN; {@link sequenceLogProbs} leaves it out if it is masked.
 *
 * @param logits [B, T, V]. What is not floating point is computed in float32.
 * @param ids [B, T], integers.
 * @throws if shapes or dtypes do not fit.
 */
export function tokenLogProbs(logits: Tensor, ids: Tensor): Tensor {
  checkRank("tokenLogProbs", "logits", logits, 3, "[B,T,V]");
  checkIds("tokenLogProbs", ids, "logits", logits.shape);
  return shiftedLogProbs(logits, ids);
}

/**
 * Log-probability of each sequence's completion, nats: `[B]`,
 * `Σ_t mask[t]·(logits[t−1, ids[t]] − log Σ_v e^logits[t−1, v])` for t ≥ 1. A row with an empty mask
 * gives 0, and what stands at masked positions is of no account.
 *
 * @param logits [B, T, V]. What is not floating point is computed in float32.
 * @param ids [B, T], integers.
 * @param mask [B, T]: true or 1 at the completion's tokens; other weights multiply.
 * @throws if shapes or dtypes do not fit.
 */
export function sequenceLogProbs(logits: Tensor, ids: Tensor, mask: Tensor): Tensor {
  checkRank("sequenceLogProbs", "logits", logits, 3, "[B,T,V]");
  checkIds("sequenceLogProbs", ids, "logits", logits.shape);
  checkMask("sequenceLogProbs", mask, ids);
  return maskedSum(shiftedLogProbs(logits, ids), mask);
}

function shiftedLogProbs(logits: Tensor, ids: Tensor): Tensor {
  return logProbsOf(slice(logits, null, [0, -1]), slice(ids, null, [1]));
}

/** Log-probabilities of targets under logits, `[…, V]` and `[…]` → `[…]`. */
export function logProbsOf(logits: Tensor, targets: Tensor): Tensor {
  const scores = isFloating(logits.dtype) ? logits : cast(logits, "float32");
  const chosen = squeeze(takeAlongAxis(scores, expandDims(targets, -1)), -1);
  return sub(chosen, logSumExp(scores, -1));
}
