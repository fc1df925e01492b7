/**
 * Multiplication and addition in one instruction, where the engine has WebAssembly's relaxed SIMD:
 * Node 22, Chromium 114 and what followed them, and Node 20 with `--experimental-wasm-relaxed-simd`.
 * @module
 */

import { assemble, type Code, FunctionBuilder, f32x4, type f64x2, v128 } from "./assembler.js";

let isSupported: boolean | undefined;

function supportsRelaxedSimd(): boolean {
  const f = new FunctionBuilder([], ["v128"]);
  const zero = v128.constF32(0);
  f.body = f32x4.relaxedMadd(zero, zero, zero);
  const memory = { shared: false, maximumPages: 1 };
  return WebAssembly.validate(assemble({ memory, functions: [f], exports: {} }));
}

/**
 * a · b + c by lanes: rounded once where the engine and the processor can, else after each step. The
 * same on all threads of a machine.
 */
export function multiplyAdd(lanes: typeof f32x4 | typeof f64x2, a: Code, b: Code, c: Code): Code {
  isSupported ??= supportsRelaxedSimd();
  return isSupported ? lanes.relaxedMadd(a, b, c) : lanes.add(c, lanes.mul(a, b));
}
