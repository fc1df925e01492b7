/**
 * Sentences of a completion: finding them, summing over them, weighing them.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import {
  add,
  div,
  equal,
  exp,
  expandDims,
  greater,
  max,
  maximum,
  min,
  minimum,
  mul,
  neg,
  slice,
  sub,
  sum,
  where,
} from "../ops/index.js";
import { iota } from "../tensor/create.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { LARGEST_EXPONENT } from "./exponents.js";
import { checkNumber, checkOptions } from "./inputs.js";
import { checkTokens } from "./tokenInputs.js";

/**
 * The sentence each token of a text begins in, counted from 0, by `Intl.Segmenter`.
 *
 * @param starts Where in the text each token starts, in UTF-16 units, ascending.
 * @param locale Language of the text; default `"en"`.
 * @throws for a start outside the text.
 */
export function sentenceIndices(text: string, starts: readonly number[], locale = "en"): number[] {
  const segments = new Intl.Segmenter(locale, { granularity: "sentence" }).segment(text);
  const begins = Array.from(segments, ({ index }) => index);
  return starts.map((start) => {
    if (!(start >= 0 && start < text.length)) {
      throw new RangeError(
        `sentenceIndices: no token starts at ${start} of ${text.length} characters`,
      );
    }
    return begins.filter((begin) => begin <= start).length - 1;
  });
}

/**
 * Sums of values over sentences, [B, K]; 0 for a sentence without tokens.
 *
 * @param values [B, T−1], one per predicted token: see {@link tokenLogProbs}.
 * @param sentences [B, T], int32: the sentence of each token, below 0 outside the completion.
 * @param count K, sentences at most.
 * @throws if shapes do not fit.
 */
export function sentenceSums(values: Tensor, sentences: Tensor, count: number): Tensor {
  const members = membership("sentenceSums", values, sentences, count);
  return sum(where(members, expandDims(values, 1), 0), -1);
}

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

/** Whether a token [T−1] belongs to a sentence [K], [B, K, T−1]. */
function membership(name: string, values: Tensor, sentences: Tensor, count: number): Tensor {
  checkNumber(name, "count", count, (k) => Number.isInteger(k) && k > 0, "that is an integer > 0");
  checkTokens(name, "values", values, sentences);
  const own = expandDims(slice(sentences.cast("int32"), null, [1]), 1);
  return equal(own, iota([count]).reshape([1, count, 1]));
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
