/**
 * Denoising diffusion: how samples are noised, and how a denoiser makes samples of noise.
 * @module
 */

import { checkChoice, checkCount, checkFunction, checkNumber, checkOptions } from "../../checks.js";
import type { FloatDType } from "../../kernels/dtype.js";
import { add, concat, cos, mul, reshape, sin } from "../../ops/index.js";
import { tensor } from "../../tensor/create.js";
import { realize, realizeInto } from "../../tensor/evaluate.js";
import { randomGenerator, randomNormal } from "../../tensor/random.js";
import type { Shape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";

/** Options of {@link ddpm}. */
export interface DdpmOptions {
  /** T; default 1000. */
  readonly steps?: number;
  /** β_0 … β_{T−1}, each in (0, 1); default linear from 0.1/T to 20/T, which is the paper's at T = 1000. */
  readonly betas?: ArrayLike<number>;
}

/** A noise schedule. Timesteps are counted from 0, the last one is nearly noise alone. */
export interface Ddpm {
  /** T. */
  readonly steps: number;
  /** β_t. */
  readonly betas: Float64Array;
  /** `ᾱ_t = Π_{s ≤ t} (1 − β_s)`. */
  readonly alphaBars: Float64Array;
  /**
   * `x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε`.
   * @param samples x_0, `[batch, …]`.
   * @param timesteps One for each sample.
   * @param noise ε, of the samples' shape.
   */
  noised(samples: Tensor, timesteps: readonly number[], noise: Tensor): Tensor;
  /** Of `q(x_{t−1} | x_t, x_0) = N(ofStart·x_0 + ofNoised·x_t, variance)`; at t = 0 it is x_0. */
  posterior(timestep: number): {
    readonly ofStart: number;
    readonly ofNoised: number;
    readonly variance: number;
  };
}

/**
 * The noise schedule of denoising diffusion probabilistic models (DDPM; Ho et al. 2020, arXiv 2006.11239).
 *
 * @throws for options that are unknown or out of range.
 * @example
 * const schedule = ddpm({ steps: 50 });
 */
export function ddpm(options: DdpmOptions = {}): Ddpm {
  checkOptions("ddpm", options, "steps", "betas");
  const { steps = options.betas?.length ?? 1000 } = options;
  checkCount("ddpm", "steps", steps, 1);
  const linear = (t: number) => (0.1 + (19.9 * t) / Math.max(1, steps - 1)) / steps;
  const betas = Float64Array.from(options.betas ?? { length: steps }, (beta, t) =>
    options.betas ? (beta as number) : linear(t),
  );
  if (betas.length !== steps) {
    throw new RangeError(`ddpm: steps is ${steps}, but there are ${betas.length} betas`);
  }
  for (const [t, beta] of betas.entries()) {
    const hint = options.betas ? "" : `; with steps ${steps} give betas of your own`;
    checkNumber("ddpm", `betas[${t}]`, beta, (b) => b > 0 && b < 1, `in (0, 1)${hint}`);
  }
  let product = 1;
  const alphaBars = betas.map((beta) => {
    product *= 1 - beta;
    return product;
  });
  return {
    steps,
    betas,
    alphaBars,
    noised(samples, timesteps, noise) {
      checkTimesteps("noised", timesteps, samples.shape[0], steps);
      const column = (of: (alphaBar: number) => number): Tensor =>
        tensor(
          timesteps.map((t) => of(alphaBars[t]!)),
          {
            shape: samples.shape.map((size, axis) => (axis === 0 ? size : 1)),
            dtype: samples.dtype,
          },
        );
      return add(
        mul(samples, column(Math.sqrt)),
        mul(
          noise,
          column((a) => Math.sqrt(1 - a)),
        ),
      );
    },
    posterior(t) {
      checkTimesteps("posterior", [t], 1, steps);
      const before = alphaBars[t - 1] ?? 1;
      const [beta, left] = [betas[t]!, 1 - alphaBars[t]!];
      return {
        ofStart: (Math.sqrt(before) * beta) / left,
        ofNoised: (Math.sqrt(1 - beta) * (1 - before)) / left,
        variance: (beta * (1 - before)) / left,
      };
    },
  };
}

function checkTimesteps(
  caller: string,
  timesteps: readonly number[],
  count: number | undefined,
  steps: number,
): void {
  if (timesteps.length !== count) {
    throw new RangeError(
      `ddpm: ${caller} needs a timestep for each of ${count ?? 0} samples, got ${timesteps.length}`,
    );
  }
  const wrong = timesteps.find((t) => !(Number.isInteger(t) && t >= 0 && t < steps));
  if (wrong === undefined) return;
  throw new RangeError(
    `ddpm: timesteps of ${caller} are integers from 0 to ${steps - 1}, got ${wrong}`,
  );
}

/** Options of {@link ddpmSample}. */
export interface DdpmSampleOptions {
  /** `[samples, …]`, the shape of what is sampled. */
  readonly shape: Shape;
  /** Of all noise; default 0. */
  readonly seed?: number | string;
  /**
   * Variance of the noise that a step adds: `"posterior"` (default), that of {@link Ddpm.posterior}, is right for data in
   * one point; `"beta"`, β_t, for data that are N(0, 1). The last step adds none.
   */
  readonly variance?: "posterior" | "beta";
  /** Of samples; default `"float32"`. */
  readonly dtype?: FloatDType;
}

/**
 * Samples of a denoiser, by ancestral sampling: from `x_T ~ N(0, 1)`, for t from T − 1 down to 0
 *
 * `x̂_0 = (x_t − √(1 − ᾱ_t)·ε̂(x_t, t))/√ᾱ_t`, `x_{t−1} ~ N(posterior mean of x̂_0 and x_t, variance)`.
 *
 * Same seed, same samples. Each step is evaluated by itself.
 *
 * @param denoise ε̂: noised samples and their timesteps, int32 `[samples]`, to the noise in them.
 * @throws (the returned promise rejects) for options that are unknown or out of range.
 * @example
 * const samples = await ddpmSample(schedule, (x, t) => denoiser(parameters, x, t), { shape: [1000, 2] });
 */
export async function ddpmSample(
  schedule: Ddpm,
  denoise: (noised: Tensor, timesteps: Tensor) => Tensor,
  options: DdpmSampleOptions,
): Promise<Tensor> {
  checkOptions("ddpmSample", options, "shape", "seed", "variance", "dtype");
  const { shape, seed = 0, variance = "posterior", dtype = "float32" } = options;
  checkFunction("ddpmSample", denoise);
  checkChoice("ddpmSample", "variance", variance, ["posterior", "beta"]);
  const generator = randomGenerator(seed);
  const noise = () => randomNormal(shape, { seed: generator, dtype });
  let x = await realize(noise());
  for (let t = schedule.steps - 1; t >= 0; t--) {
    const { ofStart, ofNoised, variance: least } = schedule.posterior(t);
    const [alphaBar, beta] = [schedule.alphaBars[t]!, schedule.betas[t]!];
    const std = t === 0 ? 0 : Math.sqrt(variance === "beta" ? beta : least);
    // As elements of a tensor, so that one plan serves all steps.
    const factors = tensor(
      [ofNoised + ofStart / Math.sqrt(alphaBar), -ofStart * Math.sqrt(1 / alphaBar - 1), std],
      { dtype },
    );
    const timesteps = tensor(new Int32Array(shape[0]!).fill(t));
    const found = denoise(x, timesteps);
    const terms = [x, found, noise()].map((term, i) => mul(term, factors.at(i)));
    const next = terms.reduce(add);
    await realizeInto([x], next);
    x = next;
  }
  return x;
}

/**
 * Sines and cosines of timesteps, `[batch, width]`: `sin(t·10000^(−2i/width))` for i below width/2, then the cosines (Vaswani et al. 2017, section 3.5).
 * @param width Even.
 * @throws for a width that is not.
 */
export function timestepEmbedding(timesteps: Tensor, width: number): Tensor {
  const half = width / 2;
  checkCount("timestepEmbedding", "width/2", half, 1);
  const rates = tensor(Array.from({ length: half }, (_, i) => 10_000 ** (-i / half)));
  const angles = mul(reshape(timesteps.cast("float32"), [-1, 1]), rates);
  return concat([sin(angles), cos(angles)], 1);
}
