/**
 * Nodes that change how gradients flow and leave values alone.
 * @module
 */

import {
  CONSTANT,
  type Lowering,
  NO_ATTRIBUTES,
  type NoAttributes,
  primitive,
} from "../tensor/primitive.js";
import { createNode, type GradientRule, type Tensor } from "../tensor/tensor.js";

/** The node reads its input as it is. */
const SAME: Lowering<NoAttributes> = { kind: "read", source: (at) => at, isSilent: true };

const CUSTOM = /* @__PURE__ */ primitive("customGradient", SAME, null);
const STOP = /* @__PURE__ */ primitive("stopGradient", SAME, null);
const ALIAS = /* @__PURE__ */ primitive("alias", SAME, (g) => [g]);

function wrap(operation: typeof CUSTOM, value: Tensor): Tensor {
  const { shape, dtype } = value;
  return createNode({
    primitive: operation,
    inputs: [value],
    attributes: NO_ATTRIBUTES,
    shape,
    dtype,
  });
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
