/**
 * Dropout.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { div, less, where } from "../ops/elementwise.js";
import { type RandomGenerator, randomGenerator, randomUniform } from "../tensor/random.js";
import { checkTensor, type Tensor } from "../tensor/tensor.js";

/** Options of {@link dropout}. */
export interface DropoutOptions {
  /** Same seed, same mask, on every device. No generator: where `checkpoint` computes again, the mask has to be the same. */
  readonly seed: number | string;
}

/**
 * Dropout (Srivastava et al. 2014): each element becomes 0 with probability `rate`, the others are divided by
 * `1 − rate`, so that the mean stays. The gradient passes where the value did.
 *
 * The mask is data, not part of a plan's structure: a training loop makes a new seed of each step and place, and
 * compiles once. Leave dropout out, or set the rate to 0, where the model is used.
 *
 * @throws if the rate is not in [0, 1), or there is no seed.
 * @example hidden = dropout(hidden, 0.1, { seed: `${run} ${step} layer ${layer}` });
 */
export function dropout(x: Tensor, rate: number, options: DropoutOptions): Tensor {
  checkTensor("dropout", x);
  checkNumber("dropout", "rate", rate, (p) => p >= 0 && p < 1, "in [0, 1)");
  checkOptions("dropout", options ?? {}, "seed");
  const seed = options?.seed;
  if (typeof seed !== "number" && typeof seed !== "string") {
    throw new TypeError(
      "dropout: needs { seed }, a number or text that is new in every step and layer",
    );
  }
  return masked(x, rate, seed);
}

/** {@link dropout} in which each index of the first axis has random numbers of its own, whatever stands beside it. */
export function rowDropout(x: Tensor, rate: number, seed: string): Tensor {
  const perRow = x.size / x.shape[0]!;
  let drawn = 0;
  let next: RandomGenerator;
  return masked(x, rate, () => {
    if (drawn % perRow === 0) next = randomGenerator(`${seed} ${drawn / perRow}`);
    drawn++;
    return next();
  });
}

function masked(x: Tensor, rate: number, seed: number | string | RandomGenerator): Tensor {
  if (rate === 0) return x;
  return where(less(randomUniform(x.shape, { seed }), rate), 0, div(x, 1 - rate));
}
