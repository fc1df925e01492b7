/**
 * Llama 2 and 3, SmolLM2 and all that share their form.
 * @module
 */

import { llamaForm, TENSORS } from "./common.js";
import type { Family } from "./family.js";

export const llama: Family = {
  modelType: "llama",
  ...TENSORS,
  config: (read) =>
    llamaForm(read, { epsilon: 1e-6, tiedHead: false, biases: { attention: true, mlp: true } }),
};
