/**
 * The feed-forward layer of a transformer.
 * @module
 */

import { gelu } from "../ops/activations.js";
import type { Tensor } from "../tensor/tensor.js";
import { type InitOptions, initial } from "./initial.js";
import { initLinear, type LinearParameters, linear } from "./linear.js";

/** Parameters of {@link mlp}. */
export interface MlpParameters {
  /** Width to the hidden width. */
  readonly expand: LinearParameters;
  /** The hidden width back to the width. */
  readonly projection: LinearParameters;
}

/** `projection(gelu(expand(x)))` with the tanh form of gelu: `[…, D] → […, D]`. */
export function mlp(parameters: MlpParameters, x: Tensor): Tensor {
  return linear(parameters.projection, gelu(linear(parameters.expand, x)));
}

/** Options of {@link initMlp}. */
export interface InitMlpOptions extends InitOptions {
  /** Default: four times the width. */
  readonly hiddenWidth?: number;
  /** Standard deviation of the projection's weights; default `std`. */
  readonly projectionStd?: number;
}

/** Parameters of {@link mlp}: weights from N(0, std²), biases 0. */
export function initMlp(width: number, options: InitMlpOptions): MlpParameters {
  const own = initial("initMlp", options, "hiddenWidth", "projectionStd");
  const { hiddenWidth = 4 * width, projectionStd: std = own.std } = options;
  return {
    expand: initLinear(width, hiddenWidth, own),
    projection: initLinear(hiddenWidth, width, { ...own, std }),
  };
}
