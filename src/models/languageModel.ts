/**
 * What a language model is to everything that uses one.
 * @module
 */

import type { Tensor } from "../tensor/tensor.js";

/** A language model as functions of its parameters `P`: what {@link generate} needs of one. */
export interface LanguageModel<P> {
  readonly config: {
    readonly vocabularySize: number;
    readonly contextLength: number;
    /** c, where the logits z are `c·tanh(z/c)` of the products. */
    readonly logitSoftCap?: number | undefined;
  };
  /** Final hidden states: ids `[B, T]` give `[B, T, D]`. */
  hidden(parameters: P, ids: Tensor): Tensor;
  /** The matrix `[V, D]` whose rows' products with a hidden state are the logits, but for a cap. */
  headWeight(parameters: P): Tensor;
  /** Hidden states one piece of text after another; a model without it computes all of a text anew for each token. */
  readonly cached?: CachedDecoding<P>;
}

/**
 * What a model keeps of the tokens so far, in S slots. A token of every row goes into the same slot; its
 * position is what it is in its own row.
 */
export interface KeyValueCache {
  /** Of every layer, `[S, B, K, d]` each. */
  readonly layers: readonly { readonly key: Tensor; readonly value: Tensor }[];
  /** `[S, B]`, int32: of the tokens in the slots; −1: none. */
  readonly positions: Tensor;
}

/** Hidden states from those tokens that are new and a cache of the others. */
export interface CachedDecoding<P> {
  /** A cache in which nothing is. */
  init(parameters: P, batch: number, slots: number): KeyValueCache;
  /**
   * Final hidden states `[B, T, D]` of the next T tokens of every row, and the cache with them in it. It is pure and looks
   * at no elements: the graph that it builds is evaluated again with other tensors of the same shapes.
   * @param ids `[B, T]`, int32.
   * @param positions `[B, T]`, int32: of the tokens in their texts; −1 for padding, which nobody sees.
   * @param slot int32 scalar: the tokens go into the slots `slot … slot + T − 1`.
   */
  step(
    parameters: P,
    cache: KeyValueCache,
    ids: Tensor,
    positions: Tensor,
    slot: Tensor,
  ): { readonly hidden: Tensor; readonly cache: KeyValueCache };
}
