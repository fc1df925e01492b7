/**
 * ASPO's weights of sentences.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { membership, sentenceSums } from "../logprobs/sentences.js";
import { stopGradient } from "../ops/composite.js";
import { add, div, exp, greater, maximum, minimum, mul, neg, sub, where } from "../ops/index.js";
import { max, min, sum } from "../ops/reduce.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { LARGEST_EXPONENT } from "./exponents.js";

/** Options of {@link aspoWeights}. */
export interface AspoWeightsOptions {
  /** Similarity of each sentence and the image, [B, K], any scale; without it α is 0. */
  readonly similarity?: Tensor;
  /** α in [0, 1], the similarity's share; default 0.5. Needs `similarity`. */
  readonly alpha?: number;
}

/**
 * ASPO's weights of sentences (arXiv 2505.19100), a reconstruction: `w = α·S' + (1−α)·PPL'`, [B, K],
 * without gradient. S' is the similarity and PPL' the negative perplexity, each scaled to [0, 1] over
 * the sentences of a completion. Completions of one sentence, and sentences without tokens, have weight
 * 0. α has no published default that was at hand.
 *
 * @param tokens [B, T−1], log-probabilities of the tokens under the policy.
 * @param sentences [B, T], int32: the sentence of each token, below 0 outside the completion.
 * @param count K, sentences at most.
 * @throws if shapes do not fit or α is out of range.
 */
export function aspoWeights(
  tokens: Tensor,
  sentences: Tensor,
  count: number,
  options: AspoWeightsOptions = {},
): Tensor {
  checkOptions("aspoWeights", options, "similarity", "alpha");
  const { similarity, alpha = 0.5 } = options;
  checkNumber("aspoWeights", "alpha", alpha, (a) => a >= 0 && a <= 1, "in [0, 1]");
  if (similarity === undefined && options.alpha !== undefined) {
    throw new TypeError("aspoWeights: `alpha` belongs to `similarity`");
  }
  const constant = stopGradient(tokens);
  const members = membership("aspoWeights", constant, sentences, count);
  const length = sum(members.cast(tokens.dtype), -1);
  const within = greater(length, 0);
  const mean = div(sentenceSums(constant, sentences, count), maximum(length, 1));
  const perplexity = exp(minimum(neg(mean), LARGEST_EXPONENT));
  const fluency = scaled(neg(perplexity), within);
  if (similarity === undefined) return fluency;
  if (!sameShape(similarity.shape, fluency.shape)) {
    throw new RangeError(
      `aspoWeights: similarity must have shape ${formatShape(fluency.shape)}, got ${formatShape(similarity.shape)}`,
    );
  }
  const likeness = scaled(stopGradient(similarity).cast(tokens.dtype), within);
  return add(mul(likeness, alpha), mul(fluency, 1 - alpha));
}

/** Min-max scaling over the members of each row; rows without spread are 0. */
function scaled(values: Tensor, within: Tensor): Tensor {
  const bound = (extreme: typeof max, none: number) =>
    extreme(where(within, values, none), -1, { keepDims: true });
  const [low, high] = [bound(min, 3e38), bound(max, -3e38)];
  const spread = sub(high, low);
  const isSpread = greater(spread, 0);
  const share = div(sub(values, low), where(isSpread, spread, 1));
  return where(within, where(isSpread, share, 0), 0);
}
