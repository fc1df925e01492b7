/**
 * Elementary functions as inline SIMD code: branch-free, all lanes at once, for float32 and float64
 * lanes. Each algorithm is written once over a {@link Format}, which holds the lane instructions
 * and the minimax coefficients of that precision. Bit patterns are written as the float that has
 * them: -0 is the sign bit, -Infinity the sign and the exponent, 1 the exponent's bias in place.
 * @module
 */

import type { UnaryOperation } from "../../kernels/kernel.js";
import type { Code, FunctionBuilder, Local } from "./assembler.js";
import { f32x4, f64x2, i32, i32x4, i64x2, v128 } from "./assembler.js";
import { multiplyAdd } from "./relaxed.js";

/** Lane format of a vector: f32x4 or f64x2. */
export type FloatLanes = "f32" | "f64";

/** The functions {@link emitUnary} knows. */
export type MathOperation = Extract<
  UnaryOperation,
  "exp" | "log" | "log1p" | "expm1" | "tanh" | "erf"
>;

/** Stores a value in a local variable and returns the code that pushes it. */
export type Keep = (value: Code) => Code;

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
  readonly largest: number;
  /** Arguments of exp beyond these give 0 and ∞. */
  readonly expRange: readonly [number, number];
  /** ln 2 = high + low; multiples of high by an exponent are exact. */
  readonly ln2: { readonly high: number; readonly low: number };
  /** P in e^r ≈ 1 + r + r² P(r), |r| ≤ ln 2. */
  readonly exp: readonly number[];
  /** P in 2 atanh(s) ≈ 2 s + s³ P(s²), |s| ≤ (√2 - 1) / (√2 + 1). */
  readonly log: readonly number[];
  /** P in 1 - e^-q ≈ q - q² P(q), |q| ≤ ln 2 / 2. */
  readonly decay: readonly number[];
  /** 1 - e^-v rounds to 1 from here on. */
  readonly decayLimit: number;
  /** P in -log(erfc(x)) ≈ x + x P(x) up to the limit, from where on erf(x) rounds to 1. */
  readonly erf: readonly number[];
  readonly erfLimit: number;
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
  largest: 2 ** 128 - 2 ** 104,
  expRange: [-104, 89],
  ln2: { high: 0.693145751953125, low: 0.0000014286068203094173 },
  // Relative error 1.4e-8.
  exp: [0.500000346, 0.166666141, 0.0416612691, 0.00833610365, 0.001410446, 0.000196115335],
  // Relative error 8e-10.
  log: [0.666667767, 0.399774959, 0.29873063],
  // Relative error 3.1e-9.
  decay: [0.499999934, -0.166665201, 0.0416683941, -0.00836877983, 0.00138144697],
  decayLimit: 20,
  // Relative error of erf 3.9e-9.
  erf: [
    0.128379174, 0.63661931, 0.102778372, -0.0191548378, -0.000157395352, 0.00166422683,
    -0.000631388407, 0.00011725422, -9.21475869e-6,
  ],
  erfLimit: 4,
};

const double: Format = {
  float: f64x2,
  constant: v128.constF64,
  subBits: i64x2.sub,
  toExponent: (bits) => i64x2.shl(bits, i32.const(52)),
  // SIMD has no conversion from i64: k + bias becomes the last digits of 2^52 + k + bias.
  exponentToFloat: (bits) =>
    f64x2.sub(
      v128.or(i64x2.shrU(i64x2.add(bits, v128.constF64(1)), i32.const(52)), v128.constF64(2 ** 52)),
      v128.constF64(2 ** 52 + 1023),
    ),
  significandBits: 52,
  bias: 1023,
  smallestNormal: 2 ** -1022,
  largest: Number.MAX_VALUE,
  expRange: [-746, 710],
  ln2: { high: 0.6931471803691238, low: 1.9082149292705877e-10 },
  // Relative error 1e-17.
  exp: [
    0.4999999999999993, 0.1666666666666694, 0.0416666666667022, 0.00833333333326975,
    0.001388888888356345, 0.0001984126989288198, 0.00002480159083673676, 0.000002755730062420273,
    2.755615655010645e-7, 2.505503598335524e-8, 2.106245090852842e-9, 1.59355568298784e-10,
  ],
  // Relative error 1.2e-18.
  log: [
    0.6666666666666735, 0.3999999999941116, 0.2857142874325028, 0.2222219847712683,
    0.18183569685889536, 0.15313904512035734, 0.14797496001966906,
  ],
  // Relative error 3.7e-18.
  decay: [
    0.5000000000000011, -0.1666666666666641, 0.04166666666652916, -0.008333333333495617,
    0.0013888888943926945, -0.00019841269504716454, 0.00002480149276049931,
    -0.000002755758743054993, 2.7630378866456176e-7, -2.4999926376373037e-8,
  ],
  decayLimit: 40,
  // Relative error of erf 2e-17.
  erf: [
    0.12837916709551242, 0.6366197723676054, 0.10277260330082072, -0.01912844698489306,
    -0.0002091949327236081, 0.0016962081566550638, -0.0005901344976388088, 0.000025910822424155048,
    0.0000644060807063319, -0.000029550687544299563, 0.0000031360082366978094,
    0.000003168644823092455, -0.000002067208870886963, 5.90791740915644e-7, -2.2539398708803654e-8,
    -6.108136206818423e-8, 3.2994463510726784e-8, -1.0344379601835544e-8, 2.270528757413951e-9,
    -3.617192179847564e-10, 4.13388503913339e-11, -3.2286725108477165e-12, 1.54728303019328e-13,
    -3.435956020802459e-15,
  ],
  erfLimit: 6,
};

/** float64 lanes that hold float32 values and need float32 precision. */
const singleInDouble: Format = {
  ...double,
  smallestNormal: null,
  exp: single.exp,
  log: single.log,
};

/**
 * Σ coefficients[i] · x^i by Horner's rule over x² (`square`), with pairs of neighbouring powers as its
 * coefficients (Estrin): as many instructions as over x, in half as long a chain.
 */
export function polynomial(
  { float, constant }: Pick<Format, "float" | "constant">,
  coefficients: readonly number[],
  x: Code,
  square: Code,
): Code {
  const pairs: Code[] = [];
  for (let i = 0; i < coefficients.length; i += 2) {
    const [even, odd] = coefficients.slice(i, i + 2).map(constant);
    pairs.push(odd ? multiplyAdd(float, x, odd, even!) : even!);
  }
  return pairs.reduceRight((higher, pair) => multiplyAdd(float, higher, square, pair));
}

/** x clamped to [low, high]; NaN stays. */
function clamp(format: Format, x: Code, low: number, high: number): Code {
  const { float, constant } = format;
  return float.pmax(float.pmin(x, constant(high)), constant(low));
}

/** Gives a value the sign of `x`. The value is non-negative or has that sign already. */
function withSignOf(format: Format, x: Code, value: Code): Code {
  return v128.or(value, v128.and(x, format.constant(-0)));
}

/**
 * Adding 1.5 · 2^significandBits rounds to an integer; adding the bias as well leaves the exponent
 * field of 2^n in the lowest bits of n + shift.
 */
function exponentShift(format: Format): Code {
  return format.constant(1.5 * 2 ** format.significandBits + format.bias);
}

/**
 * x = 2n ln 2 + r with |r| ≤ ln 2: gives e^r - 1 and 2^n. The even exponent lets a result be scaled
 * by 2^n twice, so that overflow and subnormal results come from one rounding at the end.
 */
function reduceExp(format: Format, keep: Keep, x: Code): { power: Code; excess: Code } {
  const { float, constant, ln2 } = format;
  const clamped = keep(clamp(format, x, ...format.expRange));
  const shift = exponentShift(format);
  const shifted = keep(multiplyAdd(float, clamped, constant(0.5 / Math.LN2), shift));
  const n = keep(float.sub(shifted, shift));
  const r = keep(
    multiplyAdd(
      float,
      n,
      constant(-2 * ln2.low),
      multiplyAdd(float, n, constant(-2 * ln2.high), clamped),
    ),
  );
  const square = keep(float.mul(r, r));
  return {
    power: keep(format.toExponent(shifted)),
    excess: multiplyAdd(float, square, polynomial(format, format.exp, r, square), r),
  };
}

/** e^x = 2^n ((e^r - 1) 2^n + 2^n). Within 1.6 ulp in float32, 2 in float64. */
function exp(format: Format, keep: Keep, x: Code): Code {
  const { power, excess } = reduceExp(format, keep, x);
  return format.float.mul(multiplyAdd(format.float, excess, power, power), power);
}

/** e^x - 1 = 2^n ((e^r - 1) 2^n + (2^n - 2^-n)). Within 1.7 ulp in float32, 3 in float64. */
function expm1(format: Format, keep: Keep, x: Code): Code {
  const { float, constant } = format;
  const { power, excess } = reduceExp(format, keep, x);
  const inverse = format.subBits(constant(2 ** format.bias), power);
  const difference = float.sub(power, inverse);
  const result = float.mul(multiplyAdd(float, excess, power, difference), power);
  return withSignOf(format, x, result);
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
  const fourth = keep(float.mul(square, square));
  const tail = multiplyAdd(float, square, polynomial(format, format.log, square, fourth), half);
  const low = multiplyAdd(float, s, tail, float.mul(k, constant(ln2.low)));
  return multiplyAdd(float, k, constant(ln2.high), float.sub(f, float.sub(half, low)));
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
  return v128.and(format.subBits(x, format.constant(Math.SQRT1_2)), format.constant(-Infinity));
}

/** log(x 2^-scale) of normal numbers. */
function logOfNormal(format: Format, keep: Keep, x: Code, scale: Code | null): Code {
  const { float, constant } = format;
  const exponent = keep(exponentBits(format, x));
  const k = format.exponentToFloat(exponent);
  const f = float.sub(format.subBits(x, exponent), constant(1));
  return logOfParts(format, keep, keep(scale ? float.sub(k, scale) : k), keep(f));
}

/** Subnormal arguments are scaled first. Within 0.8 ulp in float32, 2 in float64. */
function log(format: Format, keep: Keep, x: Code): Code {
  const { float, constant, smallestNormal, significandBits } = format;
  let normal = x;
  let scale: Code | null = null;
  if (smallestNormal !== null) {
    const subnormal = keep(float.lt(x, constant(smallestNormal)));
    const scaled = float.mul(x, constant(2 ** significandBits));
    normal = keep(v128.bitselect(scaled, x, subnormal));
    scale = v128.and(subnormal, constant(significandBits));
  }
  return logSpecials(format, x, 0, logOfNormal(format, keep, normal, scale));
}

/**
 * log(1 + x) with f = x 2^-k + (2^-k - 1), which does not lose what 1 + x rounds away. Within 1.4
 * ulp in float32, 2 in float64.
 */
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

/**
 * 1 - e^-v for v ≥ 0, where v = q - n ln 2: (1 - 2^n) + 2^n (1 - e^-q). Rounding n ln 2 does no
 * harm, for 2^n makes it small.
 */
function oneMinusDecay(format: Format, keep: Keep, v: Code): Code {
  const { float, constant } = format;
  const bounded = keep(float.pmin(v, constant(format.decayLimit)));
  const shift = exponentShift(format);
  const shifted = keep(multiplyAdd(float, bounded, constant(-1 / Math.LN2), shift));
  const n = float.sub(shifted, shift);
  const q = keep(multiplyAdd(float, n, constant(Math.LN2), bounded));
  const square = keep(float.mul(q, q));
  const decay = float.sub(q, float.mul(square, polynomial(format, format.decay, q, square)));
  const power = keep(format.toExponent(shifted));
  return multiplyAdd(float, power, decay, float.sub(constant(1), power));
}

/** tanh |x| = u / (2 - u), where u = 1 - e^(-2|x|). Within 2.6 ulp in float32, 4 in float64. */
function tanh(format: Format, keep: Keep, x: Code): Code {
  const { float, constant } = format;
  const magnitude = float.abs(x);
  const u = keep(oneMinusDecay(format, keep, float.mul(magnitude, constant(2))));
  return withSignOf(format, x, float.div(u, float.sub(constant(2), u)));
}

/** erf |x| = 1 - e^(log erfc |x|). Within 2 ulp in float32, 3 in float64. */
function erf(format: Format, keep: Keep, x: Code): Code {
  const { float, constant } = format;
  const magnitude = keep(float.pmin(float.abs(x), constant(format.erfLimit)));
  const square = keep(float.mul(magnitude, magnitude));
  const exponent = multiplyAdd(
    float,
    magnitude,
    polynomial(format, format.erf, magnitude, square),
    magnitude,
  );
  return withSignOf(format, x, oneMinusDecay(format, keep, exponent));
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

const FORMATS: Record<FloatLanes, Format> = { f32: single, f64: double };

const FUNCTIONS: Record<MathOperation, (format: Format, keep: Keep, x: Code) => Code> = {
  exp,
  log,
  log1p,
  expm1,
  tanh,
  erf,
};

/** Runs `body`. What it keeps is stored in locals before the result is computed. */
export function withLocals(f: FunctionBuilder, body: (keep: Keep) => Code): Code {
  const assignments: Code[] = [];
  const result = body((value) => {
    const local = f.local("v128");
    assignments.push(local.set(value));
    return local.get;
  });
  return [...assignments, result];
}

/** Whether {@link emitUnary} knows an operation. */
export function isMathOperation(operation: string): operation is MathOperation {
  return operation in FUNCTIONS;
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
  return withLocals(f, (keep) => FUNCTIONS[operation](FORMATS[lanes], keep, keep(x)));
}

/**
 * The logarithm of finite normal numbers above 0, the same as that of {@link emitUnary}, in two thirds of
 * the instructions. Sets bits of `rare` in lanes where `x` is no such number: their results are wrong.
 */
export function emitLogOfNormal(f: FunctionBuilder, lanes: FloatLanes, x: Code, rare: Local): Code {
  const format = FORMATS[lanes];
  const within = clamp(format, x, format.smallestNormal ?? 0, format.largest);
  return [
    rare.set(v128.or(rare.get, format.float.ne(within, x))),
    withLocals(f, (keep) => logOfNormal(format, keep, x, null)),
  ];
}

const LOW_HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
const HIGH_HALF = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];

/** A function of float64 lanes applied to float32 vectors, two lanes at a time. Vectors are local variables. */
export function halvesInDouble(body: (...halves: Code[]) => Code, ...vectors: Code[]): Code {
  const half = (select: (v: Code) => Code): Code =>
    f32x4.demoteF64x2Zero(body(...vectors.map((v) => f64x2.promoteLowF32x4(select(v)))));
  return v128.shuffle(
    LOW_HALVES,
    half((v) => v),
    half((v) => v128.shuffle(HIGH_HALF, v, v)),
  );
}

/**
 * Code that leaves `x`^`y` of every pair of lanes. An error of log x is multiplied by y log x, up
 * to 104 in float32 and 745 in float64: float32 lanes are therefore computed in float64. Relative
 * error 1.3e-7 in float32, 2e-13 in float64; not exact where the power is.
 */
export function emitPow(f: FunctionBuilder, lanes: FloatLanes, x: Code, y: Code): Code {
  return withLocals(f, (keep) => {
    const base = keep(x);
    const power = keep(y);
    if (lanes === "f64") {
      const magnitude = powOfMagnitude(double, keep, keep(f64x2.abs(base)), power);
      return powSigns(double, keep, base, power, magnitude);
    }
    const magnitude = halvesInDouble(
      (a, b) => powOfMagnitude(singleInDouble, keep, keep(a), b!),
      keep(f32x4.abs(base)),
      power,
    );
    return powSigns(single, keep, base, power, magnitude);
  });
}
