/**
 * Log-probabilities of tokens from hidden states, never holding more than a chunk of the logits.
 * @module
 */

import { checkpoint } from "../autograd/control.js";
import { concat, matmul, pad, reshape, slice, transpose } from "../ops/index.js";
import { zeros } from "../tensor/create.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { logProbsOf } from "./logProbs.js";
import { checkIds, checkMask, checkRank, maskedSum } from "./tokenInputs.js";

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
