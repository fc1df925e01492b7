/**
 * From a language model's logits to the log-probabilities of given tokens.
 *
 * Position t is predicted from position t − 1, so a sequence of T tokens has T − 1 log-probabilities.
 * @module
 */

import { checkpoint } from "../autograd/control.js";
import { isFloating } from "../kernels/dtype.js";
import {
  cast,
  concat,
  expandDims,
  logSumExp,
  matmul,
  pad,
  reshape,
  slice,
  squeeze,
  sub,
  takeAlongAxis,
  transpose,
} from "../ops/index.js";
import { zeros } from "../tensor/create.js";
import { formatShape } from "../tensor/shape.js";
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

/**
 * {@link tokenLogProbs} from hidden states, `logits = hidden·headᵀ`, without holding all logits: the
 * positions are taken in chunks, and a chunk's logits are computed again in the backward pass. The
 * same numbers for a peak of `chunkSize·V` instead of `B·T·V` logits. Beside it the backward pass holds
 * the head's gradient, `[V, D]`.
 *
 * @param hidden [B, T, D], the states the output head reads.
 * @param head [V, D], the output head's weight.
 * @param ids [B, T], integers.
 * @param chunkSize Positions per chunk, over the whole batch; default 1024.
 * @throws if shapes, dtypes or the chunk size do not fit.
 */
export function chunkedTokenLogProbs(
  hidden: Tensor,
  head: Tensor,
  ids: Tensor,
  chunkSize = 1024,
): Tensor {
  return chunkedLogProbs("chunkedTokenLogProbs", hidden, head, ids, chunkSize);
}

/**
 * {@link sequenceLogProbs} from hidden states, never holding more than a chunk of logits: see
 * {@link chunkedTokenLogProbs}.
 *
 * @param hidden [B, T, D], the states the output head reads.
 * @param head [V, D], the output head's weight.
 * @param ids [B, T], integers.
 * @param mask [B, T]: true or 1 at the completion's tokens; other weights multiply.
 * @param chunkSize Positions per chunk, over the whole batch; default 1024.
 * @throws if shapes, dtypes or the chunk size do not fit.
 */
export function chunkedSequenceLogProbs(
  hidden: Tensor,
  head: Tensor,
  ids: Tensor,
  mask: Tensor,
  chunkSize = 1024,
): Tensor {
  const logProbs = chunkedLogProbs("chunkedSequenceLogProbs", hidden, head, ids, chunkSize);
  checkMask("chunkedSequenceLogProbs", mask, ids);
  return maskedSum(logProbs, mask);
}

function chunkedLogProbs(
  name: string,
  hidden: Tensor,
  head: Tensor,
  ids: Tensor,
  chunkSize: number,
): Tensor {
  checkRank(name, "hidden", hidden, 3, "[B,T,D]");
  checkRank(name, "head", head, 2, "[V,D]");
  checkIds(name, ids, "hidden", hidden.shape);
  const [batch, length, width] = hidden.shape as [number, number, number];
  if (head.shape[1] !== width) {
    throw new RangeError(
      `${name}: \`head\` must have shape [V,${width}] for hidden states ${formatShape(hidden.shape)}, ` +
        `got ${formatShape(head.shape)}`,
    );
  }
  if (!(Number.isInteger(chunkSize) && chunkSize > 0)) {
    throw new RangeError(`${name}: chunkSize must be an integer > 0, got ${chunkSize}`);
  }
  const rows = batch * length;
  if (rows === 0) return zeros([batch, Math.max(0, length - 1)], { dtype: hidden.dtype });
  // Every position predicts its successor; the last of a sequence predicts nothing and is cut off.
  const next = reshape(
    pad(slice(ids, null, [1]), [
      [0, 0],
      [0, 1],
    ]),
    [rows],
  );
  const states = reshape(hidden, [rows, width]);
  const weight = transpose(head);
  const chunk = checkpoint((part: Tensor, targets: Tensor) =>
    logProbsOf(matmul(part, weight), targets),
  );
  const parts: Tensor[] = [];
  for (let start = 0; start < rows; start += chunkSize) {
    const range = [start, start + chunkSize] as const;
    parts.push(chunk(slice(states, range), slice(next, range)));
  }
  return slice(reshape(concat(parts), [batch, length]), null, [0, -1]);
}

function shiftedLogProbs(logits: Tensor, ids: Tensor): Tensor {
  return logProbsOf(slice(logits, null, [0, -1]), slice(ids, null, [1]));
}

/** `[…, V]` and `[…]` → `[…]`. */
function logProbsOf(logits: Tensor, targets: Tensor): Tensor {
  const scores = isFloating(logits.dtype) ? logits : cast(logits, "float32");
  const chosen = squeeze(takeAlongAxis(scores, expandDims(targets, -1)), -1);
  return sub(chosen, logSumExp(scores, -1));
}
