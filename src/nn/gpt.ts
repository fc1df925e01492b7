/**
 * A GPT-2 language model.
 * @module
 */

import type { DType } from "../kernels/dtype.js";
import { add } from "../ops/elementwise.js";
import { gather } from "../ops/indexing.js";
import { matmul } from "../ops/matmul.js";
import { slice, swapAxes } from "../ops/movement.js";
import { randomGenerator } from "../tensor/random.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  type AttentionOptions,
  type AttentionParameters,
  causalSelfAttention,
  checkHeads,
  initAttention,
} from "./attention.js";
import { checkIds, type EmbeddingParameters, embedding, initEmbedding } from "./embedding.js";
import { initMlp, type MlpParameters, mlp } from "./mlp.js";
import { initLayerNorm, type LayerNormParameters, layerNorm } from "./normalization.js";
import type { PackedBatch } from "./packing.js";

/** Size and layout of a {@link gpt}. */
export interface GptConfig {
  /** V: ids are 0 … V − 1. */
  readonly vocabularySize: number;
  /** The largest number of positions. */
  readonly contextLength: number;
  /** D: width of the residual stream. */
  readonly width: number;
  /** Number of blocks. */
  readonly layers: number;
  /** Attention heads of a block; a divisor of the width. */
  readonly heads: number;
  /** Hidden width of a block's feed-forward layer; default 4·width. */
  readonly mlpWidth?: number;
  /**
   * Logits are products with the token embedding (true, as in GPT-2) or with a matrix of their own
   * (false). Default true.
   */
  readonly tiedHead?: boolean;
  /** The `groups` of {@link causalSelfAttention}. 1 computes the masked half of all scores too. */
  readonly attentionGroups?: number;
}

/** Parameters of one block. */
export interface GptBlockParameters {
  readonly norm1: LayerNormParameters;
  readonly attention: AttentionParameters;
  readonly norm2: LayerNormParameters;
  readonly mlp: MlpParameters;
}

/** Parameters of a {@link gpt}. */
export interface GptParameters {
  /** `[V, D]`. */
  readonly tokenEmbedding: EmbeddingParameters;
  /** `[contextLength, D]`. */
  readonly positionEmbedding: EmbeddingParameters;
  readonly blocks: readonly GptBlockParameters[];
  readonly finalNorm: LayerNormParameters;
  /** `[V, D]`; absent with a tied head. */
  readonly head?: EmbeddingParameters;
}

/** Options of a model's `init`. */
export interface GptInitOptions {
  /** Standard deviation of weights and embeddings; default 0.02. */
  readonly std?: number;
  /** Element type; default `float32`. */
  readonly dtype?: DType;
}

/** A language model as functions of its parameters `P`: what {@link generate} needs of one. */
export interface LanguageModel<P> {
  readonly config: { readonly vocabularySize: number; readonly contextLength: number };
  /** Final hidden states: ids `[B, T]` give `[B, T, D]`. */
  hidden(parameters: P, ids: Tensor): Tensor;
  /** The matrix `[V, D]` whose rows' products with a hidden state are the logits. */
  headWeight(parameters: P): Tensor;
}

/** What {@link gpt} makes. */
export interface Gpt extends LanguageModel<GptParameters> {
  readonly config: GptConfig;
  /**
   * Parameters to start from: weights and embeddings from N(0, std²), the two projections into the
   * residual stream from N(0, std²/(2·layers)), biases 0, norms' weights 1 (Radford et al. 2019,
   * §2.3).
   */
  init(seed: number | string, options?: GptInitOptions): GptParameters;
  /**
   * Logits of the next token after every position: int32 ids `[B, T]` give `[B, T, V]`.
   * @throws if T exceeds the context, or ids whose values are known are outside the vocabulary.
   */
  apply(parameters: GptParameters, ids: Tensor): Tensor;
  /**
   * Final hidden states of a packed batch's tokens that predict, `[M, D]`: the rows of `hidden` from
   * which the log-probabilities of its masked-in tokens follow.
   * @throws if its positions exceed the context, or ids are outside the vocabulary.
   */
  packedHidden(parameters: GptParameters, batch: PackedBatch): Tensor;
}

/**
 * A decoder-only transformer in GPT-2's layout: token plus learnt position embedding; per block
 * `x ← x + attention(norm1(x))`, `x ← x + mlp(norm2(x))`; a final norm; logits without bias
 * (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners").
 *
 * @throws for sizes that are not positive integers or heads that do not divide the width.
 * @example
 * const model = gpt({ vocabularySize: 256, contextLength: 128, width: 128, layers: 4, heads: 4 });
 * const parameters = model.init(0);
 * const logits = model.apply(parameters, ids);
 */
export function gpt(config: GptConfig): Gpt {
  const { vocabularySize, contextLength, width, layers, heads } = config;
  const { mlpWidth = 4 * width, tiedHead = true, attentionGroups } = config;
  const sizes = { vocabularySize, contextLength, width, layers, heads, mlpWidth };
  for (const [name, size] of Object.entries(sizes)) {
    if (!(Number.isInteger(size) && size > 0)) {
      throw new RangeError(`gpt: ${name} must be a positive integer, got ${size}`);
    }
  }
  checkHeads("gpt", width, heads);

  const init: Gpt["init"] = (seed, { std = 0.02, dtype = "float32" } = {}) => {
    const own = { seed: randomGenerator(seed), std, dtype };
    const projectionStd = std / Math.sqrt(2 * layers);
    return {
      tokenEmbedding: initEmbedding(vocabularySize, width, own),
      positionEmbedding: initEmbedding(contextLength, width, own),
      blocks: Array.from({ length: layers }, () => ({
        norm1: initLayerNorm(width, own),
        attention: initAttention(width, { ...own, projectionStd }),
        norm2: initLayerNorm(width, own),
        mlp: initMlp(width, { ...own, projectionStd, hiddenWidth: mlpWidth }),
      })),
      finalNorm: initLayerNorm(width, own),
      ...(tiedHead ? {} : { head: initEmbedding(vocabularySize, width, own) }),
    };
  };

  const hidden: Gpt["hidden"] = (parameters, ids) => {
    const positions = ids.shape[1];
    if (ids.rank !== 2 || positions === undefined) {
      throw new RangeError(
        `gpt: ids have shape ${formatShape(ids.shape)}; they need [batch, positions]`,
      );
    }
    if (positions > contextLength) {
      throw new RangeError(
        `gpt: ids ${formatShape(ids.shape)} have ${positions} positions, the context ${contextLength}`,
      );
    }
    checkIds("gpt", ids, vocabularySize);
    const places = slice(parameters.positionEmbedding.weight, [0, positions]);
    return throughBlocks(parameters, add(embedding(parameters.tokenEmbedding, ids), places));
  };

  const packedHidden: Gpt["packedHidden"] = (parameters, batch) => {
    const positions = batch.tokens.shape[1]!;
    if (positions > contextLength) {
      throw new RangeError(
        `gpt: the packed batch has ${positions} positions, the context ${contextLength}`,
      );
    }
    checkIds("gpt", batch.ids, vocabularySize);
    const places = embedding(parameters.positionEmbedding, batch.positions);
    return throughBlocks(
      parameters,
      add(embedding(parameters.tokenEmbedding, batch.ids), places),
      batch,
    );
  };

  function throughBlocks(parameters: GptParameters, start: Tensor, batch?: PackedBatch): Tensor {
    const options: AttentionOptions = {
      ...(attentionGroups === undefined ? {} : { groups: attentionGroups }),
      ...(batch && { batch }),
    };
    let x = start;
    for (const [i, block] of parameters.blocks.entries()) {
      // Nobody reads what the last block makes of tokens that predict nothing.
      const predictorsOnly = batch !== undefined && i === parameters.blocks.length - 1;
      const own = { ...options, predictorsOnly };
      const mixed = causalSelfAttention(block.attention, layerNorm(block.norm1, x), heads, own);
      x = add(predictorsOnly ? gather(x, batch.predictors) : x, mixed);
      x = add(x, mlp(block.mlp, layerNorm(block.norm2, x)));
    }
    return layerNorm(parameters.finalNorm, x);
  }

  const headWeight: Gpt["headWeight"] = ({ head, tokenEmbedding }) => {
    if (!tiedHead && !head) {
      throw new TypeError("gpt: the head is not tied, but the parameters have no head");
    }
    return (tiedHead ? tokenEmbedding : head!).weight;
  };

  return {
    config,
    init,
    hidden,
    packedHidden,
    headWeight,
    apply: (parameters, ids) =>
      matmul(hidden(parameters, ids), swapAxes(headWeight(parameters), 0, 1)),
  };
}
