/**
 * Means in two numbers, so that they add up.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { cast, mul } from "../ops/elementwise.js";
import { stack } from "../ops/movement.js";
import { tensor } from "../tensor/create.js";
import { Tensor } from "../tensor/tensor.js";
import type { WeightedSum } from "./objective.js";

/** `[w·x, w]` of a scalar mean x over things of weight w, without gradient. */
export function weightedSum(mean: Tensor, weight: Tensor | number): WeightedSum {
  const x = stopGradient(mean).reshape([]);
  const w =
    weight instanceof Tensor
      ? cast(stopGradient(weight).reshape([]), x.dtype)
      : tensor(weight, { dtype: x.dtype });
  return stack([mul(x, w), w]);
}
