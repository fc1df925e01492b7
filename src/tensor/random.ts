/**
 * Seeded random tensors. The numbers are drawn on the host, so a seed gives the same tensor on
 * every device.
 * @module
 */

import alea from "seedrandom/lib/alea.js";
import { checkOptions, describeValue } from "../checks.js";
import { allocate, type DType } from "../kernels/dtype.js";
import { checkDType, leaf } from "./create.js";
import { checkShape, type Shape, sizeOf } from "./shape.js";
import type { Tensor } from "./tensor.js";

/** A source of uniform random numbers in [0, 1). */
export type RandomGenerator = () => number;

/** A generator whose sequence is determined by its seed. */
export function randomGenerator(seed: number | string): RandomGenerator {
  return alea(String(seed));
}

/** Options of {@link randomUniform}. */
export interface RandomUniformOptions {
  /** Same seed, same numbers. A generator continues its sequence. */
  readonly seed: number | string | RandomGenerator;
  /** Lower bound, inclusive; default 0. */
  readonly low?: number;
  /** Upper bound, exclusive; default 1. */
  readonly high?: number;
  /** Element type; default `float32`. */
  readonly dtype?: DType;
}

/** Options of {@link randomNormal}. */
export interface RandomNormalOptions {
  /** Same seed, same numbers. A generator continues its sequence. */
  readonly seed: number | string | RandomGenerator;
  /** Default 0. */
  readonly mean?: number;
  /** Standard deviation; default 1. */
  readonly std?: number;
  /** Element type; default `float32`. */
  readonly dtype?: DType;
}

/** The generator of a seed, or the given one, to be continued. */
export function generatorOf(
  caller: string,
  seed: number | string | RandomGenerator,
): RandomGenerator {
  if (typeof seed === "function") return seed;
  if (typeof seed !== "number" && typeof seed !== "string") {
    throw new TypeError(
      `${caller}: needs a seed, a number, a string or a generator, got ${describeValue(seed)}`,
    );
  }
  return randomGenerator(seed);
}

/** Independent uniform numbers in [low, high). */
export function randomUniform(shape: Shape, options: RandomUniformOptions): Tensor {
  checkShape("randomUniform", shape);
  checkOptions("randomUniform", options, "seed", "low", "high", "dtype");
  const { low = 0, high = 1, dtype = "float32" } = options;
  checkDType("randomUniform", dtype);
  const next = generatorOf("randomUniform", options.seed);
  const host = allocate(dtype, sizeOf(shape));
  for (let i = 0; i < host.length; i++) host[i] = low + (high - low) * next();
  return leaf(host, [...shape], dtype);
}

/** Independent normal numbers (Box–Muller transform of the uniform generator). */
export function randomNormal(shape: Shape, options: RandomNormalOptions): Tensor {
  checkShape("randomNormal", shape);
  checkOptions("randomNormal", options, "seed", "mean", "std", "dtype");
  const { mean = 0, std = 1, dtype = "float32" } = options;
  checkDType("randomNormal", dtype);
  const next = generatorOf("randomNormal", options.seed);
  const host = allocate(dtype, sizeOf(shape));
  for (let i = 0; i < host.length; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(1 - next()));
    const angle = 2 * Math.PI * next();
    host[i] = mean + radius * Math.cos(angle);
    if (i + 1 < host.length) host[i + 1] = mean + radius * Math.sin(angle);
  }
  return leaf(host, [...shape], dtype);
}
