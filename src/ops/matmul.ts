/**
 * Matrix products.
 * @module
 */

import { isFloating, promote } from "../kernels/dtype.js";
import { NO_ATTRIBUTES, primitive } from "../tensor/primitive.js";
import { broadcastShapes, formatShape, sizeOf } from "../tensor/shape.js";
import { checkTensor, createNode, type Tensor } from "../tensor/tensor.js";
import { broadcastTo } from "./broadcast.js";
import { cast } from "./elementwise.js";
import { reshape, swapAxes } from "./movement.js";

// d(AB) = dA·B + A·dB, so Ā = ḠBᵀ and B̄ = AᵀḠ
const MATMUL = /* @__PURE__ */ primitive("matmul", { kind: "matmul" }, (g, { inputs: [a, b] }) => [
  batched(g, swapAxes(b!, -1, -2)),
  batched(swapAxes(a!, -1, -2), g),
]);

/** `[batch, m, k] × [batch, k, n]`, unchecked. */
function batched(a: Tensor, b: Tensor): Tensor {
  const [batch, m] = a.shape as [number, number, number];
  const shape = [batch, m, b.shape[2]!];
  return createNode({
    primitive: MATMUL,
    inputs: [a, b],
    attributes: NO_ATTRIBUTES,
    shape,
    dtype: a.dtype,
  });
}

/**
 * Matrix product over the last two axes, leading axes broadcast: `[…, m, k] × […, k, n] → […, m, n]`.
 * A vector counts as one row on the left and one column on the right, and its axis is dropped from
 * the result, as in NumPy. Operands may be views: a transposed operand is read in place.
 *
 * @throws if the inner dimensions differ, or the operands are not floating point.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  checkTensor("matmul", a);
  checkTensor("matmul", b);
  if (a.rank === 0 || b.rank === 0) {
    throw new RangeError(
      `matmul: needs vectors or matrices, got ${formatShape(a.shape)} × ${formatShape(b.shape)}; use mul for scalars`,
    );
  }
  const dtype = promote(a.dtype, b.dtype);
  if (!isFloating(dtype)) {
    throw new TypeError(
      `matmul: needs float32 or float64, got ${a.dtype} and ${b.dtype}; cast first`,
    );
  }
  const columns = a.shape[a.rank - 1]!;
  const rows = b.shape[Math.max(0, b.rank - 2)]!;
  if (columns !== rows) {
    throw new RangeError(
      `matmul: inner dimensions differ: ${formatShape(a.shape)} × ${formatShape(b.shape)}: ` +
        `the left operand has ${columns} columns, the right one ${rows} rows`,
    );
  }
  const batches = [a.shape.slice(0, -2), b.shape.slice(0, -2)] as const;
  broadcastShapes(`matmul: ${formatShape(a.shape)} × ${formatShape(b.shape)}: batch`, ...batches);
  const product = ofMatrices(
    cast(a.rank === 1 ? reshape(a, [1, columns]) : a, dtype),
    cast(b.rank === 1 ? reshape(b, [rows, 1]) : b, dtype),
  );
  const [m, n] = product.shape.slice(-2) as [number, number];
  const kept = [...(a.rank === 1 ? [] : [m]), ...(b.rank === 1 ? [] : [n])];
  return reshape(product, [...product.shape.slice(0, -2), ...kept]);
}

/** The product of tensors of matrices whose shapes fit. */
function ofMatrices(left: Tensor, right: Tensor): Tensor {
  const [m, k] = left.shape.slice(-2) as [number, number];
  const n = right.shape[right.rank - 1]!;
  const leading = left.shape.slice(0, -2);
  const batchOfRight = right.shape.slice(0, -2);
  if (sizeOf(batchOfRight) === 1 && right.rank <= left.rank) {
    // One right operand for all: the batch becomes rows of a single product.
    const rows = sizeOf(leading) * m;
    const product = batched(reshape(left, [1, rows, k]), reshape(right, [1, k, n]));
    return reshape(product, [...leading, m, n]);
  }
  const batch = broadcastShapes("matmul", leading, batchOfRight);
  const count = sizeOf(batch);
  const product = batched(
    reshape(broadcastTo(left, [...batch, m, k]), [count, m, k]),
    reshape(broadcastTo(right, [...batch, k, n]), [count, k, n]),
  );
  return reshape(product, [...batch, m, n]);
}
/** Inner product of two vectors, or the sum of all products of two equally shaped tensors. */
export function dot(a: Tensor, b: Tensor): Tensor {
  return a.mul(b).sum();
}
