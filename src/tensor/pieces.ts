/**
 * Tensors that reach the device piece by piece, and what it can hold of them.
 * @module
 */

import type { StorageType } from "../kernels/dtype.js";
import { LEAF, NO_ATTRIBUTES } from "./primitive.js";
import { type DeviceLimits, type Fill, runtime } from "./runtime.js";
import type { Shape } from "./shape.js";
import { createNode, type Tensor } from "./tensor.js";

/**
 * A tensor whose elements are written to the device piece by piece: the host holds one piece at a time.
 * `fill` writes all of them.
 */
export async function tensorOfPieces(
  shape: Shape,
  storage: StorageType,
  fill: Fill,
): Promise<Tensor> {
  const dtype = storage === "bfloat16" ? "float32" : storage;
  const parts = { primitive: LEAF, inputs: [], attributes: NO_ATTRIBUTES, shape, dtype };
  const result = createNode(parts);
  await (await runtime()).fill(result, storage, fill);
  return result;
}

/** Bytes that tensors may take on the device: one of them, and all together. */
export async function deviceLimits(): Promise<DeviceLimits> {
  return (await runtime()).limits();
}
