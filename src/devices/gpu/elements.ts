/**
 * Elements as the GPU holds them: every dtype as float32.
 * @module
 */

import { allocate, type DType, type TypedArray } from "../../kernels/dtype.js";

/** Integers up to here are exact in float32. */
export const LARGEST_INTEGER = 2 ** 24;

/** The error of a dtype the GPU does not have. */
export function refuseFloat64(what: string): never {
  throw new TypeError(
    `the GPU computes in float32, and ${what} is float64: cast it to float32, or use setDevice("wasm")`,
  );
}

/**
 * Elements to upload.
 * @throws for float64, and for integers that float32 does not hold.
 */
export function toFloats(
  values: TypedArray,
  dtype: DType,
  what: string,
): Float32Array<ArrayBuffer> {
  if (dtype === "float64") refuseFloat64(what);
  if (dtype === "int32") {
    for (const value of values) {
      if (Math.abs(value) > LARGEST_INTEGER) {
        throw new RangeError(
          `${what} holds ${value}: on the GPU integers are exact up to 2^24 only; use setDevice("wasm")`,
        );
      }
    }
  }
  return Float32Array.from(values);
}

/** Elements that were downloaded. */
export function fromFloats(values: Float32Array, dtype: DType): TypedArray {
  if (dtype === "float32") return values;
  const elements = allocate(dtype, values.length);
  // 2³¹ − 1 is 2³¹ in float32.
  for (let i = 0; i < values.length; i++) elements[i] = Math.min(values[i]!, 2147483647);
  return elements;
}
