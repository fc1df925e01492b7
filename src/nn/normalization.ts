/**
 * Normalisation over the last axis.
 * @module
 */

import { checkOptions } from "../checks.js";
import { add, div, mul, sqrt, square, sub } from "../ops/elementwise.js";
import { mean } from "../ops/reduce.js";
import { formatShape } from "../tensor/shape.js";
import { checkTensor, type Tensor } from "../tensor/tensor.js";
import { filled, type InitOptions } from "./initial.js";

/** Parameters of {@link layerNorm}. */
export interface LayerNormParameters {
  /** `[width]`. */
  readonly weight: Tensor;
  /** `[width]`. */
  readonly bias: Tensor;
}

/** Parameters of {@link rmsNorm}. */
export interface RmsNormParameters {
  /** `[width]`. */
  readonly weight: Tensor;
}

/**
 * `(x − mean)/√(var + ε) · weight + bias` over the last axis, with var the mean squared deviation
 * (Ba et al. 2016, arXiv 1607.06450). ε default 1e-5.
 * @throws if the last axis is not the parameters' width.
 */
export function layerNorm(parameters: LayerNormParameters, x: Tensor, epsilon = 1e-5): Tensor {
  checkWidth("layerNorm", parameters.weight, x);
  const centred = sub(x, mean(x, -1, { keepDims: true }));
  const deviation = sqrt(add(mean(square(centred), -1, { keepDims: true }), epsilon));
  return add(mul(div(centred, deviation), parameters.weight), parameters.bias);
}

/**
 * `x/√(mean x² + ε) · weight` over the last axis (Zhang & Sennrich 2019, arXiv 1910.07467).
 * ε default 1e-6.
 * @throws if the last axis is not the parameters' width.
 */
export function rmsNorm(parameters: RmsNormParameters, x: Tensor, epsilon = 1e-6): Tensor {
  checkWidth("rmsNorm", parameters.weight, x);
  const scale = sqrt(add(mean(square(x), -1, { keepDims: true }), epsilon));
  return mul(div(x, scale), parameters.weight);
}

function checkWidth(name: string, weight: Tensor, x: Tensor): void {
  checkTensor(`${name}: parameters.weight`, weight);
  checkTensor(`${name}: x`, x);
  if (weight.rank !== 1 || x.shape.at(-1) !== weight.shape[0]) {
    throw new RangeError(
      `${name}: the last axis of x ${formatShape(x.shape)} must have the weight's shape ${formatShape(weight.shape)}`,
    );
  }
}

/** Parameters of {@link layerNorm}: weights 1, biases 0. */
export function initLayerNorm(
  width: number,
  options: Pick<InitOptions, "dtype"> = {},
): LayerNormParameters {
  checkOptions("initLayerNorm", options as InitOptions, "dtype", "seed", "std");
  return { weight: filled([width], 1, options), bias: filled([width], 0, options) };
}

/** Parameters of {@link rmsNorm}: weights 1. */
export function initRmsNorm(
  width: number,
  options: Pick<InitOptions, "dtype"> = {},
): RmsNormParameters {
  checkOptions("initRmsNorm", options as InitOptions, "dtype", "seed", "std");
  return { weight: filled([width], 1, options) };
}
