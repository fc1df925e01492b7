/**
 * Scalar functions: computed in float64, and results rounded to their dtype.
 * @module
 */

import { type DType, elementOf } from "../../kernels/dtype.js";
import type { ScalarOperation } from "../../kernels/kernel.js";

type Scalar = (inputs: readonly number[]) => number;

/** erf by its Maclaurin series below 2 and the continued fraction of erfc above, to 1e-15. */
function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (magnitude > 6) return Math.sign(x);
  const scale = (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x);
  if (magnitude < 2) {
    // erf x = 2/√π e^(−x²) Σ 2ⁿ x^(2n+1) / (2n+1)!!
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return scale * sum;
  }
  // erfc x = e^(−x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + …))))
  let fraction = 0;
  for (let n = 100; n > 0; n--) fraction = n / 2 / (magnitude + fraction);
  return Math.sign(x) * (1 - scale / 2 / (magnitude + fraction));
}

/** The nearest integer, the even one of two. `Math.round` takes the upper one of two. */
function roundHalfEven(x: number): number {
  const upper = Math.round(x);
  return upper - x === 0.5 && upper % 2 !== 0 ? upper - 1 : upper;
}

const FUNCTIONS: Readonly<Record<Exclude<ScalarOperation, "cast">, Scalar>> = {
  neg: ([x]) => -x!,
  exp: ([x]) => Math.exp(x!),
  log: ([x]) => Math.log(x!),
  log1p: ([x]) => Math.log1p(x!),
  expm1: ([x]) => Math.expm1(x!),
  sqrt: ([x]) => Math.sqrt(x!),
  tanh: ([x]) => Math.tanh(x!),
  erf: ([x]) => erf(x!),
  abs: ([x]) => Math.abs(x!),
  sign: ([x]) => Math.sign(x!),
  sin: ([x]) => Math.sin(x!),
  cos: ([x]) => Math.cos(x!),
  floor: ([x]) => Math.floor(x!),
  ceil: ([x]) => Math.ceil(x!),
  round: ([x]) => roundHalfEven(x!),
  not: ([x]) => Number(x === 0),
  add: ([x, y]) => x! + y!,
  sub: ([x, y]) => x! - y!,
  mul: ([x, y]) => x! * y!,
  div: ([x, y]) => x! / y!,
  pow: ([x, y]) => x! ** y!,
  maximum: ([x, y]) => Math.max(x!, y!),
  minimum: ([x, y]) => Math.min(x!, y!),
  equal: ([x, y]) => Number(x! === y!),
  less: ([x, y]) => Number(x! < y!),
  lessEqual: ([x, y]) => Number(x! <= y!),
  and: ([x, y]) => Number(x! !== 0 && y! !== 0),
  or: ([x, y]) => Number(x! !== 0 || y! !== 0),
  where: ([condition, x, y]) => (condition! !== 0 ? x! : y!),
};

/** Truncation to int32; out of range gives the nearest, NaN gives 0. */
function toInteger(x: number): number {
  if (Number.isNaN(x)) return 0;
  return Math.trunc(Math.min(Math.max(x, -2147483648), 2147483647));
}

const CASTS: Readonly<Record<DType, Scalar>> = {
  float32: ([x]) => Math.fround(x!),
  float64: ([x]) => x!,
  int32: ([x]) => toInteger(x!),
  bool: ([x]) => Number(x !== 0),
};

/** A product of integers, which float64 need not hold. */
const multiplyIntegers: Scalar = ([x, y]) => Math.imul(x!, y!);

/**
 * The function that computes an operation. Every value is rounded to its dtype, stored or not: one that two
 * kernels compute is the same number in both.
 */
export function scalarFunction(operation: ScalarOperation, dtype: DType): Scalar {
  if (operation === "cast") return CASTS[dtype];
  if (operation === "mul" && dtype === "int32") return multiplyIntegers;
  const f = FUNCTIONS[operation];
  return (inputs) => elementOf(dtype, f(inputs));
}
