/**
 * OLMo 2: norms on what the sub-layers add, and on queries and keys before they are split into heads.
 * @module
 */

import { llamaForm, TENSORS } from "./common.js";
import type { Family } from "./family.js";

export const olmo2: Family = {
  modelType: "olmo2",
  ...TENSORS,
  config(read) {
    const biases = { attention: true };
    const form = llamaForm(read, { epsilon: 1e-5, tiedHead: false, biases });
    return {
      ...form,
      normPlacement: "post",
      attention: { ...form.attention, queryKeyNorm: "projection" },
    };
  },
};
