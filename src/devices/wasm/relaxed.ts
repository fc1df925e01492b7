/**
 * Multiplication and addition in one instruction, if the engine has WebAssembly's relaxed SIMD: Node from
 * 22 on, Chromium from 114 on, and Node 20 with `--experimental-wasm-relaxed-simd`.
 * @module
 */

import { assemble, type Code, FunctionBuilder, f32x4, type f64x2, v128 } from "./assembler.js";

let isSupported: boolean | undefined;

/** Whether {@link multiplyAdd} is one instruction. */
export function hasMultiplyAdd(): boolean {
  isSupported ??= supportsRelaxedSimd();
  return isSupported;
}

function supportsRelaxedSimd(): boolean {
  const f = new FunctionBuilder([], ["v128"]);
  const zero = v128.constF32(0);
  f.body = f32x4.relaxedMadd(zero, zero, zero);
  const memory = { shared: false, maximumPages: 1 };
  return WebAssembly.validate(assemble({ memory, functions: [f], exports: {} }));
}

/**
 * a · b + c by lanes. It is rounded once if the engine and the processor can, else after each step. All
 * threads of a machine do the same.
 */
export function multiplyAdd(lanes: typeof f32x4 | typeof f64x2, a: Code, b: Code, c: Code): Code {
  return hasMultiplyAdd() ? lanes.relaxedMadd(a, b, c) : lanes.add(c, lanes.mul(a, b));
}
