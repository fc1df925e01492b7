/**
 * Granite: Llama with a factor on embeddings, scores, residuals and logits.
 * @module
 */

import { llamaForm, TENSORS } from "./common.js";
import type { Family } from "./family.js";

export const granite: Family = {
  modelType: "granite",
  ...TENSORS,
  config(read) {
    const biases = { attention: true, mlp: true };
    const form = llamaForm(read, { epsilon: 1e-6, tiedHead: false, biases });
    return {
      ...form,
      attention: { ...form.attention, scale: read.number("attention_multiplier", 1) },
      embeddingScale: read.number("embedding_multiplier", 1),
      residualScale: read.number("residual_multiplier", 1),
      logitDivisor: read.positive("logits_scaling", 1),
    };
  },
};
