/**
 * Nodes that change how gradients flow and leave values alone.
 * @module
 */

import { CONSTANT, primitive } from "../tensor/primitive.js";
import { type GradientRule, Tensor } from "../tensor/tensor.js";

/** The node reads its input as it is. */
const SAME = { kind: "read", source: (at: readonly unknown[]) => at } as never;

const CUSTOM = /* @__PURE__ */ primitive("customGradient", SAME, null);
const STOP = /* @__PURE__ */ primitive("stopGradient", SAME, null);
const ALIAS = /* @__PURE__ */ primitive("alias", SAME, (g) => [g]);

function wrap(operation: typeof CUSTOM, value: Tensor): Tensor {
  const { shape, dtype } = value;
  return new Tensor({ primitive: operation, inputs: [value], attributes: [], shape, dtype });
}

/** The value with another rule for its gradient. */
export function withRule(value: Tensor, rule: GradientRule): Tensor {
  const node = wrap(CUSTOM, value);
  node.rule = rule;
  return node;
}

/** The value with the gradient of its inputs given by a function of the cotangent. */
export function withGradient(
  value: Tensor,
  inputs: readonly Tensor[],
  gradient: (cotangent: Tensor) => readonly (Tensor | null)[],
): Tensor {
  return withRule(value, { kind: "custom", inputs, gradient });
}

/** The same values as a constant: no gradient flows through. */
export function stopGradient(x: Tensor): Tensor {
  return x.primitive === CONSTANT ? x : wrap(STOP, x);
}

/** The same values as a new node, so that gradients can be taken with respect to this use alone. */
export function alias(x: Tensor): Tensor {
  return wrap(ALIAS, x);
}
