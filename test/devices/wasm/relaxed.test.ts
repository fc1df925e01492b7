/**
 * Products use WebAssembly's relaxed SIMD where the engine has it. Where it must be asked for, this
 * file and the products' run a second time, in an engine that was asked.
 */

import { expect, it } from "vitest";
import { f32x4, f64x2 } from "../../../src/devices/wasm/assembler.js";
import { multiplyAdd } from "../../../src/devices/wasm/relaxed.js";

/** `(func (result v128) …)` whose body is f32x4.relaxed_madd of three zeros. */
const MODULE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 5, 1, 0x60, 0, 1, 0x7b],
  ...[3, 2, 1, 0],
  ...[10, 19, 1, 17, 0],
  ...[0x41, 0, 0xfd, 15, 0x41, 0, 0xfd, 15, 0x41, 0, 0xfd, 15],
  ...[0xfd, 0x85, 0x02, 0x0b],
);
const isSupported = WebAssembly.validate(MODULE);

it("is used where the engine has it, and asked for in a run of its own", () => {
  if (process.env.EXPECT_RELAXED_SIMD) expect(isSupported).toBe(true);
  const [a, b, c] = [[1], [2], [3]];
  const float32 = isSupported ? [a, b, c, 0xfd, 0x85, 0x02] : f32x4.add(c, f32x4.mul(a, b));
  const float64 = isSupported ? [a, b, c, 0xfd, 0x87, 0x02] : f64x2.add(c, f64x2.mul(a, b));
  expect(multiplyAdd(f32x4, a, b, c)).toEqual(float32);
  expect(multiplyAdd(f64x2, a, b, c)).toEqual(float64);
});
