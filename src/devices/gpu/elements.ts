/**
 * Elements as the GPU holds them: every dtype as float32; on WebGPU also bfloat16s.
 * @module
 */

import {
  allocate,
  type DType,
  type StorageType,
  type StoredArray,
  type TypedArray,
} from "../../kernels/dtype.js";
import type { Plan } from "../../kernels/kernel.js";

/** Integers up to here are exact in float32. */
export const LARGEST_INTEGER = 2 ** 24;

/** The storage types that float32 holds. */
const HELD: Readonly<Record<StorageType, boolean>> = {
  float32: true,
  int32: true,
  bool: true,
  float64: false,
  bfloat16: true,
};

/** Refuses dtypes that the GPU does not have. */
export function checkDType(dtype: StorageType, what: string): void {
  if (HELD[dtype]) return;
  throw new TypeError(
    `the GPU computes in float32, and ${what} is ${dtype}: cast it to float32, or use setDevice("wasm")`,
  );
}

/** Refuses an integer that float32 may not hold. */
function checkInteger(value: number, what: string): void {
  if (Math.abs(value) <= LARGEST_INTEGER) return;
  throw new RangeError(
    `${what} ${value}: on the GPU integers are exact up to 2^24 only; use setDevice("wasm")`,
  );
}

/**
 * Elements to upload.
 * @throws for integers that float32 does not hold.
 */
export function toFloats(
  values: StoredArray,
  dtype: StorageType,
  what: string,
): Float32Array<ArrayBuffer> {
  if (dtype === "int32") for (const value of values) checkInteger(value, `${what} holds`);
  return new Float32Array(values);
}

/**
 * A check of a plan's constants before each run.
 * @throws for integers that float32 does not hold.
 */
export function constantsCheck({ steps }: Plan): (constants: Float64Array) => void {
  const integers = new Map<number, string>();
  for (const { kernel, constants, operations } of steps) {
    const loop = kernel.kind === "matmul" ? kernel.epilogue : kernel;
    if (loop === null || loop.kind === "sort") continue;
    for (const e of loop.expressions) {
      if (e.kind !== "constant" || e.dtype !== "int32") continue;
      integers.set(constants[e.slot]!, operations.join(", "));
    }
  }
  return (constants) => {
    for (const [number, operations] of integers) {
      checkInteger(constants[number]!, `${operations} takes`);
    }
  };
}

/** Elements that were downloaded. */
export function fromFloats(values: Float32Array, dtype: StorageType): TypedArray {
  if (dtype === "float32") return values;
  const elements = allocate(dtype as DType, values.length);
  // 2³¹ − 1 is 2³¹ in float32.
  for (let i = 0; i < values.length; i++) elements[i] = Math.min(values[i]!, 2147483647);
  return elements;
}
