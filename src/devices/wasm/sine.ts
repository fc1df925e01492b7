/**
 * Sine and cosine as inline SIMD code, in float64 lanes: x = n π/2 + r with |r| ≤ π/4, where n says
 * which of ±sin r, ±cos r the result is. π/2 is subtracted in pieces so short that n times each is
 * exact (Cody and Waite), for n below 2³¹.
 * @module
 */

import { type Code, type FunctionBuilder, f64x2, i32, i64x2, v128 } from "./assembler.js";
import { type FloatLanes, halvesInDouble, type Keep, polynomial, withLocals } from "./math.js";
import { multiplyAdd } from "./relaxed.js";

const { add, sub, mul } = f64x2;
const constant = v128.constF64;
const FORMAT = { float: f64x2, constant };

/** Larger arguments give NaN: n has to fit beside the digits of a piece. */
const LARGEST = 2 ** 31;

/** What one precision needs. */
interface Series {
  /** Their sum is π/2. The first two differences are exact, too. */
  readonly halfPi: readonly number[];
  /** P in sin r ≈ r + r³ P(r²). */
  readonly sine: readonly number[];
  /** P in cos r ≈ 1 - r²/2 + r⁴ P(r²). */
  readonly cosine: readonly number[];
}

const SERIES: Record<FloatLanes, Series> = {
  // Relative error 3.8e-9.
  f32: {
    halfPi: [1.570796012878418, 3.139164164167596e-7, 6.223372171896613e-14],
    sine: [-0.1666665460601468, 0.008332160526551318, -0.00019515250288383752],
    cosine: [0.04166664567674816, -0.0013887315944250622, 0.000024433120789183338],
  },
  // Relative error 3.7e-18.
  f64: {
    halfPi: [
      1.570796012878418, 3.139164164167596e-7, 6.223371969669989e-14, 2.0222627272360855e-21,
      3.52155982182415e-27, 4.3359050650618903e-35,
    ],
    sine: [
      -0.1666666666666663, 0.008333333333322113, -0.00019841269829584869, 0.000002755731361969159,
      -2.5050747487515956e-8, 1.5896213667924572e-10,
    ],
    cosine: [
      0.041666666666666595, -0.001388888888887305, 0.00002480158728884649, -2.7557314177745495e-7,
      2.0875700625387632e-9, -1.1358525029323768e-11,
    ],
  },
};

/** x - n π/2. What a difference loses is added at the end. */
function remainder(keep: Keep, halfPi: readonly number[], x: Code, n: Code): Code {
  let rest = x;
  let lost: Code | null = null;
  halfPi.forEach((piece, i) => {
    const product = keep(mul(n, constant(piece)));
    const next = keep(sub(rest, product));
    if (i >= 2) {
      const rounded = sub(sub(rest, next), product);
      lost = lost ? add(lost, rounded) : rounded;
    }
    rest = next;
  });
  return keep(lost ? add(rest, lost) : rest);
}

/** sin x for 0 quarters of a turn, cos x for 1, in float64 lanes. */
function sine(keep: Keep, series: Series, quarters: 0 | 1, x: Code): Code {
  const magnitude = keep(f64x2.abs(x));
  // The sum's last bits are those of n + quarters.
  const shift = constant(1.5 * 2 ** 52 + quarters);
  const shifted = keep(add(mul(magnitude, constant(2 / Math.PI)), shift));
  const r = remainder(keep, series.halfPi, magnitude, keep(sub(shifted, shift)));
  const square = keep(mul(r, r));
  const fourth = keep(mul(square, square));
  const ofSine = multiplyAdd(
    f64x2,
    mul(r, square),
    polynomial(FORMAT, series.sine, square, fourth),
    r,
  );
  const half = keep(mul(square, constant(0.5)));
  const one = keep(sub(constant(1), half));
  const tail = mul(fourth, polynomial(FORMAT, series.cosine, square, fourth));
  // 1 - r²/2 loses digits of r²/2.
  const ofCosine = add(one, add(sub(sub(constant(1), one), half), tail));
  const isOdd = i64x2.sub(constant(0), v128.and(shifted, constant(Number.MIN_VALUE)));
  const turned = i64x2.shl(shifted, i32.const(62));
  const sign = v128.and(quarters === 0 ? v128.xor(turned, x) : turned, constant(-0));
  const value = v128.xor(v128.bitselect(ofCosine, ofSine, isOdd), sign);
  return v128.bitselect(value, constant(Number.NaN), f64x2.lt(magnitude, constant(LARGEST)));
}

/**
 * Code that leaves sin x (0 quarters of a turn) or cos x (1) of every lane of the vector `x`; NaN where |x| is 2³¹ or
 * more. Within .6 ulp in float32, 1 in float64.
 */
export function emitSine(f: FunctionBuilder, lanes: FloatLanes, quarters: 0 | 1, x: Code): Code {
  return withLocals(f, (keep) => {
    const of = (lane: Code): Code => sine(keep, SERIES[lanes], quarters, keep(lane));
    return lanes === "f64" ? of(x) : halvesInDouble(of, x);
  });
}
