/**
 * Log-probabilities of tokens from hidden states, never holding more than a chunk of the logits.
 * @module
 */

import { checkpoint } from "../autograd/control.js";
import { checkCount, checkOptions } from "../checks.js";
import { softCap } from "../nn/softCap.js";
import {
  cast,
  concat,
  expandDims,
  matmul,
  pad,
  reshape,
  slice,
  transpose,
  where,
} from "../ops/index.js";
import { full, zeros } from "../tensor/create.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { logProbsOf } from "./logProbs.js";
import { checkIds, checkMask, checkRank, type HeadOptions, maskedSum } from "./tokenInputs.js";

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
 * @param options A cap of the logits, as {@link LanguageModel}'s config has it.
 * @throws if shapes, dtypes or the chunk size do not fit.
 */
export function chunkedTokenLogProbs(
  hidden: Tensor,
  head: Tensor,
  ids: Tensor,
  chunkSize = 1024,
  options: HeadOptions = {},
): Tensor {
  const everywhere = full(ids.shape, true);
  return chunkedLogProbs("chunkedTokenLogProbs", hidden, head, ids, chunkSize, everywhere, options);
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
 * @param options A cap of the logits, as {@link LanguageModel}'s config has it.
 * @throws if shapes, dtypes or the chunk size do not fit.
 */
export function chunkedSequenceLogProbs(
  hidden: Tensor,
  head: Tensor,
  ids: Tensor,
  mask: Tensor,
  chunkSize = 1024,
  options: HeadOptions = {},
): Tensor {
  const logProbs = chunkedLogProbs(
    "chunkedSequenceLogProbs",
    hidden,
    head,
    ids,
    chunkSize,
    mask,
    options,
  );
  return maskedSum(logProbs, mask);
}

function chunkedLogProbs(
  name: string,
  hidden: Tensor,
  head: Tensor,
  ids: Tensor,
  chunkSize: number,
  mask: Tensor,
  options: HeadOptions,
): Tensor {
  checkOptions(name, options, "logitSoftCap");
  const { logitSoftCap } = options;
  checkRank(name, "hidden", hidden, 3, "[B,T,D]");
  checkRank(name, "head", head, 2, "[V,D]");
  checkIds(name, ids, "hidden", hidden.shape);
  checkMask(name, mask, "hidden", hidden.shape);
  const [batch, length, width] = hidden.shape as [number, number, number];
  if (head.shape[1] !== width) {
    throw new RangeError(
      `${name}: \`head\` must have shape [V,${width}] for hidden states ${formatShape(hidden.shape)}, ` +
        `got ${formatShape(head.shape)}`,
    );
  }
  checkCount(name, "chunkSize", chunkSize, 1);
  const rows = batch * length;
  if (rows === 0) return zeros([batch, Math.max(0, length - 1)], { dtype: hidden.dtype });
  // Every position predicts its successor; the last of a sequence predicts nothing and is cut off.
  const ofNext = (t: Tensor): Tensor =>
    reshape(
      pad(slice(t, null, [1]), [
        [0, 0],
        [0, 1],
      ]),
      [rows],
    );
  const [targets, counts] = [ofNext(ids), ofNext(cast(mask, "bool"))];
  const states = reshape(hidden, [rows, width]);
  const weight = transpose(head);
  // States that do not count are 0, and so is their part of the head's gradient, `logitsGradientᵀ·states`.
  const chunk = checkpoint((part: Tensor, next: Tensor, counted: Tensor) =>
    logProbsOf(
      softCap(matmul(where(expandDims(counted, -1), part, 0), weight), logitSoftCap),
      next,
    ),
  );
  const parts: Tensor[] = [];
  for (let start = 0; start < rows; start += chunkSize) {
    const range = [start, start + chunkSize] as const;
    parts.push(chunk(slice(states, range), slice(targets, range), slice(counts, range)));
  }
  return slice(reshape(concat(parts), [batch, length]), null, [0, -1]);
}
