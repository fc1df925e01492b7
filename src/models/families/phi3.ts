/**
 * Phi-3: queries, keys and values in one matrix, gate and expansion in another.
 * @module
 */

import { llamaForm, TENSORS, withWindows } from "./common.js";
import type { Family } from "./family.js";

export const phi3: Family = {
  modelType: "phi3",
  ...TENSORS,
  config(read) {
    const form = llamaForm(read, { epsilon: 1e-5, tiedHead: false });
    const window = read.has("sliding_window") ? read.integer("sliding_window") : undefined;
    // Of the scalings only `longrope` reads it, which is refused where it is named.
    read.ignore("original_max_position_embeddings");
    return {
      ...form,
      layers: withWindows(
        form.layers,
        form.layers.map(() => window),
      ),
      attention: { ...form.attention, fused: true },
      feedForward: { ...form.feedForward, kind: "fusedGate" },
    };
  },
};
