/**
 * BCO's weights for rejected completions whose prompts come from elsewhere.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { div, maximum, minimum, sub } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";

/** Options of {@link udmWeights}. */
export interface UdmWeightsOptions {
  /** Smallest weight ≥ 0; default 0.5. */
  readonly minimum?: number;
  /** Largest weight; default 10. */
  readonly maximum?: number;
}

/**
 * BCO's weights for underlying distribution matching (arXiv 2404.04656; bounds as in TRL): the ratio
 * `p/(1 − p)`, bounded, of the probability that a rejected completion's prompt comes from the chosen
 * ones' distribution, as a classifier of prompts gives it.
 *
 * @param probability p in [0, 1], any shape.
 * @throws for bounds that are not 0 ≤ minimum ≤ maximum.
 */
export function udmWeights(probability: Tensor, options: UdmWeightsOptions = {}): Tensor {
  const { minimum: least = 0.5, maximum: most = 10 } = options;
  checkOptions("udmWeights", options, "minimum", "maximum");
  checkNumber("udmWeights", "minimum", least, (x) => x >= 0, "≥ 0");
  checkNumber("udmWeights", "maximum", most, (x) => x >= least, "≥ minimum");
  // p/(1 − p) is the bound from p = most/(1 + most) on; before it nothing divides by zero.
  const p = minimum(stopGradient(probability), most / (1 + most));
  return maximum(div(p, sub(1, p)), least);
}
