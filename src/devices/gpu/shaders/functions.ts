/**
 * Scalar functions that kernels call, in the JavaScript gpu.js translates.
 *
 * GPUs and their compilers differ from IEEE arithmetic where it matters: `exp(NaN)` may be infinite,
 * `log(0)` finite, `max(NaN, 0)` zero, and functions lose their relative accuracy near a zero. Each
 * function here is written out so that the tests' guarantees hold. A literal cannot be infinite or
 * NaN: these come as the arguments `infinite` and `invalid`. A function calls no other one: gpu.js
 * puts shared helpers in the wrong order on WebGL2.
 * @module
 */

/** A function as gpu.js takes it. */
export interface ShaderFunction {
  readonly source: string;
  readonly settings: {
    readonly returnType: "Number" | "Integer";
    readonly argumentTypes: Readonly<Record<string, "Number" | "Integer">>;
  };
}

function declare(
  type: "Number" | "Integer",
  name: string,
  parameters: readonly string[],
  body: string,
): [name: string, f: ShaderFunction] {
  const argumentTypes = Object.fromEntries(parameters.map((parameter) => [parameter, type]));
  const source = `function ${name}(${parameters.join(", ")}) { ${body} }`;
  return [name, { source, settings: { returnType: type, argumentTypes } }];
}

/** `c[0] + z (c[1] + z (c[2] + …))`. */
function polynomial(z: string, coefficients: readonly number[]): string {
  return coefficients.reduceRight((sum, c) => (sum === "" ? `${c}` : `(${c} + ${z} * ${sum})`), "");
}

const LARGEST = "3.4028234663852886e38";
/** Where e^x leaves float32. */
const LARGEST_EXPONENT = "88.722835";

/** 1, 1/3, 1/5, …: `artanh(s) / s` in powers of s². */
const ARTANH = Array.from({ length: 8 }, (_, n) => 1 / (2 * n + 1));
/** `tanh(x) / x` in powers of x². */
const TANH = [1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925];
/** `(e^x − 1) / x` in powers of x. */
const EXPM1 = [1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040, 1 / 40320];
/** `erf(x) / x` in powers of x²: 2/√π (−1)ⁿ / (n! (2n + 1)). */
const ERF: readonly number[] = (() => {
  let factorial = 1;
  return Array.from({ length: 11 }, (_, n) => {
    factorial *= Math.max(1, n);
    return ((n % 2 === 0 ? 1 : -1) * 2) / Math.sqrt(Math.PI) / factorial / (2 * n + 1);
  });
})();
/** erfc(x) eˣ² in powers of t = 1/(1 + .3275911 x), to 1.5e-7: Abramowitz and Stegun 7.1.26. */
const ERFC = [0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429];

/** `sin(r) / r` in powers of r². */
const SINE = [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880];
/** `cos r` in powers of r². */
const COSINE = [1, -1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800];
/** Pieces whose sum is π/2. The products of the first three with integers up to 2¹⁷ are exact, and those of five up to 2¹³. */
const HALF_PI = [
  1.5625, 0.0081787109375, 0.00011730194091796875, 3.1385570764541626e-7, 6.070877134334296e-11,
  6.223371969669989e-14,
];
/** Up to this |x| the multiple of π/2 is at most 2¹⁷. */
const LARGEST_ANGLE = "200000";
/**
 * Statements that leave x − n π/2 in `r`. What the last differences round away is added at the end.
 * Compilers may regroup sums; minimum and maximum, which change nothing here, keep them from it.
 */
const SUBTRACT_HALF_PI = HALF_PI.map((piece, i) => {
  const difference = `Math.max(Math.min(r - n * ${piece}, 4096), -4096)`;
  if (i < 3) return `r = ${difference};`;
  return `next = ${difference}; lost += (r - next) - n * ${piece}; r = next;`;
}).join("\n");

/** Functions by name. */
export const FUNCTIONS: ReadonlyMap<string, ShaderFunction> = new Map([
  declare(
    "Number",
    "exponential",
    ["x", "infinite"],
    `let r = x;
    if (x > ${LARGEST_EXPONENT}) { r = infinite; }
    if (x <= ${LARGEST_EXPONENT}) { r = Math.exp(x); }
    return r;`,
  ),
  // Near 1: log x = 2 artanh((x − 1)/(x + 1)).
  declare(
    "Number",
    "logarithm",
    ["x", "infinite", "invalid"],
    `let r = x;
    const s = (x - 1) / (x + 1);
    const t = s * s;
    if (x > 0) { r = Math.log(x); }
    if (x > 0.7 && x < 1.4) { r = 2 * s * ${polynomial("t", ARTANH)}; }
    if (x > ${LARGEST}) { r = infinite; }
    if (x === 0) { r = -infinite; }
    if (x < 0) { r = invalid; }
    return r;`,
  ),
  // Near 0: log(1 + x) = 2 artanh(x/(2 + x)).
  declare(
    "Number",
    "log1plus",
    ["x", "infinite", "invalid"],
    `let r = x;
    const s = x / (2 + x);
    const t = s * s;
    if (x > -1) { r = Math.log(1 + x); }
    if (x > -0.5 && x < 0.5) { r = (x + x) / (2 + x) * ${polynomial("t", ARTANH)}; }
    if (x > ${LARGEST}) { r = infinite; }
    if (x === -1) { r = -infinite; }
    if (x < -1) { r = invalid; }
    if (x === 0) { r = x; }
    return r;`,
  ),
  declare(
    "Number",
    "exponentialMinus1",
    ["x", "infinite"],
    `let r = x;
    if (x > ${LARGEST_EXPONENT}) { r = infinite; }
    if (x <= ${LARGEST_EXPONENT}) { r = Math.exp(x) - 1; }
    if (x > -0.4 && x < 0.4) { r = x * ${polynomial("x", EXPM1)}; }
    if (x === 0) { r = x; }
    return r;`,
  ),
  declare(
    "Number",
    "hyperbolicTangent",
    ["x"],
    `let r = x;
    const z = x * x;
    if (x >= 0.3) { r = 1 - 2 / (Math.exp(2 * Math.min(x, 10)) + 1); }
    if (x <= -0.3) { r = 2 / (Math.exp(-2 * Math.max(x, -10)) + 1) - 1; }
    if (x > -0.3 && x < 0.3 && x !== 0) { r = x * ${polynomial("z", TANH)}; }
    return r;`,
  ),
  declare(
    "Number",
    "errorFunction",
    ["x"],
    `let r = x;
    const z = x * x;
    const m = Math.min(Math.abs(x), 4);
    const t = 1 / (1 + 0.3275911 * m);
    const tail = 1 - Math.exp(-m * m) * ${polynomial("t", ERFC)};
    if (x >= 1) { r = tail; }
    if (x <= -1) { r = -tail; }
    if (x > -1 && x < 1 && x !== 0) { r = x * ${polynomial("z", ERF)}; }
    return r;`,
  ),
  // Exponents that formulas use are exact; the rest is 2^(y log₂|x|).
  declare(
    "Number",
    "power",
    ["x", "y", "infinite", "invalid"],
    `let r = invalid;
    const m = Math.abs(x);
    if (m > 0) {
      r = Math.pow(m, y);
      if (y * Math.log2(m) >= 128) { r = infinite; }
    }
    if (m > ${LARGEST}) { if (y > 0) { r = infinite; } if (y < 0) { r = 0; } }
    if (m === 0) { if (y > 0) { r = 0; } if (y < 0) { r = infinite; } }
    if (y === 1) { r = m; }
    if (y === 2) { r = m * m; }
    if (y === 3) { r = m * m * m; }
    if (m === 1) { r = 1; if (y > ${LARGEST} || y < -${LARGEST}) { r = invalid; } }
    if (y === 0.5) { r = Math.sqrt(m); }
    if (y === -1) { r = 1 / m; }
    if (x < 0) {
      if (Math.floor(y) === y) { if (y - 2 * Math.floor(y / 2) === 1) { r = -r; } }
      if (Math.floor(y) !== y && m <= ${LARGEST}) { r = invalid; }
    }
    if (x >= 0 || x < 0) { } else { r = x; }
    if (y >= 0 || y < 0) { } else { r = y; }
    if (y === 0) { r = 1; }
    return r;`,
  ),
  // sin(x + quarters · π/2), where x = n π/2 + r: ± sin r or ± cos r.
  declare(
    "Number",
    "sine",
    ["x", "quarters", "invalid"],
    `let r = invalid;
    if (x > -${LARGEST_ANGLE} && x < ${LARGEST_ANGLE}) {
      const n = Math.floor(x * ${2 / Math.PI} + 0.5);
      let next = 0.5;
      let lost = 0.5;
      lost = 0;
      r = x;
      ${SUBTRACT_HALF_PI}
      r = Math.max(Math.min(r + lost, 1), -1);
      const z = r * r;
      const quadrant = n + quarters - 4 * Math.floor((n + quarters) * 0.25);
      r = r * ${polynomial("z", SINE)};
      if (quadrant === 1 || quadrant === 3) { r = ${polynomial("z", COSINE)}; }
      if (quadrant >= 2) { r = -r; }
    }
    return r;`,
  ),
  // The nearest integer, the even one of two.
  declare(
    "Number",
    "nearest",
    ["x"],
    `let r = Math.floor(x);
    const above = x - r;
    if (above === 0.5) { r = 2 * Math.floor(0.5 * r + 0.5); }
    if (above > 0.5) { r = r + 1; }
    return r;`,
  ),
  declare(
    "Number",
    "signOf",
    ["x"],
    "let r = x; if (x > 0) { r = 1; } if (x < 0) { r = -1; } return r;",
  ),
  // NaN where one of them is.
  declare(
    "Number",
    "larger",
    ["x", "y"],
    "let r = x + y; if (x > y) { r = x; } if (y >= x) { r = y; } return r;",
  ),
  declare(
    "Number",
    "smaller",
    ["x", "y"],
    "let r = x + y; if (x < y) { r = x; } if (y <= x) { r = y; } return r;",
  ),
  // Toward zero, within int32 (whose largest number becomes 2³¹); NaN: 0.
  declare(
    "Number",
    "truncated",
    ["x"],
    `let r = 0.5;
    r = 0;
    if (x >= 0) { r = Math.floor(Math.min(x, 2147483647)); }
    if (x < 0) { r = Math.ceil(Math.max(x, -2147483648)); }
    return r;`,
  ),
  // Whether x comes no later than y in ascending order, NaN last: 1 or 0.
  declare(
    "Number",
    "inOrder",
    ["x", "y"],
    `let r = 1.5;
    r = 1;
    if (x > y) { r = 0; }
    if (x >= 0 || x < 0) { } else { if (y >= 0 || y < 0) { r = 0; } }
    return r;`,
  ),
  declare(
    "Integer",
    "clamped",
    ["i", "size"],
    "let r = 0; r++; r = i; if (r < 0) { r = 0; } if (r >= size) { r = size - 1; } return r;",
  ),
  // Exact for 0 ≤ n < 2³⁰: a quotient in floating point, corrected twice by its remainder.
  declare(
    "Integer",
    "quotient",
    ["n", "d"],
    `let q = 0; let r = 0; q++; r++;
    q = ~~Math.floor(n / d); r = n - q * d;
    q += ~~Math.floor(r / d); r = n - q * d;
    if (r < 0) { q--; } if (r >= d) { q++; } return q;`,
  ),
  declare(
    "Integer",
    "remainder",
    ["n", "d"],
    `let q = 0; let r = 0; q++; r++;
    q = ~~Math.floor(n / d); r = n - q * d;
    q += ~~Math.floor(r / d); r = n - q * d;
    if (r < 0) { r += d; } if (r >= d) { r -= d; } return r;`,
  ),
  [
    "toFloat",
    {
      source: "function toFloat(i) { return i; }",
      settings: { returnType: "Number", argumentTypes: { i: "Integer" } },
    } satisfies ShaderFunction,
  ],
]);
