/**
 * Elementary functions as inline SIMD code: branch-free, all lanes at once, for float32 and float64
 * lanes. Each algorithm is written once over a {@link Format}, which holds the lane instructions
 * and the minimax coefficients of that precision. Bit patterns are written as the float that has
 * them: -0 is the sign bit, -Infinity the sign and the exponent, 1 the exponent's bias in place.
 * @module
 */

import type { UnaryOperation } from "../../kernels/kernel.js";
import type { Code, FunctionBuilder } from "./assembler.js";
import { f32x4, f64x2, i32, i32x4, i64x2, v128 } from "./assembler.js";

/** Lane format of a vector: f32x4 or f64x2. */
export type FloatLanes = "f32" | "f64";

/** The functions {@link emitUnary} knows. */
export type MathOperation = Extract<
  UnaryOperation,
  "exp" | "log" | "log1p" | "expm1" | "tanh" | "erf"
>;

/** Stores a value in a local variable and returns the code that pushes it. */
type Keep = (value: Code) => Code;

/** x · P(x²) / Q(x²) for |x| ≤ limit, where the function has reached ±1; coefficients ascending. */
interface Rational {
  readonly limit: number;
  readonly numerator: readonly number[];
  readonly denominator: readonly number[];
}

/** Lane instructions and coefficients of one floating-point format. */
interface Format {
  readonly float: typeof f32x4 | typeof f64x2;
  readonly constant: (value: number) => Code;
  /** Integer subtraction of bit patterns. */
  readonly subBits: (a: Code, b: Code) => Code;
  /** Moves the lowest bits of the significand into the exponent field. */
  readonly toExponent: (bits: Code) => Code;
  /** k as a float, from k · 2^significandBits as a signed integer. */
  readonly exponentToFloat: (bits: Code) => Code;
  readonly significandBits: number;
  readonly bias: number;
  /** The smallest normal number, or null where no argument of log is subnormal. */
  readonly smallestNormal: number | null;
  /** Arguments of exp beyond these give 0 and ∞. */
  readonly expRange: readonly [number, number];
  /** ln 2 = high + low; multiples of high by an exponent are exact. */
  readonly ln2: { readonly high: number; readonly low: number };
  /** P in e^r ≈ 1 + r + r² P(r), |r| ≤ ln 2. */
  readonly exp: readonly number[];
  /** P in 2 atanh(s) ≈ 2 s + s³ P(s²), |s| ≤ (√2 - 1) / (√2 + 1). */
  readonly log: readonly number[];
}

const single: Format = {
  float: f32x4,
  constant: v128.constF32,
  subBits: i32x4.sub,
  toExponent: (bits) => i32x4.shl(bits, i32.const(23)),
  exponentToFloat: (bits) => f32x4.convertI32x4S(i32x4.shrS(bits, i32.const(23))),
  significandBits: 23,
  bias: 127,
  smallestNormal: 2 ** -126,
  expRange: [-104, 89],
  ln2: { high: 0.693145751953125, low: 1.4286068203094172e-6 },
  // Relative error 1.4e-8.
  exp: [0.500000346, 0.166666141, 0.0416612691, 0.00833610365, 0.001410446, 0.000196115335],
  // Relative error 8e-10.
  log: [0.666667767, 0.399774959, 0.29873063],
};

const double: Format = {
  float: f64x2,
  constant: v128.constF64,
  subBits: i64x2.sub,
  toExponent: (bits) => i64x2.shl(bits, i32.const(52)),
  // SIMD has no conversion from i64: k + bias becomes the last digits of 2^52 + k + bias.
  exponentToFloat: (bits) =>
    f64x2.sub(
      v128.or(
        i64x2.shrU(i64x2.add(bits, v128.constF64(1)), i32.const(52)),
        v128.constF64(2 ** 52),
      ),
      v128.constF64(2 ** 52 + 1023),
    ),
  significandBits: 52,
  bias: 1023,
  smallestNormal: 2 ** -1022,
  expRange: [-746, 710],
  ln2: { high: 0.6931471803691238, low: 1.9082149292705878e-10 },
  // Relative error 1e-17.
  exp: [
    0.4999999999999993, 0.1666666666666694, 0.04166666666670220, 0.00833333333326975,
    0.001388888888356345, 1.984126989288198e-4, 2.480159083673676e-5, 2.755730062420273e-6,
    2.755615655010645e-7, 2.505503598335524e-8, 2.106245090852842e-9, 1.593555682987840e-10,
  ],
  // Relative error 1.2e-18.
  log: [
    0.6666666666666735, 0.3999999999941116, 0.2857142874325028, 0.2222219847712683,
    0.1818356968588953589, 0.1531390451203573284, 0.1479749600196690591,
  ],
};

/** float64 lanes that hold float32 values and need float32 precision. */
const singleInDouble: Format = {
  ...double,
  smallestNormal: null,
  exp: single.exp,
  log: single.log,
};

// Relative error 2.1e-8. All coefficients are positive, so that nothing cancels.
const TANH_SINGLE: Rational = {
  limit: 9.01,
  numerator: [1, 0.133796702, 0.00349397362, 2.05823116e-5, 1.33171598e-8],
  denominator: [1, 0.467129855, 0.0258708524, 0.000328298587, 7.76129708e-7],
};

// Relative error 2e-8.
const ERF_SINGLE: Rational = {
  limit: 3.92,
  numerator: [1.12837915, 0.190783659, 0.0527893321, 0.00377935938, 0.000284761761, 2.04142799e-6],
  denominator: [1, 0.502410339, 0.11425661, 0.014996953, 0.00116507608, 3.799600e-5],
};

// Relative error 3.2e-17.
const ERF_DOUBLE: Rational = {
  limit: 5.93,
  numerator: [
    1.12837916709551254, 0.2201580637453985578, 0.06611895562188411455, 0.006888766543664781373,
    0.0008555861237430092259, 0.00005693464564184428676, 3.899900971769316672e-6,
    1.694478859168667882e-7, 6.758822889921264293e-9, 1.719457825792798561e-10,
    3.336299290825772371e-12, 2.227086059126739948e-14, 1.571632898979822658e-17,
  ],
  denominator: [
    1, 0.5284433372800477504, 0.1347441778483117086, 0.02198492642493756055,
    0.002564489075191293196, 0.0002260676007683395698, 0.00001549640332122769306,
    8.348874348587979857e-7, 3.514926549116337153e-8, 1.124375252192662387e-9,
    2.549039092810230626e-11, 3.319261773477418746e-13, 8.852355217940539914e-16,
  ],
};

/** Σ coefficients[i] · x^i */
function polynomial(format: Format, coefficients: readonly number[], x: Code): Code {
  const { float, constant } = format;
  return coefficients
    .map(constant)
    .reduceRight((higher, coefficient) => float.add(float.mul(higher, x), coefficient));
}

/** x clamped to [-limit, limit]; NaN stays. */
function clamp(format: Format, x: Code, low: number, high: number): Code {
  const { float, constant } = format;
  return float.pmax(float.pmin(x, constant(high)), constant(low));
}

/** The magnitude of a non-negative value with the sign of `x`. */
function withSignOf(format: Format, x: Code, magnitude: Code): Code {
  return v128.or(magnitude, v128.and(x, format.constant(-0)));
}

/**
 * x = 2n ln 2 + r with |r| ≤ ln 2: gives e^r - 1 and 2^n. The even exponent lets a result be scaled
 * by 2^n twice, so that overflow and subnormal results come from one rounding at the end.
 */
function reduceExp(format: Format, keep: Keep, x: Code): { power: Code; excess: Code } {
  const { float, constant, ln2 } = format;
  const clamped = keep(clamp(format, x, ...format.expRange));
  // Adding 1.5 · 2^significandBits rounds to an integer; adding the bias as well leaves the
  // exponent of 2^n in the lowest bits.
  const shift = constant(1.5 * 2 ** format.significandBits + format.bias);
  const shifted = keep(float.add(float.mul(clamped, constant(0.5 / Math.LN2)), shift));
  const n = keep(float.sub(shifted, shift));
  const r = keep(
    float.sub(
      float.sub(clamped, float.mul(n, constant(2 * ln2.high))),
      float.mul(n, constant(2 * ln2.low)),
    ),
  );
  return {
    power: keep(format.toExponent(shifted)),
    excess: float.add(float.mul(float.mul(r, r), polynomial(format, format.exp, r)), r),
  };
}

/** e^x = 2^n (e^r 2^n) */
function exp(format: Format, keep: Keep, x: Code): Code {
  const { float, constant } = format;
  const { power, excess } = reduceExp(format, keep, x);
  return float.mul(float.mul(float.add(excess, constant(1)), power), power);
}

/** e^x - 1 = 2^n ((e^r - 1) 2^n + (2^n - 2^-n)) */
function expm1(format: Format, keep: Keep, x: Code): Code {
  const { float, constant } = format;
  const { power, excess } = reduceExp(format, keep, x);
  const inverse = format.subBits(constant(2 ** format.bias), power);
  return float.mul(
    float.add(float.mul(excess, power), float.sub(power, inverse)),
    power,
  );
}

/**
 * log(2^k (1 + f)) = k ln 2 + f - (h - s (h + s² P(s²))), where s = f / (2 + f) and h = f² / 2:
 * this is k ln 2 + 2 s + s³ P(s²), arranged so that f enters unrounded.
 */
function logOfParts(format: Format, keep: Keep, k: Code, f: Code): Code {
  const { float, constant, ln2 } = format;
  const s = keep(float.div(f, float.add(f, constant(2))));
  const square = keep(float.mul(s, s));
  const half = keep(float.mul(float.mul(f, f), constant(0.5)));
  const tail = float.mul(
    s,
    float.add(half, float.mul(square, polynomial(format, format.log, square))),
  );
  const low = float.add(tail, float.mul(k, constant(ln2.low)));
  return float.add(
    float.mul(k, constant(ln2.high)),
    float.sub(f, float.sub(half, low)),
  );
}

/** The logarithm's values outside its domain: -∞ at `pole`, NaN below, ∞ and NaN as given. */
function logSpecials(format: Format, x: Code, pole: number, regular: Code): Code {
  const { float, constant } = format;
  const finite = v128.bitselect(regular, x, float.lt(x, constant(Infinity)));
  return v128.bitselect(
    constant(-Infinity),
    v128.or(finite, float.lt(x, constant(pole))),
    float.eq(x, constant(pole)),
  );
}

/** k · 2^significandBits as an integer, for the k that brings x / 2^k into [√½, √2). */
function exponentBits(format: Format, x: Code): Code {
  return v128.and(
    format.subBits(x, format.constant(Math.SQRT1_2)),
    format.constant(-Infinity),
  );
}

/** Subnormal arguments are scaled first, where there are any. */
function log(format: Format, keep: Keep, x: Code): Code {
  const { float, constant, smallestNormal, significandBits } = format;
  let normal = x;
  let correction: Code | null = null;
  if (smallestNormal !== null) {
    const subnormal = keep(float.lt(x, constant(smallestNormal)));
    const scaled = float.mul(x, constant(2 ** significandBits));
    normal = keep(v128.bitselect(scaled, x, subnormal));
    correction = v128.and(subnormal, constant(significandBits));
  }
  const exponent = keep(exponentBits(format, normal));
  const k = format.exponentToFloat(exponent);
  const f = float.sub(format.subBits(normal, exponent), constant(1));
  const regular = logOfParts(
    format,
    keep,
    keep(correction ? float.sub(k, correction) : k),
    keep(f),
  );
  return logSpecials(format, x, 0, regular);
}

/** log(1 + x) with f = x 2^-k + (2^-k - 1), which does not lose what 1 + x rounds away. */
function log1p(format: Format, keep: Keep, x: Code): Code {
  const { float, constant } = format;
  const exponent = keep(exponentBits(format, float.add(x, constant(1))));
  // The bits of 2^-k for the largest k are those of -∞.
  const scale = float.pmax(format.subBits(constant(1), exponent), constant(0));
  const f = float.add(format.subBits(x, exponent), float.sub(scale, constant(1)));
  const k = keep(format.exponentToFloat(exponent));
  const regular = logOfParts(format, keep, k, keep(f));
  return withSignOf(format, x, logSpecials(format, x, -1, regular));
}

/** x P(x²) / Q(x²) with x clamped to where the function is ±1. */
function rational(format: Format, keep: Keep, table: Rational, x: Code): Code {
  const { float } = format;
  const clamped = keep(clamp(format, x, -table.limit, table.limit));
  const square = keep(float.mul(clamped, clamped));
  return float.div(
    float.mul(clamped, polynomial(format, table.numerator, square)),
    polynomial(format, table.denominator, square),
  );
}

/** tanh |x| = t / (t + 2), where t = e^(2|x|) - 1; it is 1 from |x| = 20 on. */
function tanhByExpm1(format: Format, keep: Keep, x: Code): Code {
  const { float, constant } = format;
  const doubled = float.pmin(float.mul(float.abs(x), constant(2)), constant(40));
  const t = keep(expm1(format, keep, keep(doubled)));
  return withSignOf(format, x, float.div(t, float.add(t, constant(2))));
}

/** |x|^y, with the sign of an odd power; NaN for a fractional power of a negative number. */
function powSigns(format: Format, keep: Keep, x: Code, y: Code, magnitude: Code): Code {
  const { float, constant } = format;
  const whole = keep(float.eq(float.trunc(y), y));
  const half = keep(float.mul(y, constant(0.5)));
  const odd = v128.and(whole, float.ne(float.trunc(half), half));
  const sign = v128.and(v128.and(x, constant(-0)), odd);
  const negative = v128.and(float.lt(x, constant(0)), float.gt(x, constant(-Infinity)));
  return v128.bitselect(
    constant(1),
    v128.or(v128.or(magnitude, sign), v128.andnot(negative, whole)),
    float.eq(y, constant(0)),
  );
}

/** x^y = e^(y log x) for x ≥ 0. */
function powOfMagnitude(format: Format, keep: Keep, x: Code, y: Code): Code {
  return exp(format, keep, format.float.mul(y, log(format, keep, x)));
}

type Emitter = (keep: Keep, x: Code) => Code;

const UNARY: Record<MathOperation, Record<FloatLanes, Emitter>> = {
  exp: {
    f32: (keep, x) => exp(single, keep, x),
    f64: (keep, x) => exp(double, keep, x),
  },
  log: {
    f32: (keep, x) => log(single, keep, x),
    f64: (keep, x) => log(double, keep, x),
  },
  log1p: {
    f32: (keep, x) => log1p(single, keep, x),
    f64: (keep, x) => log1p(double, keep, x),
  },
  expm1: {
    f32: (keep, x) => withSignOf(single, x, expm1(single, keep, x)),
    f64: (keep, x) => withSignOf(double, x, expm1(double, keep, x)),
  },
  tanh: {
    f32: (keep, x) => rational(single, keep, TANH_SINGLE, x),
    f64: (keep, x) => tanhByExpm1(double, keep, x),
  },
  erf: {
    f32: (keep, x) => rational(single, keep, ERF_SINGLE, x),
    f64: (keep, x) => rational(double, keep, ERF_DOUBLE, x),
  },
};

/** Runs `body` with a `keep` whose assignments precede the result. */
function withLocals(f: FunctionBuilder, body: (keep: Keep) => Code): Code {
  const assignments: Code[] = [];
  const result = body((value) => {
    const local = f.local("v128");
    assignments.push(local.set(value));
    return local.get;
  });
  return [...assignments, result];
}

/**
 * Code that leaves `operation` of every lane of the vector `x`. Special values are those of
 * JavaScript's Math.
 */
export function emitUnary(
  f: FunctionBuilder,
  operation: MathOperation,
  lanes: FloatLanes,
  x: Code,
): Code {
  return withLocals(f, (keep) => UNARY[operation][lanes](keep, keep(x)));
}

const LOW_HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
const HIGH_HALF = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];

/**
 * Code that leaves `x`^`y` of every pair of lanes. An error of log x is multiplied by y log x, up
 * to 104 in float32 and 745 in float64: float32 lanes are therefore computed in float64.
 */
export function emitPow(f: FunctionBuilder, lanes: FloatLanes, x: Code, y: Code): Code {
  return withLocals(f, (keep) => {
    const base = keep(x);
    const power = keep(y);
    if (lanes === "f64") {
      const magnitude = powOfMagnitude(double, keep, keep(f64x2.abs(base)), power);
      return powSigns(double, keep, base, power, magnitude);
    }
    const absolute = keep(f32x4.abs(base));
    const half = (a: Code, b: Code) =>
      f32x4.demoteF64x2Zero(
        powOfMagnitude(
          singleInDouble,
          keep,
          keep(f64x2.promoteLowF32x4(a)),
          f64x2.promoteLowF32x4(b),
        ),
      );
    const high = (v: Code) => v128.shuffle(HIGH_HALF, v, v);
    const magnitude = v128.shuffle(LOW_HALVES, half(absolute, power), half(high(absolute), high(power)));
    return powSigns(single, keep, base, power, magnitude);
  });
}
