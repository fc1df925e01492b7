/**
 * The embedding layer.
 * @module
 */

import { gather } from "../ops/indexing.js";
import { randomNormal } from "../tensor/random.js";
import { formatShape } from "../tensor/shape.js";
import { checkTensor, type Tensor } from "../tensor/tensor.js";
import { type InitOptions, initial } from "./initial.js";

/** Parameters of {@link embedding}. */
export interface EmbeddingParameters {
  /** `[vocabulary, width]`. */
  readonly weight: Tensor;
}

/**
 * Rows of the weight: ids of shape I (int32) give `[...I, width]`.
 *
 * @throws if an id is outside the vocabulary and the ids are known without evaluating anything;
 * computed ids outside the vocabulary give rows of NaN.
 */
export function embedding(parameters: EmbeddingParameters, ids: Tensor): Tensor {
  const { weight } = parameters;
  checkTensor("embedding: parameters.weight", weight);
  if (weight.rank !== 2) {
    throw new RangeError(
      `embedding: the weight has shape ${formatShape(weight.shape)}; it needs [vocabulary, width]`,
    );
  }
  checkIds("embedding", ids, weight.shape[0]!);
  return gather(weight, ids);
}

/** Rejects what is known to be no id of the vocabulary, nor the one that stands for none. */
export function checkIds(name: string, ids: Tensor, vocabulary: number, none?: number): void {
  checkTensor(`${name}: ids`, ids);
  if (ids.dtype !== "int32") {
    throw new TypeError(
      `${name}: ids must be int32, not ${ids.dtype}; write tensor(ids, { dtype: "int32" })`,
    );
  }
  if (!ids.host) return;
  const at = ids.host.findIndex((id: number) => (id < 0 || id >= vocabulary) && id !== none);
  if (at >= 0) {
    const place: number[] = [];
    let rest = at;
    for (const extent of [...ids.shape].reverse()) {
      place.unshift(rest % extent);
      rest = Math.floor(rest / extent);
    }
    throw new RangeError(
      `${name}: id ${ids.host[at]} at ${formatShape(place)} is outside the vocabulary 0 … ${vocabulary - 1}`,
    );
  }
}

/** Parameters of {@link embedding}: weights from N(0, std²). */
export function initEmbedding(
  vocabulary: number,
  width: number,
  options: InitOptions,
): EmbeddingParameters {
  const { std, dtype, seed } = initial("initEmbedding", options);
  return { weight: randomNormal([vocabulary, width], { seed, std, dtype }) };
}
