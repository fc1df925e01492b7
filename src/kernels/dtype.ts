/**
 * Element types, their storage and how they promote.
 * @module
 */

/** Element type of a tensor. Booleans occupy one 32-bit integer (0 or 1) on a device. */
export type DType = "float32" | "float64" | "int32" | "bool";

/** The typed array that holds elements of a dtype on a device and on the host. */
export type TypedArray = Float32Array | Float64Array | Int32Array;

/** Promotion order: an operation on two dtypes yields the later one. */
export const DTYPES: readonly DType[] = ["bool", "int32", "float32", "float64"];

/** Bytes one element occupies on a device. */
export function bytesPerElement(dtype: DType): number {
  return dtype === "float64" ? 8 : 4;
}

/** Whether gradients flow through the dtype. */
export function isFloating(dtype: DType): boolean {
  return dtype === "float32" || dtype === "float64";
}

/** A zero-filled typed array of the dtype. */
export function allocate(dtype: DType, length: number): TypedArray {
  if (dtype === "float32") return new Float32Array(length);
  if (dtype === "float64") return new Float64Array(length);
  return new Int32Array(length);
}

/** A typed-array view over bytes that already exist. */
export function viewAs(
  dtype: DType,
  bytes: ArrayBufferLike,
  byteOffset: number,
  length: number,
): TypedArray {
  if (dtype === "float32") return new Float32Array(bytes, byteOffset, length);
  if (dtype === "float64") return new Float64Array(bytes, byteOffset, length);
  return new Int32Array(bytes, byteOffset, length);
}

/** The dtype that holds values of both. */
export function promote(a: DType, b: DType): DType {
  return DTYPES.indexOf(a) >= DTYPES.indexOf(b) ? a : b;
}
