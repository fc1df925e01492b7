/**
 * Scores that saturate.
 * @module
 */

import { mul, tanh } from "../ops/elementwise.js";
import type { Tensor } from "../tensor/tensor.js";

/** `c·tanh(z/c)`, which stays within (−c, c); z itself where no cap is given (Gemma 2, arXiv 2408.00118; the paper's text was not at hand). */
export function softCap(z: Tensor, cap: number | undefined): Tensor {
  return cap === undefined ? z : mul(tanh(mul(z, 1 / cap)), cap);
}
