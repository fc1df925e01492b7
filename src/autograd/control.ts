/**
 * Control over how gradients are taken: functions with their own rule, and functions that are
 * computed again instead of remembered.
 * @module
 */

import { checkFunction } from "../checks.js";
import { withGradient, withRule } from "../ops/composite.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

export { stopGradient } from "../ops/composite.js";

/** What the function given to {@link customGradient} returns. */
export interface ValueWithGradient {
  readonly value: Tensor;
  /**
   * Cotangents of the inputs, in order, from the cotangent of the value; null for none. Written
   * with tensor operations it is differentiable in turn.
   */
  readonly gradient: (cotangent: Tensor) => readonly (Tensor | null)[];
}

/**
 * A function with its own derivative: gradients do not look inside it.
 *
 * @example
 * const clampedExp = customGradient((x: Tensor) => ({
 *   value: exp(minimum(x, 50)),
 *   gradient: (g) => [mul(g, exp(minimum(x, 50)))],
 * }));
 */
export function customGradient<Inputs extends Tensor[]>(
  f: (...inputs: Inputs) => ValueWithGradient,
): (...inputs: Inputs) => Tensor {
  checkFunction("customGradient", f);
  return (...inputs) => {
    const { value, gradient } = f(...inputs);
    return withGradient(value, inputs, (g) => {
      const cotangents = gradient(g);
      if (cotangents.length !== inputs.length) {
        throw new RangeError(
          `customGradient: the rule gives ${cotangents.length} gradients for ${inputs.length} inputs; give null for none`,
        );
      }
      cotangents.forEach((cotangent, i) => {
        const input = inputs[i];
        const fits =
          cotangent === null ||
          (sameShape(cotangent.shape, input!.shape) && cotangent.dtype === input!.dtype);
        if (!fits) {
          throw new RangeError(
            `customGradient: the gradient of input ${i} is ${cotangent.dtype}${formatShape(cotangent.shape)}, ` +
              `the input ${input!.dtype}${formatShape(input!.shape)}`,
          );
        }
      });
      return cotangents;
    });
  };
}

/**
 * The same function, but computed again in the backward pass instead of keeping its intermediate
 * values: less memory for more work (Chen et al. 2016, arXiv 1604.06174). Gradients flow to the
 * arguments and to everything the function refers to, but not to tensors made inside it: those of the
 * backward pass are others.
 */
export function checkpoint<Inputs extends unknown[]>(
  f: (...inputs: Inputs) => Tensor,
): (...inputs: Inputs) => Tensor {
  checkFunction("checkpoint", f);
  return (...inputs) =>
    withRule(f(...inputs), { kind: "recompute", recompute: () => f(...inputs) });
}
