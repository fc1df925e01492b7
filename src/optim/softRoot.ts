/**
 * A square root that can be differentiated at zero.
 * @module
 */

import { customGradient } from "../autograd/control.js";
import { add, div, mul, sqrt } from "../ops/elementwise.js";
import type { Tensor } from "../tensor/tensor.js";

/**
 * `√x`, exactly, with the derivatives (of every order) of `√(x + δ)`: finite at x = 0, and
 * different from the root's own by a relative δ/2x elsewhere.
 */
export function softRoot(x: Tensor, delta: number): Tensor {
  return customGradient((radicand: Tensor) => ({
    value: sqrt(radicand),
    gradient: (g) => [div(mul(g, 0.5), sqrt(add(radicand, delta)))],
  }))(x);
}
