/**
 * Scalar operations on vectors: which SIMD instructions compute each operation of the kernel
 * language.
 *
 * A kernel works on 4 lanes, or on 2 if it touches float64; then 4-byte values occupy the low two
 * 32-bit lanes. Booleans are masks in 32-bit lanes: all bits set or none.
 * @module
 */

import { bytesPerElement, type DType, type FloatDType, isFloating } from "../../kernels/dtype.js";
import type { Expression, ScalarOperation } from "../../kernels/kernel.js";
import { type Code, type FunctionBuilder, f32x4, f64x2, i32x4, i64x2, v128 } from "./assembler.js";
import { emitPow, emitUnary, isMathOperation } from "./math.js";
import { emitSine } from "./sine.js";

/** Lanes 0 and 2 of 32 bits, as a mask of 64-bit lanes becomes one of 32-bit lanes. */
const LOW_HALVES = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];

const narrow = (mask: Code): Code => v128.shuffle(LOW_HALVES, mask, v128.constI32(0));

/** Whether an expression is a function of some 20 instructions or more. */
export function isElementary(e: Expression): boolean {
  if (e.kind !== "map") return false;
  const { operation } = e;
  return isMathOperation(operation) || ["sin", "cos", "pow"].includes(operation);
}

/** A mask of 32-bit lanes as wide as the dtype's lanes. */
export function widenMask(mask: Code, dtype: DType): Code {
  return bytesPerElement(dtype) === 8 ? i64x2.extendLowI32x4S(mask) : mask;
}

/** A constant in every lane of a dtype. */
export function splatConstant(value: number, dtype: DType): Code {
  switch (dtype) {
    case "float32":
      return v128.constF32(value);
    case "float64":
      return v128.constF64(value);
    case "int32":
      return v128.constI32(value);
    case "bool":
      return v128.constI32(-Number(value !== 0));
  }
}

/** The arithmetic both float formats have under the same names. */
export const FLOATS = { float32: f32x4, float64: f64x2 } as const;

/** The name of each float format in the instruction set. */
export const FORMATS = { float32: "f32", float64: "f64" } as const;

/** Code for a cast: to a dtype, from another. */
const CASTS: Readonly<Record<DType, Readonly<Record<DType, (x: Code) => Code>>>> = {
  bool: {
    bool: (x) => x,
    int32: (x) => i32x4.ne(x, v128.constI32(0)),
    float32: (x) => f32x4.ne(x, v128.constF32(0)),
    float64: (x) => narrow(f64x2.ne(x, v128.constF64(0))),
  },
  int32: {
    bool: (x) => v128.and(x, v128.constI32(1)),
    int32: (x) => x,
    float32: i32x4.truncSatF32x4S,
    float64: i32x4.truncSatF64x2SZero,
  },
  float32: {
    bool: (x) => v128.and(x, v128.constF32(1)),
    int32: f32x4.convertI32x4S,
    float32: (x) => x,
    float64: f32x4.demoteF64x2Zero,
  },
  float64: {
    bool: (x) => v128.and(widenMask(x, "float64"), v128.constF64(1)),
    int32: f64x2.convertLowI32x4S,
    float32: f64x2.promoteLowF32x4,
    float64: (x) => x,
  },
};

/** Code for an operation. Operands must be local variables, since they may be used twice. */
export function emitOperation(
  f: FunctionBuilder,
  operation: ScalarOperation,
  result: DType,
  operands: readonly Code[],
  from: DType,
): Code {
  const [x, y, z] = operands as [Code, Code, Code];
  if (operation === "cast") return CASTS[result][from](x);
  if (operation === "where") return v128.bitselect(y, z, widenMask(x, result));
  if (operation === "and") return v128.and(x, y);
  if (operation === "or") return v128.or(x, y);
  if (operation === "not") return v128.not(x);
  if (isFloating(from)) {
    const code = emitFloat(f, operation, from, x, y);
    return result === "bool" && bytesPerElement(from) === 8 ? narrow(code) : code;
  }
  return emitInteger(operation, x, y);
}

/** The operations on numbers; the others look at bits alone. */
type Arithmetic = Exclude<ScalarOperation, "cast" | "where" | "and" | "or" | "not">;

function emitFloat(
  f: FunctionBuilder,
  operation: Arithmetic,
  dtype: FloatDType,
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
    case "ceil":
      return lanes.ceil(x);
    case "round":
      return lanes.nearest(x);
    case "sin":
    case "cos":
      return emitSine(f, FORMATS[dtype], operation === "sin" ? 0 : 1, x);
    case "sign": {
      // 1 with x's sign bit where x is not 0 and not NaN, else x itself
      const one = v128.or(v128.and(x, constant(-0)), constant(1));
      const ordered = v128.or(lanes.lt(x, constant(0)), lanes.gt(x, constant(0)));
      return v128.bitselect(one, x, ordered);
    }
    case "pow":
      return emitPow(f, FORMATS[dtype], x, y);
    default:
      return emitUnary(f, operation, FORMATS[dtype], x);
  }
}

function emitInteger(operation: Arithmetic, x: Code, y: Code): Code {
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
    // Operations turn integers into floats before they ask for these.
    case "div":
    case "pow":
    case "floor":
    case "ceil":
    case "round":
    case "sqrt":
    case "exp":
    case "expm1":
    case "log":
    case "log1p":
    case "tanh":
    case "erf":
    case "sin":
    case "cos":
      throw new Error(`${operation} is not defined for integers`);
  }
}
