/**
 * Gemma 1, 2 and 3 (text): norms with 1 + weight, scaled embeddings; from the second on norms on both
 * sides of each sub-layer and windows on some layers; the second caps scores and logits.
 * @module
 */

import type { DecoderConfig } from "../decoder.js";
import {
  ACTIVATIONS,
  alike,
  PLAIN_ATTENTION,
  sharedKeys,
  slidingLayers,
  TENSORS,
} from "./common.js";
import type { ConfigReader } from "./configReader.js";
import type { Family } from "./family.js";
import { rotaryFrom, rotaryOf, scaledRotary } from "./rotary.js";

/** What the three have in common, without their layers. */
function gemmaForm(
  read: ConfigReader,
  activation: DecoderConfig["feedForward"]["activation"],
  keyValueHeads?: number,
) {
  const { layerCount, hiddenWidth, ...sizes } = sharedKeys(read, {
    epsilon: 1e-6,
    tiedHead: true,
    headWidth: 256,
    ...(keyValueHeads !== undefined && { keyValueHeads }),
  });
  const bias = read.flag("attention_bias", false);
  const form = {
    ...sizes,
    norm: "rmsPlusOne",
    normPlacement: "pre",
    learntPositions: false,
    embeddingScale: Math.sqrt(sizes.width),
    attention: { ...PLAIN_ATTENTION, inputBias: bias, outputBias: bias },
    feedForward: {
      kind: "gated",
      width: hiddenWidth,
      activation,
      bias: false,
    },
  } as const satisfies Partial<DecoderConfig>;
  return { form, layerCount };
}

export const gemma: Family = {
  modelType: "gemma",
  ...TENSORS,
  config(read) {
    // "gelu" is the first files' word for the tanh form.
    const names = { gelu: "geluTanh", gelu_pytorch_tanh: "geluTanh" } as const;
    const activation = read.choice("hidden_act", names, "gelu_pytorch_tanh");
    read.ignore("hidden_activation");
    const { form, layerCount } = gemmaForm(read, activation);
    const rotary = rotaryOf(read, form.headWidth, { theta: 1e4, ...form });
    return { ...form, layers: alike(layerCount, { rotary }) };
  },
};

/** A cap, which null switches off. */
function capOf(read: ConfigReader, key: string, fallback?: number): number | undefined {
  if (read.has(key) || (fallback !== undefined && !read.mentions(key)))
    return read.positive(key, fallback);
  read.ignore(key);
  return undefined;
}

/** Norms on both sides, and queries scaled by a number of their own. */
function laterForm(read: ConfigReader) {
  read.ignore("hidden_act");
  const activation = read.choice("hidden_activation", ACTIVATIONS, "gelu_pytorch_tanh");
  const { form, layerCount } = gemmaForm(read, activation, 4);
  const scale = 1 / Math.sqrt(read.positive("query_pre_attn_scalar", 256));
  return { form: { ...form, normPlacement: "sandwich" } as const, layerCount, scale };
}

export const gemma2: Family = {
  modelType: "gemma2",
  ...TENSORS,
  config(read) {
    const { form, layerCount, scale } = laterForm(read);
    const window = read.integer("sliding_window", 4096);
    const rotary = rotaryOf(read, form.headWidth, { theta: 1e4, ...form });
    const sliding = slidingLayers(read, layerCount, (i) => i % 2 === 0);
    return {
      ...form,
      layers: sliding.map((is) => ({ rotary, window: is ? window : undefined })),
      attention: { ...form.attention, scale, softCap: capOf(read, "attn_logit_softcapping", 50) },
      logitSoftCap: capOf(read, "final_logit_softcapping", 30),
    };
  },
};

export const gemma3: Family = {
  modelType: "gemma3_text",
  ...TENSORS,
  config(read) {
    const { form, layerCount, scale } = laterForm(read);
    const window = read.integer("sliding_window", 4096);
    const period = read.integer("sliding_window_pattern", 6);
    const sliding = slidingLayers(read, layerCount, (i) => (i + 1) % period !== 0);
    const rotary = gemma3Rotary(read, form);
    return {
      ...form,
      layers: sliding.map((is) =>
        is ? { rotary: rotary.sliding, window } : { rotary: rotary.full },
      ),
      attention: {
        ...form.attention,
        queryKeyNorm: "head",
        scale,
        softCap: capOf(read, "attn_logit_softcapping"),
      },
      logitSoftCap: capOf(read, "final_logit_softcapping"),
    };
  },
};

/** Angles of the layers that see everything and of those with a window, in either spelling. */
function gemma3Rotary(
  read: ConfigReader,
  { headWidth, contextLength }: { readonly headWidth: number; readonly contextLength: number },
) {
  const defaults = (theta: number) => ({ theta, contextLength, share: 1 });
  const both = read.object("rope_parameters");
  if (both) {
    read.ignore("rope_theta", "rope_local_base_freq", "rope_scaling");
    const of = (key: string, theta: number) => {
      const own = both.object(key);
      return own
        ? rotaryFrom(own, headWidth, defaults(theta))
        : scaledRotary(theta, undefined, headWidth, defaults(theta));
    };
    const rotary = { full: of("full_attention", 1e6), sliding: of("sliding_attention", 1e4) };
    both.finish();
    return rotary;
  }
  const [full, sliding] = [
    read.positive("rope_theta", 1e6),
    read.positive("rope_local_base_freq", 1e4),
  ];
  return {
    full: scaledRotary(full, read.object("rope_scaling"), headWidth, defaults(full)),
    sliding: scaledRotary(sliding, undefined, headWidth, defaults(sliding)),
  };
}
