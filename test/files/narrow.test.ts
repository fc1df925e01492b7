/**
 * Numbers in the types of files: every 16-bit pattern there and back, and rounding against the two nearest patterns.
 */

import { describe, expect, it } from "vitest";
import { elementsOf } from "../../src/files/elements.js";
import { narrowed } from "../../src/files/narrow.js";
import { randomGenerator } from "../../src/index.js";

const patterns = Uint16Array.from({ length: 1 << 16 }, (_, i) => i);
const TYPES = [
  { type: "F16", infinity: 0x7c00, largest: 65504 },
  { type: "BF16", infinity: 0x7f80, largest: 2 ** 127 * (2 - 2 ** -7) },
] as const;

describe.each(TYPES)("numbers as $type", ({ type, infinity, largest }) => {
  const numbers = elementsOf("all", type, new Uint8Array(patterns.buffer));
  const bitsOf = (...values: number[]) =>
    Array.from(new Uint16Array(narrowed("x", type, Float64Array.from(values)).buffer));

  it("are the patterns they come from, each of them", () => {
    const back = new Uint16Array(narrowed("all", type, numbers).buffer);
    const isNaNPattern = (bits: number) => (bits & 0x7fff) > infinity;
    const wrong = patterns.filter((bits, i) =>
      isNaNPattern(bits) ? !isNaNPattern(back[i]!) : back[i] !== bits,
    );
    expect(wrong).toHaveLength(0);
  });

  it("are the nearest of all, and of two equally near ones the even", () => {
    const next = randomGenerator("narrow");
    for (let i = 0; i < 20_000; i++) {
      const below = Math.floor(next() * (infinity - 1));
      const [a, b] = [numbers[below]!, numbers[below + 1]!];
      const share = i % 4 === 0 ? 0.5 : next();
      const x = a + share * (b - a);
      const wanted = share < 0.5 || (share === 0.5 && below % 2 === 0) ? below : below + 1;
      expect(bitsOf(x, -x)).toEqual([wanted, wanted | 0x8000]);
    }
  });

  it("are refused by name beyond the largest, but for infinities", () => {
    const step = largest - numbers[infinity - 2]!;
    expect(bitsOf(largest + 0.499 * step)).toEqual([infinity - 1]);
    expect(() => bitsOf(0, largest + step / 2)).toThrow(
      `x holds ${largest + step / 2}, which is beyond`,
    );
    expect(() => bitsOf(-1e300)).toThrow(
      /safetensors: x holds -1e\+300, which is beyond the largest number of B?F16/,
    );
    expect(bitsOf(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)).toEqual([
      infinity,
      infinity | 0x8000,
    ]);
  });
});

describe("numbers as F32 and F64", () => {
  it("are rounded as the processor does, and refused beyond the largest", () => {
    const given = Float64Array.of(0.1, -1e-46, 3.4e38, Number.NaN);
    const of = (type: "F32" | "F64", from: Float64Array | Float32Array) => {
      const { buffer } = narrowed("x", type, from);
      return type === "F32" ? new Float32Array(buffer) : new Float64Array(buffer);
    };
    expect(of("F32", given)).toEqual(Float32Array.from(given));
    expect(of("F64", given)).toEqual(given);
    expect(of("F64", Float32Array.of(0.1))).toEqual(Float64Array.of(Math.fround(0.1)));
    expect(() => of("F32", Float64Array.of(1, 1e39))).toThrow(
      /x holds 1e\+39, .* of F32; F64 has larger/,
    );
  });
});
