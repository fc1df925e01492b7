/**
 * A GPT-2 language model: the decoder in GPT-2's form, with GPT-2's start.
 * @module
 */

import { checkCount, checkOptions } from "../checks.js";
import type { DType } from "../kernels/dtype.js";
import { type AttentionParameters, checkHeads } from "../nn/attention.js";
import type { EmbeddingParameters } from "../nn/embedding.js";
import { filled, initial } from "../nn/initial.js";
import type { MlpParameters } from "../nn/mlp.js";
import type { LayerNormParameters } from "../nn/normalization.js";
import type { PackedBatch } from "../nn/packing.js";
import { randomNormal } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { type DecoderConfig, namedDecoder, parameterTree } from "./decoder.js";
import type { LanguageModel } from "./languageModel.js";

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
  /** As in {@link AttentionOptions}. 1 computes the masked half of all scores, too. */
  readonly causalBlocks?: number;
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
  checkOptions("gpt", config, ...OPTIONS);
  const { vocabularySize, contextLength, width, layers, heads } = config;
  const { mlpWidth = 4 * width, tiedHead = true, causalBlocks } = config;
  const sizes = { vocabularySize, contextLength, width, layers, heads, mlpWidth };
  for (const [name, size] of Object.entries(sizes)) {
    checkCount("gpt", name, size, 1);
  }
  if (causalBlocks !== undefined) checkCount("gpt", "causalBlocks", causalBlocks, 1);
  checkHeads("gpt", width, heads);

  const form: DecoderConfig = {
    vocabularySize,
    contextLength,
    width,
    layers: Array(layers).fill({}),
    heads,
    keyValueHeads: heads,
    headWidth: width / heads,
    norm: "layer",
    normEpsilon: 1e-5,
    normPlacement: "pre",
    learntPositions: true,
    attention: {
      fused: true,
      inputBias: true,
      outputBias: true,
      queryKeyNorm: "none",
      causalBlocks,
    },
    feedForward: { kind: "plain", width: mlpWidth, activation: "geluTanh", bias: true },
    tiedHead,
  };
  return {
    ...namedDecoder("gpt", form),
    config,
    init(seed, options = {}) {
      checkOptions("gpt.init", options, "std", "dtype");
      const own = initial("gpt.init", { ...options, seed });
      const projectionStd = own.std / Math.sqrt(2 * layers);
      return parameterTree(form, (kind, shape, path) => {
        if (kind !== "matrix") return filled(shape, kind === "gain" ? 1 : 0, own);
        const std = path.endsWith("projection.weight") ? projectionStd : own.std;
        return randomNormal(shape, { ...own, std });
      }) as GptParameters;
    },
  };
}

const OPTIONS = [
  "vocabularySize",
  "contextLength",
  "width",
  "layers",
  "heads",
  "mlpWidth",
  "tiedHead",
  "causalBlocks",
] as const;
