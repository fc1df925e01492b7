/**
 * Initial values of parameters.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import type { DType } from "../kernels/dtype.js";
import { tensor } from "../tensor/create.js";
import { generatorOf, type RandomGenerator } from "../tensor/random.js";
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

/** Options with their defaults, and one generator for all tensors of a layer. */
export interface Initial extends Required<InitOptions> {
  readonly seed: RandomGenerator;
}

/**
 * The options of a layer's initial parameters, checked.
 * @param further Names of those that only this layer has.
 */
export function initial<Options extends InitOptions>(
  caller: string,
  options: Options,
  ...further: (keyof Options & string)[]
): Initial {
  checkOptions(caller, options, "seed", "std", "dtype", ...further);
  const { std = 0.02, dtype = "float32", seed } = options;
  checkNumber(caller, "std", std, (s) => s >= 0, "≥ 0");
  return { seed: generatorOf(caller, seed), std, dtype };
}

/**
 * A parameter of one repeated value. It has elements, unlike a constant, so that the first training
 * step has the same plan as all later ones.
 */
export function filled(shape: Shape, value: number, options: Pick<InitOptions, "dtype">): Tensor {
  const { dtype = "float32" } = options;
  return tensor(new Float64Array(sizeOf(shape)).fill(value), { shape, dtype });
}
