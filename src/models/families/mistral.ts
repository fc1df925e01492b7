/**
 * Mistral: Llama with a window on every layer.
 * @module
 */

import { llamaForm, TENSORS, withWindows } from "./common.js";
import type { Family } from "./family.js";

export const mistral: Family = {
  modelType: "mistral",
  ...TENSORS,
  config(read) {
    const form = llamaForm(read, { epsilon: 1e-6, tiedHead: false, keyValueHeads: 8 });
    // Absent means the class's default; null means none.
    const isWindowed = read.has("sliding_window") || !read.mentions("sliding_window");
    const window = isWindowed ? read.integer("sliding_window", 4096) : undefined;
    return {
      ...form,
      layers: withWindows(
        form.layers,
        form.layers.map(() => window),
      ),
    };
  },
};
