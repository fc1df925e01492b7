/**
 * Log-probabilities of the tokens a mask leaves, from hidden states: no logits anywhere else.
 * @module
 */

import { checkOptions } from "../checks.js";
import type { PackedBatch } from "../nn/packing.js";
import { softCap } from "../nn/softCap.js";
import { gather, matmul, reshape, scatterAdd, slice, transpose } from "../ops/index.js";
import { zeros } from "../tensor/create.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { logProbsOf } from "./logProbs.js";
import { type HeadOptions, maskedSum } from "./tokenInputs.js";

/**
 * {@link tokenLogProbs} where the packed batch's mask is not 0, and 0 elsewhere: `[B, T−1]`. Logits
 * are computed only where one of those tokens is predicted.
 *
 * @param hidden The states the output head reads: of the tokens that predict, [M, D], as
 * {@link Gpt.packedHidden} gives them, or of all positions of the batch as given, [B, T, D].
 * @param head [V, D], the output head's weight.
 * @param batch What {@link packBatch} made.
 * @param options A cap of the logits, as {@link LanguageModel}'s config has it.
 * @throws if shapes do not fit.
 */
export function packedTokenLogProbs(
  hidden: Tensor,
  head: Tensor,
  batch: PackedBatch,
  options: HeadOptions = {},
): Tensor {
  return packedLogProbs("packedTokenLogProbs", hidden, head, batch, options);
}

/**
 * {@link sequenceLogProbs} of a packed batch, `[B]`: the same numbers, with logits computed only where a
 * masked-in token is predicted.
 *
 * @param hidden The states the output head reads: of the tokens that predict, [M, D], as
 * {@link Gpt.packedHidden} gives them, or of all positions of the batch as given, [B, T, D].
 * @param head [V, D], the output head's weight.
 * @param batch What {@link packBatch} made.
 * @param options A cap of the logits, as {@link LanguageModel}'s config has it.
 * @throws if shapes do not fit.
 */
export function packedSequenceLogProbs(
  hidden: Tensor,
  head: Tensor,
  batch: PackedBatch,
  options: HeadOptions = {},
): Tensor {
  const logProbs = packedLogProbs("packedSequenceLogProbs", hidden, head, batch, options);
  return maskedSum(logProbs, batch.mask);
}

function packedLogProbs(
  name: string,
  hidden: Tensor,
  head: Tensor,
  batch: PackedBatch,
  options: HeadOptions,
): Tensor {
  checkOptions(name, options, "logitSoftCap");
  const { logitSoftCap } = options;
  const [rows, length] = batch.mask.shape as [number, number];
  const everywhere = hidden.rank === 3;
  const expected = everywhere ? [rows, length] : [batch.predictors.size];
  const width = hidden.shape.at(-1);
  if (!sameShape(hidden.shape.slice(0, -1), expected)) {
    throw new RangeError(
      `${name}: \`hidden\` must have shape [${batch.predictors.size},D], the packed batch's, or ` +
        `[${rows},${length},D], got ${formatShape(hidden.shape)}`,
    );
  }
  if (head.rank !== 2 || head.shape[1] !== width) {
    throw new RangeError(
      `${name}: \`head\` must have shape [V,${width}] for hidden states ${formatShape(hidden.shape)}, ` +
        `got ${formatShape(head.shape)}`,
    );
  }
  const states = everywhere ? gather(reshape(hidden, [-1, width!]), batch.givenPlaces) : hidden;
  const found = logProbsOf(softCap(matmul(states, transpose(head)), logitSoftCap), batch.targets);
  return atTargets(batch, found);
}

/** Values of a packed batch's predictions, `[M]`, where their tokens stand, `[B, T−1]`; 0 elsewhere. */
export function atTargets(batch: PackedBatch, values: Tensor): Tensor {
  const [rows, length] = batch.mask.shape as [number, number];
  const count = rows * (length - 1);
  // The last place is for what rounded sizes are filled up with.
  const places = zeros([count + 1], { dtype: values.dtype });
  const all = scatterAdd(places, batch.targetPlaces, values);
  return reshape(slice(all, [0, count]), [rows, length - 1]);
}
