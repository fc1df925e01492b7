/**
 * Initial values of parameters.
 * @module
 */

import type { DType } from "../kernels/dtype.js";
import { tensor } from "../tensor/create.js";
import { type RandomGenerator, randomGenerator } from "../tensor/random.js";
import { type Shape, sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** Options of a layer's initial parameters. */
export interface InitOptions {
  /** Same seed, same parameters. A generator continues its sequence. */
  readonly seed: number | string | RandomGenerator;
  /** Standard deviation of normally distributed weights; default 0.02 (GPT-2). */
  readonly std?: number;
  /** Element type; default `float32`. */
  readonly dtype?: DType;
}

/** The options with one generator for all tensors of a layer. */
export function continued(options: InitOptions): InitOptions & { readonly seed: RandomGenerator } {
  const { seed } = options;
  return { ...options, seed: typeof seed === "function" ? seed : randomGenerator(seed) };
}

/**
 * A parameter of one repeated value. It has elements, unlike a constant, so that the first training
 * step has the same plan as all later ones.
 */
export function filled(shape: Shape, value: number, options: Pick<InitOptions, "dtype">): Tensor {
  const { dtype = "float32" } = options;
  return tensor(new Float64Array(sizeOf(shape)).fill(value), { shape, dtype });
}
