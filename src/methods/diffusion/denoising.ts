/**
 * Squared errors of denoisers: what diffusion models are trained by, and what losses of their preferences take.
 * @module
 */

import { describeValue } from "../../checks.js";
import type { PairErrors } from "../../losses/diffusionDpo.js";
import { stopGradient } from "../../ops/composite.js";
import { concat, mean, slice, square, sub } from "../../ops/index.js";
import { tensor } from "../../tensor/create.js";
import { randomGenerator, randomNormal } from "../../tensor/random.js";
import { formatShape, type Shape, sameShape } from "../../tensor/shape.js";
import { Tensor } from "../../tensor/tensor.js";
import type { Ddpm } from "./ddpm.js";

/**
 * A diffusion model: from noised samples `[batch, …]`, their timesteps, int32 `[batch]`, and what samples are conditioned
 * on, if anything, to an estimate of the noise, of the samples' shape.
 */
export type Denoiser<P> = (
  parameters: P,
  noised: Tensor,
  timesteps: Tensor,
  condition?: Tensor,
) => Tensor;

/** Timesteps and noise of a batch. */
export interface NoiseDraws {
  readonly timesteps: readonly number[];
  /** N(0, 1), of the samples' shape. */
  readonly noise: Tensor;
}

/** Draws timesteps uniformly, and noise, for samples of a shape `[batch, …]`. Same seed, same draws. */
export function drawNoise({ steps }: Ddpm, samples: Tensor, seed: string): NoiseDraws {
  const generator = randomGenerator(seed);
  const timesteps = Array.from({ length: samples.shape[0]! }, () =>
    Math.floor(steps * generator()),
  );
  return {
    timesteps,
    noise: randomNormal(samples.shape, { seed: generator, dtype: samples.dtype }),
  };
}

/** What errors are of, and where they are taken. */
export interface DenoisingInputs<P> extends NoiseDraws {
  readonly schedule: Ddpm;
  readonly denoiser: Denoiser<P>;
  /** Of each sample, `[batch, …]`; default none. */
  readonly condition?: Tensor | undefined;
}

/**
 * The denoiser's mean squared error on each sample, `[batch]`: `mean over elements of (ε − ε̂(x_t, t))²`, with x_t as in
 * {@link Ddpm.noised}. Its mean over timesteps and noise is what diffusion models are trained by.
 */
export function denoisingError<P>(
  parameters: P,
  samples: Tensor,
  { schedule, denoiser, timesteps, noise, condition }: DenoisingInputs<P>,
): Tensor {
  const noised = schedule.noised(samples, timesteps, noise);
  const found = denoiser(parameters, noised, tensor(timesteps, { dtype: "int32" }), condition);
  if (!(found instanceof Tensor && sameShape(found.shape, samples.shape))) {
    const got =
      found instanceof Tensor ? `shape ${formatShape(found.shape)}` : describeValue(found);
    throw new TypeError(
      `denoisingError: the denoiser must give the noise, of the samples' shape ${formatShape(samples.shape)}, got ${got}`,
    );
  }
  const axes = samples.shape.flatMap((_, axis) => (axis === 0 ? [] : [axis]));
  const squares = square(sub(noise, found));
  return axes.length === 0 ? squares : mean(squares, axes);
}

/** A batch of pairs. */
export interface DenoisingPairs<P> extends DenoisingInputs<P> {
  /** Samples, `[batch, …]`. */
  readonly chosen: Tensor;
  readonly rejected: Tensor;
}

/**
 * The errors that {@link diffusionDpoLoss} and {@link dmpoLoss} take: those of policy and reference on chosen and rejected
 * samples, all four of a pair at the same timestep and with the same noise. Those of the reference have no gradient.
 */
export function denoisingErrors<P>(
  parameters: P,
  reference: P,
  { chosen, rejected, ...inputs }: DenoisingPairs<P>,
): Required<PairErrors> {
  const { timesteps, noise, condition } = inputs;
  const twice = (t: Tensor) => concat([t, t], 0);
  // One pass over both sides.
  const both = {
    ...inputs,
    timesteps: [...timesteps, ...timesteps],
    noise: twice(noise),
    condition: condition && twice(condition),
  };
  const samples = concat([chosen, rejected], 0);
  const sidesOf = (at: P): [Tensor, Tensor] => {
    const errors = denoisingError(at, samples, both);
    const pairs = timesteps.length;
    return [slice(errors, [0, pairs]), slice(errors, [pairs, 2 * pairs])];
  };
  const [own, other] = sidesOf(parameters);
  const [referenceChosen, referenceRejected] = sidesOf(reference);
  return {
    chosen: own,
    rejected: other,
    referenceChosen: stopGradient(referenceChosen),
    referenceRejected: stopGradient(referenceRejected),
  };
}

/** Samples of a batch as a tensor. @throws for one of another size. */
export function batchOf(
  caller: string,
  name: string,
  samples: readonly ArrayLike<number>[],
  shape: Shape,
  dtype: Tensor["dtype"],
): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  const values = new Float64Array(samples.length * size);
  for (const [i, sample] of samples.entries()) {
    if (sample?.length !== size) {
      throw new RangeError(
        `${caller}: ${name} of a row must be the ${size} numbers of a sample of shape ${formatShape(shape)}, got ` +
          (sample?.length ?? describeValue(sample)),
      );
    }
    values.set(sample, i * size);
  }
  return tensor(values, { shape: [samples.length, ...shape], dtype });
}
