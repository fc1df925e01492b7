/**
 * The affine layer.
 * @module
 */

import { add } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { randomNormal } from "../tensor/random.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { continued, filled, type InitOptions } from "./initial.js";

/** Parameters of {@link linear}. */
export interface LinearParameters {
  /** `[inputs, outputs]`. */
  readonly weight: Tensor;
  /** `[outputs]`; none: nothing is added. */
  readonly bias?: Tensor;
}

/**
 * `x·W + b`: `[…, inputs] → […, outputs]`.
 * @throws if the last axis of x is not the weight's first.
 */
export function linear(parameters: LinearParameters, x: Tensor): Tensor {
  const { weight, bias } = parameters;
  if (weight.rank !== 2 || x.shape.at(-1) !== weight.shape[0]) {
    throw new RangeError(
      `linear: x ${formatShape(x.shape)} does not fit the weight ${formatShape(weight.shape)}: ` +
        "it needs shape [inputs, outputs], and x as many columns as there are inputs",
    );
  }
  const product = matmul(x, weight);
  return bias ? add(product, bias) : product;
}

/** Parameters of {@link linear}: weights from N(0, std²), biases 0. */
export function initLinear(
  inputs: number,
  outputs: number,
  options: InitOptions,
): Required<LinearParameters> {
  const { std = 0.02, dtype = "float32", seed } = continued(options);
  return {
    weight: randomNormal([inputs, outputs], { seed, std, dtype }),
    bias: filled([outputs], 0, options),
  };
}
