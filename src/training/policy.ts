/**
 * Language models as training sees them: a tree of parameters that is trained, and the hidden states of packed
 * sequences as a function of it.
 * @module
 */

import { checkOptions, describeValue } from "../checks.js";
import type { LanguageModel } from "../models/languageModel.js";
import { type LoraAdapter, type LoraBase, type LoraParameters, withLora } from "../models/lora.js";
import type { PackedBatch } from "../nn/packing.js";
import type { Tensor } from "../tensor/tensor.js";
import { parameterLeaves } from "../tensor/tree.js";

/** A language model that takes packed batches: what {@link loadModel}, {@link decoder} and {@link gpt} make. */
export interface PackedLanguageModel<P> extends LanguageModel<P> {
  /** Final hidden states of a packed batch's tokens that predict, `[M, D]`. */
  packedHidden(parameters: P, batch: PackedBatch): Tensor;
}

/** What the output head reads, and its weight `[V, D]`. */
export interface HeadInputs {
  readonly hidden: Tensor;
  readonly head: Tensor;
}

/** A model of which the parameters `P` are trained. */
export interface Policy<P> {
  /** Where training starts. */
  readonly parameters: P;
  /** Tensors that stay, and settings: what else its numbers depend on. Fingerprints have it. */
  readonly fixed?: { readonly tensors?: unknown; readonly settings?: unknown };
  /** Its token ids are below this; default: nobody checks them. */
  readonly vocabularySize?: number;
  /** c, where the logits z are `c·tanh(z/c)` of the products. */
  readonly logitSoftCap?: number | undefined;
  /**
   * Hidden states of a packed batch's tokens that predict, and the head.
   * @param draw Of what is random in training, if anything is: the same text, the same numbers. Without it nothing is.
   */
  states(parameters: P, batch: PackedBatch, draw?: string): HeadInputs;
}

/** Rejects what is no policy, a model itself for one. */
export function checkPolicy(caller: string, policy: unknown): void {
  if (typeof (policy as Policy<unknown> | undefined | null)?.states === "function") return;
  throw new TypeError(
    `${caller}: policy must be what fullPolicy(lm) or loraPolicy(lm, adapter) gives, got ${describeValue(policy)}`,
  );
}

/** A model all of whose parameters are trained: a loaded one, or any with `packedHidden`. */
export function fullPolicy<P>(lm: {
  readonly model: PackedLanguageModel<P>;
  readonly parameters: P;
}): Policy<P> {
  const { model, parameters } = lm;
  parameterLeaves("fullPolicy", parameters);
  if (typeof model.packedHidden !== "function") {
    throw new TypeError(
      "fullPolicy: the model must have packedHidden, as those of loadModel, decoder and gpt have",
    );
  }
  return {
    parameters,
    fixed: { settings: model.config },
    vocabularySize: model.config.vocabularySize,
    logitSoftCap: model.config.logitSoftCap,
    states: (at, batch) => ({ hidden: model.packedHidden(at, batch), head: model.headWeight(at) }),
  };
}

/** Options of {@link loraPolicy}. */
export interface LoraPolicyOptions {
  /** Of the adapter's dropout; default 0. */
  readonly seed?: number | string;
}

/** A model of which an adapter is trained; its own parameters stay. Elements are dropped at the adapter's rate. */
export function loraPolicy(
  lm: LoraBase,
  adapter: LoraAdapter,
  options: LoraPolicyOptions = {},
): Policy<LoraParameters> {
  checkOptions("loraPolicy", options, "seed");
  const { seed = 0 } = options;
  const { model } = lm;
  withLora(lm, adapter);
  return {
    parameters: adapter.parameters,
    fixed: { tensors: lm.parameters, settings: [model.config, adapter.config, seed] },
    vocabularySize: model.config.vocabularySize,
    logitSoftCap: model.config.logitSoftCap,
    states(parameters, batch, draw) {
      const dropout = draw === undefined ? {} : { dropout: { seed, step: draw } };
      const whole = withLora(lm, { ...adapter, parameters }, dropout);
      return { hidden: model.packedHidden(whole, batch), head: model.headWeight(whole) };
    },
  };
}
