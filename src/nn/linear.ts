/**
 * The affine layer.
 * @module
 */

import { add } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { randomNormal } from "../tensor/random.js";
import { formatShape } from "../tensor/shape.js";
import { checkTensor, type Tensor } from "../tensor/tensor.js";
import { rowDropout } from "./dropout.js";
import { filled, type InitOptions, initial } from "./initial.js";

/** Parameters of {@link linear}. */
export interface LinearParameters {
  /** `[inputs, outputs]`. */
  readonly weight: Tensor;
  /** `[outputs]`; none: nothing is added. */
  readonly bias?: Tensor;
  /** A correction of low rank; none: nothing is added. */
  readonly lora?: LowRankParameters;
}

/** Two thin matrices whose product is added to a weight, and never computed: LoRA's correction, any factor of it within B. */
export interface LowRankParameters {
  /** `[inputs, r]`. */
  readonly A: Tensor;
  /** `[r, outputs]`. */
  readonly B: Tensor;
  /** Of the x that A reads. Each index of x's first axis has random numbers of its own. */
  readonly dropout?: { readonly rate: number; readonly seed: string };
}

/**
 * `x·W + (x·A)·B + b`: `[…, inputs] → […, outputs]`. What the parameters lack is not added.
 * @throws if the last axis of x is not the weight's first.
 */
export function linear(parameters: LinearParameters, x: Tensor): Tensor {
  const { weight, bias, lora } = parameters;
  checkTensor("linear: parameters.weight", weight);
  checkTensor("linear: x", x);
  if (weight.rank !== 2 || x.shape.at(-1) !== weight.shape[0]) {
    throw new RangeError(
      `linear: x ${formatShape(x.shape)} does not fit the weight ${formatShape(weight.shape)}: ` +
        "it needs shape [inputs, outputs], and x as many columns as there are inputs",
    );
  }
  const product = matmul(x, weight);
  const corrected = lora ? add(product, lowRank(lora, x)) : product;
  return bias ? add(corrected, bias) : corrected;
}

function lowRank({ A, B, dropout }: LowRankParameters, x: Tensor): Tensor {
  return matmul(matmul(dropout ? rowDropout(x, dropout.rate, dropout.seed) : x, A), B);
}

/** Parameters of {@link linear}: weights from N(0, std²), biases 0. */
export function initLinear(
  inputs: number,
  outputs: number,
  options: InitOptions,
): Required<Omit<LinearParameters, "lora">> {
  const { std, dtype, seed } = initial("initLinear", options);
  return {
    weight: randomNormal([inputs, outputs], { seed, std, dtype }),
    bias: filled([outputs], 0, options),
  };
}
