/**
 * Broadcasting and its adjoint, summation.
 * @module
 */

import { ZERO } from "../kernels/indexing.js";
import { constant } from "../tensor/create.js";
import { CONSTANT, NO_ATTRIBUTES, primitive } from "../tensor/primitive.js";
import {
  broadcastShapes,
  checkShape,
  formatShape,
  type Shape,
  sameShape,
} from "../tensor/shape.js";
import { createNode, type Tensor } from "../tensor/tensor.js";
import { reshape } from "./movement.js";
import { sum } from "./reduce.js";

// Each output element reads the input element with index 0 along the axes that were 1.
const BROADCAST = /* @__PURE__ */ primitive(
  "broadcastTo",
  {
    kind: "read",
    source: (at, { inputs: [x] }) => {
      const added = at.length - x!.shape.length;
      return x!.shape.map((extent, d) => (extent === 1 ? ZERO : at[d + added]!));
    },
    isSilent: true,
  },
  (g, { inputs: [x] }) => [sumTo(g, x!.shape)],
);

/** The tensor repeated along new leading axes and axes of extent 1, as a view. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  checkShape("broadcastTo", shape);
  if (!sameShape(broadcastShapes("broadcastTo", x.shape, shape), shape)) {
    throw new RangeError(
      `broadcastTo: shape ${formatShape(x.shape)} does not broadcast to ${formatShape(shape)}`,
    );
  }
  if (x.primitive === CONSTANT) return constant(shape, x._element, x.dtype);
  return createNode({
    primitive: BROADCAST,
    inputs: [x],
    attributes: NO_ATTRIBUTES,
    shape,
    dtype: x.dtype,
  });
}

/** Sums a broadcast tensor back to the shape it came from: the adjoint of {@link broadcastTo}. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const added = x.shape.length - shape.length;
  const axes: number[] = [];
  for (let d = 0; d < x.shape.length; d++) {
    if (d < added || (shape[d - added] === 1 && x.shape[d] !== 1)) axes.push(d);
  }
  return reshape(sum(x, axes), shape);
}
