/**
 * Qwen2 and Qwen2.5: Llama with biases on queries, keys and values.
 * @module
 */

import { llamaForm, qwenWindows, TENSORS, withWindows } from "./common.js";
import type { Family } from "./family.js";

export const qwen2: Family = {
  modelType: "qwen2",
  ...TENSORS,
  config(read) {
    const form = llamaForm(read, { epsilon: 1e-6, tiedHead: false });
    return {
      ...form,
      layers: withWindows(form.layers, qwenWindows(read, form.layers.length)),
      attention: { ...form.attention, inputBias: true },
    };
  },
};
