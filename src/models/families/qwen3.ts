/**
 * Qwen3: each head of queries and keys is normalised before it is turned.
 * @module
 */

import { llamaForm, qwenWindows, TENSORS, withWindows } from "./common.js";
import type { Family } from "./family.js";

export const qwen3: Family = {
  modelType: "qwen3",
  ...TENSORS,
  config(read) {
    const biases = { attention: true };
    const form = llamaForm(read, { epsilon: 1e-6, tiedHead: false, headWidth: 128, biases });
    return {
      ...form,
      layers: withWindows(form.layers, qwenWindows(read, form.layers.length)),
      attention: { ...form.attention, queryKeyNorm: "head" },
    };
  },
};
