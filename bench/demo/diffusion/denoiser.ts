/**
 * A denoiser of points: a multilayer perceptron of a point and its embedded timestep.
 * @module
 */

import {
  concat,
  type Denoiser,
  initLinear,
  type LinearParameters,
  linear,
  randomGenerator,
  silu,
  timestepEmbedding,
} from "../../../src/index.js";

/** Its layers, in order. */
export type PointDenoiser = readonly LinearParameters[];

/** Width of the timestep's embedding. */
const EMBEDDING = 32;

/** Initial parameters: weights of variance 1/inputs. */
export function initDenoiser(width: number, seed: number): PointDenoiser {
  const sizes = [2 + EMBEDDING, width, width, width, 2];
  const generator = randomGenerator(`denoiser ${seed}`);
  return sizes.slice(1).map((outputs, i) => {
    const inputs = sizes[i]!;
    return initLinear(inputs, outputs, { seed: generator, std: 1 / Math.sqrt(inputs) });
  });
}

/** The noise in points. */
export const pointDenoiser: Denoiser<PointDenoiser> = (layers, noised, timesteps) => {
  const last = layers.length - 1;
  return layers.reduce(
    (x, layer, i) => (i < last ? silu(linear(layer, x)) : linear(layer, x)),
    concat([noised, timestepEmbedding(timesteps, EMBEDDING)], 1),
  );
};
