/**
 * Scalar operations on vectors: which SIMD instructions compute each operation of the kernel
 * language.
 *
 * A kernel works on 4 lanes, or on 2 if it touches float64; then 4-byte values occupy the low two
 * 32-bit lanes. Booleans are masks in 32-bit lanes: all bits set or none.
 * @module
 */

import type { DType } from "../../kernels/dtype.js";
import type { ScalarOperation } from "../../kernels/kernel.js";
import { type Code, type FunctionBuilder, f32x4, f64x2, i32x4, i64x2, v128 } from "./assembler.js";
import { emitPow, emitUnary } from "./math.js";

/** Lanes 0 and 2 of 32 bits, as a mask of 64-bit lanes becomes one of 32-bit lanes. */
const LOW_HALVES = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];

const narrow = (mask: Code): Code => v128.shuffle(LOW_HALVES, mask, v128.constI32(0));

/** A mask of 32-bit lanes as wide as the dtype's lanes. */
export function widenMask(mask: Code, dtype: DType): Code {
  return dtype === "float64" ? i64x2.extendLowI32x4S(mask) : mask;
}

/** A constant in every lane of a dtype. */
export function splatConstant(value: number, dtype: DType): Code {
  if (dtype === "float32") return v128.constF32(value);
  if (dtype === "float64") return v128.constF64(value);
  return v128.constI32(dtype === "bool" ? -Number(value !== 0) : value);
}

/** The arithmetic both float formats have under the same names. */
const FLOATS = { float32: f32x4, float64: f64x2 } as const;

/** Code for an operation. Operands must be local variables, since they may be used twice. */
export function emitOperation(
  f: FunctionBuilder,
  operation: ScalarOperation,
  result: DType,
  operands: readonly Code[],
  from: DType,
): Code {
  const [x, y, z] = operands as [Code, Code, Code];
  if (operation === "cast") return emitCast(x, from, result);
  if (operation === "where") return v128.bitselect(y, z, widenMask(x, result));
  if (operation === "and") return v128.and(x, y);
  if (operation === "or") return v128.or(x, y);
  if (operation === "not") return v128.not(x);
  if (from === "float32" || from === "float64") {
    const code = emitFloat(f, operation, from, x, y);
    return result === "bool" && from === "float64" ? narrow(code) : code;
  }
  return emitInteger(operation, x, y);
}

function emitFloat(
  f: FunctionBuilder,
  operation: Exclude<ScalarOperation, "cast" | "where" | "and" | "or" | "not">,
  dtype: "float32" | "float64",
  x: Code,
  y: Code,
): Code {
  const lanes = FLOATS[dtype];
  const constant = (value: number): Code => splatConstant(value, dtype);
  switch (operation) {
    case "add":
      return lanes.add(x, y);
    case "sub":
      return lanes.sub(x, y);
    case "mul":
      return lanes.mul(x, y);
    case "div":
      return lanes.div(x, y);
    case "maximum":
      return lanes.max(x, y);
    case "minimum":
      return lanes.min(x, y);
    case "equal":
      return lanes.eq(x, y);
    case "less":
      return lanes.lt(x, y);
    case "lessEqual":
      return lanes.le(x, y);
    case "neg":
      return lanes.neg(x);
    case "abs":
      return lanes.abs(x);
    case "sqrt":
      return lanes.sqrt(x);
    case "floor":
      return lanes.floor(x);
    case "sign": {
      // 1 with x's sign bit where x is not 0 and not NaN, else x itself
      const one = v128.or(v128.and(x, constant(-0)), constant(1));
      const ordered = v128.or(lanes.lt(x, constant(0)), lanes.gt(x, constant(0)));
      return v128.bitselect(one, x, ordered);
    }
    case "pow":
      return emitPow(f, dtype === "float32" ? "f32" : "f64", x, y);
    default:
      return emitUnary(f, operation, dtype === "float32" ? "f32" : "f64", x);
  }
}

function emitInteger(operation: ScalarOperation, x: Code, y: Code): Code {
  switch (operation) {
    case "add":
      return i32x4.add(x, y);
    case "sub":
      return i32x4.sub(x, y);
    case "mul":
      return i32x4.mul(x, y);
    case "maximum":
      return i32x4.maxS(x, y);
    case "minimum":
      return i32x4.minS(x, y);
    case "equal":
      return i32x4.eq(x, y);
    case "less":
      return i32x4.ltS(x, y);
    case "lessEqual":
      return i32x4.leS(x, y);
    case "neg":
      return i32x4.neg(x);
    case "abs":
      return i32x4.abs(x);
    case "sign":
      // (x > 0) is −1 or 0 as a mask
      return i32x4.sub(i32x4.ltS(x, v128.constI32(0)), i32x4.gtS(x, v128.constI32(0)));
    default:
      throw new Error(`${operation} is not defined for integers`);
  }
}

function emitCast(x: Code, from: DType, to: DType): Code {
  if (from === to) return x;
  switch (to) {
    case "bool":
      if (from === "float32") return f32x4.ne(x, v128.constF32(0));
      if (from === "float64") return narrow(f64x2.ne(x, v128.constF64(0)));
      return i32x4.ne(x, v128.constI32(0));
    case "int32":
      if (from === "float32") return i32x4.truncSatF32x4S(x);
      if (from === "float64") return i32x4.truncSatF64x2SZero(x);
      return v128.and(x, v128.constI32(1));
    case "float32":
      if (from === "float64") return f32x4.demoteF64x2Zero(x);
      if (from === "int32") return f32x4.convertI32x4S(x);
      return v128.and(x, v128.constF32(1));
    case "float64":
      if (from === "float32") return f64x2.promoteLowF32x4(x);
      if (from === "int32") return f64x2.convertLowI32x4S(x);
      return v128.and(widenMask(x, "float64"), v128.constF64(1));
  }
}
