/**
 * Rotary position embedding: queries and keys are turned by angles that grow with the position, so that
 * their products depend on distances (Su et al. 2021, arXiv 2104.09864). The paper's text was not at hand;
 * the form is that of the models whose weights it turns.
 * @module
 */

import type { DType } from "../kernels/dtype.js";
import { add, mul, sub } from "../ops/elementwise.js";
import { concat, slice } from "../ops/movement.js";
import { tensor } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";

/** How the frequencies are scaled for contexts longer than those of pretraining. */
export type RotaryScaling =
  /** Every frequency divided by the factor. */
  | { readonly kind: "linear"; readonly factor: number }
  /**
   * Llama 3.1's: with wavelength λ = 2π/f and the context L of pretraining, frequencies with λ > L/low
   * are divided by the factor, those with λ < L/high stay, and between them
   * `s = (L/λ − low)/(high − low)` blends the two.
   */
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContextLength: number;
    };

/** The angles of a rotary embedding. */
export interface Rotary {
  /** θ: the i-th of d/2 frequencies is `θ^(−2i/d)`. */
  readonly theta: number;
  /** d, even: how many of a head's dimensions are turned, its first ones. */
  readonly width: number;
  readonly scaling?: RotaryScaling | undefined;
}

/** Cosines and sines, `[T, d/2]` each. */
export interface RotaryTable {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** The frequencies in radians a position, d/2 of them. */
function rotaryFrequencies({ theta, width, scaling }: Rotary): number[] {
  return Array.from({ length: width / 2 }, (_, i) => {
    const frequency = theta ** ((-2 * i) / width);
    if (!scaling) return frequency;
    if (scaling.kind === "linear") return frequency / scaling.factor;
    const { factor, lowFrequencyFactor: low, highFrequencyFactor: high } = scaling;
    const turns = (scaling.originalContextLength * frequency) / (2 * Math.PI);
    const blend = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return (1 - blend) * (frequency / factor) + blend * frequency;
  });
}

/** Cosines and sines of the positions 0 … T − 1, computed in float64. */
export function rotaryTable(rotary: Rotary, positions: number, dtype: DType): RotaryTable {
  const frequencies = rotaryFrequencies(rotary);
  const of = (f: (angle: number) => number): Tensor => {
    const values = new Float64Array(positions * frequencies.length);
    for (let t = 0; t < positions; t++) {
      for (const [i, frequency] of frequencies.entries()) {
        values[t * frequencies.length + i] = f(t * frequency);
      }
    }
    return tensor(values, { shape: [positions, frequencies.length], dtype });
  };
  return { cos: of(Math.cos), sin: of(Math.sin) };
}

/**
 * Turns the first d dimensions of every head: the pair (i, i + d/2) by the i-th angle. `x` is
 * `[…, d']`, d' ≥ d; cosines and sines broadcast to `[…, d/2]`.
 */
export function rotate(x: Tensor, { cos, sin }: RotaryTable): Tensor {
  const half = cos.shape.at(-1)!;
  const part = (from: number, to?: number): Tensor => {
    const ranges = x.shape.map(() => null as null | [number, number?]);
    ranges[x.rank - 1] = to === undefined ? [from] : [from, to];
    return slice(x, ...(ranges as (readonly [number, number] | null)[]));
  };
  const [first, second] = [part(0, half), part(half, 2 * half)];
  const turned = [sub(mul(first, cos), mul(second, sin)), add(mul(second, cos), mul(first, sin))];
  return concat(x.shape.at(-1) === 2 * half ? turned : [...turned, part(2 * half)], -1);
}
