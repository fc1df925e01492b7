/**
 * Sentences of a completion: which one each token is in, and sums over them.
 * @module
 */

import { checkCount } from "../checks.js";
import { equal, expandDims, slice, sum, where } from "../ops/index.js";
import { iota } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
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

/** Whether each token belongs to each sentence, [B, K, T−1]. */
export function membership(name: string, values: Tensor, sentences: Tensor, count: number): Tensor {
  checkCount(name, "count", count, 1);
  checkTokens(name, "values", values, sentences);
  const own = expandDims(slice(sentences.cast("int32"), null, [1]), 1);
  return equal(own, iota([count]).reshape([1, count, 1]));
}
