/**
 * The error function in 320-bit fixed point, rounded to float64: a reference that shares nothing
 * with the library's approximations.
 * @module
 */

const BITS = 320n;
const ONE = 1n << BITS;

/** arctan(1 / n), by its series. */
function arctanOfInverse(n: bigint): bigint {
  let power = ONE / n;
  let sum = power;
  for (let k = 1n; power !== 0n; k++) {
    power /= -n * n;
    sum += power / (2n * k + 1n);
  }
  return sum;
}

function squareRoot(x: bigint): bigint {
  const target = x << BITS;
  let root = x + ONE;
  for (;;) {
    const next = (root + target / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

// Machin's formula.
const PI = 4n * (4n * arctanOfInverse(5n) - arctanOfInverse(239n));
const TWO_OVER_ROOT_PI = ((2n * ONE) << BITS) / squareRoot(PI);

function toFixed(x: number): bigint {
  // Both factors are powers of two, and x · 2^100 is an integer for every |x| ≥ 2^-47.
  return BigInt(x * 2 ** 100) << (BITS - 100n);
}

function toFloat(x: bigint): number {
  return Number(x >> (BITS - 160n)) * 2 ** -160;
}

/** erf(x) = 2/√π Σ (-1)^n x^(2n+1) / (n! (2n+1)) */
export function erfReference(x: number): number {
  if (Number.isNaN(x)) return x;
  if (Math.abs(x) > 7) return Math.sign(x);
  // The cubic term is below a tenth of an ulp. (2/√π = 1 + 0.128…, so that subnormals round once.)
  if (Math.abs(x) < 2 ** -28) return x + x * 0.1283791670955126;
  const fixed = toFixed(x);
  const square = (fixed * fixed) >> BITS;
  let term = fixed;
  let sum = fixed;
  for (let n = 1n; term !== 0n && term !== -1n; n++) {
    term = -((term * square) >> BITS) / n;
    sum += term / (2n * n + 1n);
  }
  return toFloat((sum * TWO_OVER_ROOT_PI) >> BITS);
}
