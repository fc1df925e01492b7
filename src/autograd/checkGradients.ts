/**
 * Gradients held against finite differences.
 * @module
 */

import { checkOptions } from "../checks.js";
import { cast, mul } from "../ops/elementwise.js";
import { sum } from "../ops/reduce.js";
import { leaf } from "../tensor/create.js";
import { randomNormal } from "../tensor/random.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { gradients } from "./gradients.js";

/** Options of {@link checkGradients}. */
export interface CheckGradientsOptions {
  /** 1: the gradient. 2: also the gradient of the gradient. Default 1. */
  readonly order?: 1 | 2;
  /** Step of the central differences; default 1e-5. */
  readonly step?: number;
  /** Largest difference, relative to max(1, |gradient|); default 1e-6. */
  readonly tolerance?: number;
  /** Seed of the random weights that turn tensors into scalars; default 0. */
  readonly seed?: number;
}

/**
 * Compares the gradients of `f` at `inputs` with central differences
 * `(f(x + h) − f(x − h)) / 2h`, element by element in float64. A function with a tensor result is
 * checked through a random weighted sum of it; order 2 checks the gradient of a random weighted sum
 * of the gradients. Away from kinks, please: differences across one mean nothing.
 *
 * @throws an error that names the input, the element, and both numbers, where they differ.
 */
export async function checkGradients(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: CheckGradientsOptions = {},
): Promise<void> {
  checkOptions("checkGradients", options, "order", "step", "tolerance", "seed");
  const { order = 1, step = 1e-5, tolerance = 1e-6, seed = 0 } = options;
  if (order !== 1 && order !== 2) {
    throw new RangeError(`checkGradients: order must be 1 or 2, got ${order}`);
  }
  if (inputs.length === 0) throw new RangeError("checkGradients: needs at least one input");
  const at = await Promise.all(inputs.map(async (x) => leafOf(await cast(x, "float64").data(), x)));
  const weigh = (y: Tensor, salt: string): Tensor =>
    sum(mul(y, randomNormal(y.shape, { seed: `${seed} ${salt}`, dtype: "float64" })));
  const scalar = (...xs: Tensor[]): Tensor => weigh(f(...xs), "value");
  await compare("gradient", scalar, at, step, tolerance);
  if (order === 2) {
    const slope = (...xs: Tensor[]): Tensor =>
      gradients(scalar(...xs), xs)
        .map((gradient, i) => weigh(gradient, `gradient ${i}`))
        .reduce((total, term) => total.add(term));
    await compare("second-order gradient", slope, at, step, tolerance);
  }
}

function leafOf(values: ArrayLike<number>, like: Tensor): Tensor {
  return leaf(Float64Array.from(values), like.shape, "float64");
}

async function compare(
  what: string,
  f: (...inputs: Tensor[]) => Tensor,
  at: readonly Tensor[],
  step: number,
  tolerance: number,
): Promise<void> {
  const claimed = await Promise.all(gradients(f(...at), at).map((gradient) => gradient.data()));
  for (const [i, x] of at.entries()) {
    const values = await x.data();
    for (let element = 0; element < values.length; element++) {
      const shifted = async (by: number): Promise<number> => {
        const moved = values.slice();
        moved[element]! += by;
        return f(...at.map((t, j) => (j === i ? leafOf(moved, x) : t))).item();
      };
      const numeric = ((await shifted(step)) - (await shifted(-step))) / (2 * step);
      const analytic = claimed[i]![element]!;
      if (!(Math.abs(numeric - analytic) <= tolerance * Math.max(1, Math.abs(numeric)))) {
        throw new Error(
          `checkGradients: ${what} of input ${i} (${formatShape(x.shape)}) at element ${element}: ` +
            `computed ${analytic}, finite differences give ${numeric}`,
        );
      }
    }
  }
}
