/**
 * Floating-point numbers in the types of files: rounded to the nearest, of two equally near ones to the even.
 * @module
 */

import type { TypedArray } from "../kernels/dtype.js";

/** The floating-point types that files are written in. */
export type FloatFileType = "F64" | "F32" | "F16" | "BF16";

/** Writes numbers into an array; gives the place of the first that is finite and beyond the type's largest, or −1. */
type Narrow = (numbers: TypedArray, into: Uint8Array<ArrayBuffer>) => number;

const copiedInto =
  (ArrayType: Float32ArrayConstructor | Float64ArrayConstructor): Narrow =>
  (numbers, into) => {
    const rounded = new ArrayType(into.buffer, into.byteOffset, numbers.length);
    rounded.set(numbers);
    return numbers.findIndex((x, i) => Number.isFinite(x) && !Number.isFinite(rounded[i]));
  };

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);

/** The exponent of a number ≥ 0: ⌊log₂ x⌋, for 0 and subnormal numbers −1023. */
function exponentOf(x: number): number {
  double[0] = x;
  return (words[1]! >>> 20) - 1023;
}

/** y ≥ 0 to the nearest integer, of two the even one. */
function roundedToEven(y: number): number {
  const below = Math.floor(y);
  const rest = y - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/** Types of 16 bits: a sign, an exponent with the given bias, a fraction of so many bits. */
function bits16(fractionBits: number, bias: number): Narrow {
  const least = 1 - bias;
  const infinity = (2 * bias + 1) << fractionBits;
  /** 2^(fractionBits − e) for each exponent e from the least: what makes a number's last kept bit the ones. */
  const scales = Float64Array.from({ length: 2 * bias }, (_, i) => 2 ** (fractionBits - least - i));
  return (numbers, into) => {
    let beyond = -1;
    for (let i = 0; i < numbers.length; i++) {
      const x = numbers[i]!;
      const size = Math.abs(x);
      let bits = infinity;
      if (Number.isNaN(size)) bits = infinity | (1 << (fractionBits - 1));
      else if (size !== Number.POSITIVE_INFINITY) {
        const place = Math.max(exponentOf(size) - least, 0);
        // Below: the leading bit carries into the exponent, so that subnormal numbers need no case of their own.
        if (place < scales.length)
          bits = roundedToEven(size * scales[place]!) + place * (1 << fractionBits);
        if (bits >= infinity && beyond < 0) beyond = i;
      }
      if (x < 0 || Object.is(x, -0)) bits |= 0x8000;
      into[2 * i] = bits;
      into[2 * i + 1] = bits >>> 8;
    }
    return beyond;
  };
}

const TYPES: Readonly<Record<FloatFileType, { readonly bytes: number; readonly narrow: Narrow }>> =
  {
    F64: { bytes: 8, narrow: /* @__PURE__ */ copiedInto(Float64Array) },
    F32: { bytes: 4, narrow: /* @__PURE__ */ copiedInto(Float32Array) },
    F16: { bytes: 2, narrow: /* @__PURE__ */ bits16(10, 15) },
    BF16: { bytes: 2, narrow: /* @__PURE__ */ bits16(7, 127) },
  };

/**
 * The bytes of numbers in a file's type. Infinities and NaN stay what they are.
 * @throws naming the tensor for a finite number that the type does not reach.
 */
export function narrowed(name: string, type: FloatFileType, numbers: TypedArray): Uint8Array {
  const { bytes, narrow } = TYPES[type];
  const into = new Uint8Array(bytes * numbers.length);
  const beyond = narrow(numbers, into);
  if (beyond < 0) return into;
  throw new RangeError(
    `safetensors: ${name} holds ${numbers[beyond]}, which is beyond the largest number of ${type}; ` +
      `${type === "F16" ? "BF16 or F32 has" : "F64 has"} larger ones`,
  );
}
