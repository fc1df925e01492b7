/**
 * What `docs/devices.md` says of each device's numbers, measured.
 * @module
 */

import * as pg from "../../src/index.js";
import { type DType, type Tensor, tensor } from "../../src/index.js";
import { type Elements, evaluateOn, type TestedDevice } from "./devices.js";

type Evaluating = Pick<TestedDevice, "name" | "options">;

/** A function and the domain it is measured on. */
interface Measured {
  readonly f: (x: Tensor) => Tensor;
  readonly within?: (x: number) => boolean;
  /** Measured there too. */
  readonly also?: readonly number[];
}

/** The nearest numbers to multiples of π/2, where sine or cosine is smallest, and their neighbours. */
const QUARTER_TURNS: readonly number[] = Array.from({ length: 6366 }, (_, n) => {
  const x = Math.fround(((n + 1) * Math.PI) / 2);
  const unit = 2 ** (Math.floor(Math.log2(x)) - 23);
  return [x - unit, x, x + unit, -x];
}).flat();
const moderate = (x: number): boolean => Math.abs(x) <= 1e4;
const small = (x: number): boolean => Math.abs(x) < 1;

/** By the words of the table. */
const MEASURED: Readonly<Record<string, Measured>> = {
  "`exp`": { f: pg.exp },
  "`exp` for |x| < 1": { f: pg.exp, within: small },
  "`log`": { f: pg.log },
  "`log1p`": { f: pg.log1p },
  "`expm1`": { f: pg.expm1 },
  "`expm1` for |x| < 1": { f: pg.expm1, within: small },
  "`tanh`": { f: pg.tanh },
  "`erf`": { f: pg.erf },
  "`sigmoid`": { f: pg.sigmoid },
  "`softplus` for |x| < 1": { f: pg.softplus, within: small },
  "`logSigmoid` for |x| < 1": { f: pg.logSigmoid, within: small },
  "`sin` for |x| ≤ 10⁴": { f: pg.sin, within: moderate, also: QUARTER_TURNS },
  "`cos` for |x| ≤ 10⁴": { f: pg.cos, within: moderate, also: QUARTER_TURNS },
  "`sqrt`": { f: pg.sqrt },
  "`1 / x`": { f: (x) => pg.div(1, x) },
  "`pow(x, 2)`": { f: (x) => x.pow(2) },
  "`pow(x, 2.5)` for .01 < x < 100": { f: (x) => x.pow(2.5), within: (x) => x > 0.01 && x < 100 },
};

const SMALLEST_NORMAL = 2 ** -126;

/** Normal numbers of every exponent and both signs, denser where functions bend. */
function grid(): Float32Array {
  const bits: number[] = [];
  let state = 1;
  for (let exponent = 1; exponent < 255; exponent++) {
    const count = exponent > 110 && exponent < 136 ? 300 : 30;
    for (let i = 0; i < count; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const mantissa = i % 2 === 0 ? Math.floor((i / count) * 0x7fffff) : state >>> 9;
      const magnitude = ((exponent << 23) | mantissa) >>> 0;
      bits.push(magnitude, (magnitude | 0x80000000) >>> 0);
    }
  }
  return new Float32Array(Uint32Array.from(bits).buffer);
}

/** The largest error of each function, in units in the last place. */
export async function measureAccuracy(device: Evaluating): Promise<Record<string, number>> {
  const evenly = grid();
  const worst: Record<string, number> = {};
  for (const [name, { f, within = () => true, also = [] }] of Object.entries(MEASURED)) {
    const values = Float32Array.from([...evenly, ...also]);
    const [exact] = await evaluateOn({ name: "interpreter" }, () =>
      f(tensor(Float64Array.from(values))),
    );
    const [found] = await evaluateOn(device, () => f(tensor(values)));
    let largest = 0;
    for (const [i, x] of values.entries()) {
      const wanted = exact!.values[i]!;
      const magnitude = Math.abs(wanted);
      // Results beyond normal numbers are another row's.
      if (!within(x) || !(magnitude >= SMALLEST_NORMAL && magnitude < 2 ** 128)) continue;
      const unit = 2 ** (Math.floor(Math.log2(magnitude)) - 23);
      const error = Math.abs(found!.values[i]! - wanted) / unit;
      // Overflow one unit early is an error of one unit.
      if (error === Number.POSITIVE_INFINITY && magnitude > 3.4e38) continue;
      largest = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(largest, error);
    }
    worst[name] = largest;
  }
  return worst;
}

const { NaN: NAN, POSITIVE_INFINITY: INFINITE } = Number;

type Behaviour = (
  values: (build: () => Tensor) => Promise<number[]>,
) => Promise<readonly [found: readonly number[], expected: readonly number[]][]>;

/** Pairs of what is found and what is expected, by the words of the table. */
const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  "NaN stays NaN in arithmetic, functions, `maximum`, `max`, `sum`": async (values) => {
    const x = (): Tensor => tensor([NAN]);
    const made = [
      ...[pg.exp, pg.log, pg.log1p, pg.expm1, pg.tanh, pg.erf, pg.sqrt, pg.abs, pg.sign],
      ...[pg.sin, pg.cos, pg.ceil, pg.round],
      ...[pg.neg, pg.floor, pg.sigmoid, pg.softplus, pg.relu, pg.square],
      ...[(t: Tensor) => t.add(1), (t: Tensor) => t.mul(0), (t: Tensor) => t.div(2)],
      ...[(t: Tensor) => pg.maximum(t, 1), (t: Tensor) => pg.maximum(1, t)],
      ...[(t: Tensor) => pg.minimum(t, 1), (t: Tensor) => t.pow(2), (t: Tensor) => t.pow(1.5)],
      (t: Tensor) => pg.concat([pg.ones([3]), t, pg.ones([3])]).max(),
      (t: Tensor) => pg.concat([pg.ones([3]), t, pg.ones([3])]).min(),
      (t: Tensor) => pg.concat([pg.ones([3]), t, pg.ones([3])]).sum(),
    ];
    const found: number[] = [];
    for (const f of made) found.push(...(await values(() => f(x()))));
    return [[found, found.map(() => NAN)]];
  },
  "comparisons with NaN are false, `isnan` finds it": async (values) => {
    const x = (): Tensor => tensor([NAN, 1]);
    return [
      [await values(() => pg.less(x(), 2)), [0, 1]],
      [await values(() => pg.greaterEqual(x(), 1)), [0, 1]],
      [await values(() => pg.equal(x(), x())), [0, 1]],
      [await values(() => pg.notEqual(x(), x())), [1, 0]],
      [await values(() => pg.isnan(x())), [1, 0]],
      [await values(() => pg.isfinite(tensor([NAN, INFINITE, -INFINITE, 3e38]))), [0, 0, 0, 1]],
    ];
  },
  "±∞ in sums, products, `maximum`, `max`, `exp`, `log`, `tanh`": async (values) => {
    const x = (): Tensor => tensor([INFINITE, -INFINITE]);
    return [
      [await values(() => x().add(1)), [INFINITE, -INFINITE]],
      [await values(() => x().sub(x())), [NAN, NAN]],
      [await values(() => x().mul(-2)), [-INFINITE, INFINITE]],
      [await values(() => x().mul(0)), [NAN, NAN]],
      [await values(() => pg.maximum(x(), 1)), [INFINITE, 1]],
      [await values(() => x().max()), [INFINITE]],
      [await values(() => x().min()), [-INFINITE]],
      [await values(() => x().sum()), [NAN]],
      [await values(() => x().exp()), [INFINITE, 0]],
      [await values(() => x().abs().log()), [INFINITE, INFINITE]],
      [await values(() => x().tanh()), [1, -1]],
      [await values(() => pg.sigmoid(x())), [1, 0]],
    ];
  },
  "`exp` overflows to ∞, `log(0)` is −∞, `log(−1)` is NaN, 1/0 is ∞": async (values) => [
    [await values(() => tensor([89, -200, 1e30]).exp()), [INFINITE, 0, INFINITE]],
    [await values(() => tensor([0, -1]).log()), [-INFINITE, NAN]],
    [await values(() => tensor([-1, -2]).log1p()), [-INFINITE, NAN]],
    [await values(() => tensor([-1]).sqrt()), [NAN]],
    [await values(() => pg.div(tensor([1, -1, 0]), 0)), [INFINITE, -INFINITE, NAN]],
    [await values(() => tensor([3e38]).mul(10)), [INFINITE]],
    [
      await values(() => pg.pow(tensor([-2, -2, 0, 0]), tensor([3, 0.5, -1, 0]))),
      [-8, NAN, INFINITE, 1],
    ],
  ],
  "`sin` and `cos` of ±∞ are NaN; `round` takes the even one of two": async (values) => {
    const x = (): Tensor => tensor([INFINITE, -INFINITE]);
    const halves = (): Tensor => tensor([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, 8388607.5]);
    return [
      [await values(() => pg.sin(x())), [NAN, NAN]],
      [await values(() => pg.cos(x())), [NAN, NAN]],
      [await values(() => pg.round(x())), [INFINITE, -INFINITE]],
      // The sign of zero is another row's.
      [await values(() => pg.round(halves()).add(1)), [1, 3, 3, 1, -1, -1, 1, 8388609]],
    ];
  },
  "NaN is true: in `where`, `logicalAnd`, `cast` to bool": async (values) => {
    const x = (): Tensor => tensor([NAN, 0, 2]);
    return [
      [await values(() => pg.where(x().cast("bool"), 1, 2)), [1, 2, 1]],
      [await values(() => x().cast("bool")), [1, 0, 1]],
      [await values(() => pg.logicalNot(x())), [0, 1, 0]],
      [await values(() => pg.logicalAnd(x(), 1)), [1, 0, 1]],
      [await values(() => pg.logicalOr(x(), 0)), [1, 0, 1]],
    ];
  },
  "`pow` of ±1, 0 and ±∞ as in JavaScript": async (values) => {
    const bases = [1, -1, 0, INFINITE, -INFINITE, 4, 0.25];
    const exponents = [INFINITE, -INFINITE, 2, 3, -1, 0.5];
    const pairs = bases.flatMap((x) => exponents.map((y) => [x, y] as const));
    const found = await values(() =>
      pg.pow(tensor(pairs.map(([x]) => x)), tensor(pairs.map(([, y]) => y))),
    );
    // The sign of zero is another row's.
    return [[found.map((x) => x + 0), pairs.map(([x, y]) => x ** y + 0)]];
  },
  "NaN comes last in `sort`; an index out of range gathers NaN": async (values) => [
    [
      await values(() => pg.sort(tensor([3, NAN, -INFINITE, 1, INFINITE]))),
      [-INFINITE, 1, 3, INFINITE, NAN],
    ],
    [await values(() => pg.gather(tensor([1, 2]), tensor(Int32Array.of(1, 2, -1)))), [2, NAN, NAN]],
  ],
  "`cast` to int32 saturates, NaN becomes 0": async (values) => [
    [
      await values(() => tensor([1.9, -1.9, 3e9, -3e9, NAN, INFINITE, -INFINITE]).cast("int32")),
      [1, -1, 2147483647, -2147483648, 0, 2147483647, -2147483648],
    ],
  ],
  "integers are exact to 2²⁴": async (values) => [
    [
      await values(() => tensor(Int32Array.of(4095, -4096, 16777215)).add(1)),
      [4096, -4095, 16777216],
    ],
    [await values(() => tensor(Int32Array.of(4095, -4095)).square()), [16769025, 16769025]],
  ],
  "integers wrap at 32 bits": async (values) => [
    [await values(() => tensor(Int32Array.of(2147483647)).add(1)), [-2147483648]],
    [await values(() => tensor(Int32Array.of(65537)).square()), [131073]],
  ],
  "subnormal numbers are kept": async (values) => [
    [await values(() => tensor([1e-40]).mul(2)), [Math.fround(2 * Math.fround(1e-40))]],
    [
      await values(() => tensor([1e-30]).mul(1e-10)),
      [Math.fround(Math.fround(1e-30) * Math.fround(1e-10))],
    ],
  ],
  "the sign of zero is kept": async (values) => [
    [await values(() => pg.div(1, tensor([0]).neg())), [-INFINITE]],
    [await values(() => pg.div(1, tensor([-0]).tanh())), [-INFINITE]],
  ],
  "tensors held as bfloat16": async (values) => {
    const held = await pg.storeAs("bfloat16", tensor([1, 1.001, -3]));
    return [[await values(() => held.add(1)), [2, 2, -2]]];
  },
  float64: async (values) => [
    [await values(() => tensor([1], { dtype: "float64" }).add(1e-15)), [1 + 1e-15]],
  ],
};

/** Whether each behaviour is found. An error is a behaviour that is not. */
export async function observeBehaviours(device: Evaluating): Promise<Record<string, boolean>> {
  const values = async (build: () => Tensor): Promise<number[]> => {
    const [found] = (await evaluateOn(device, build)) as [Elements & { dtype: DType }];
    return Array.from(found.values, Number);
  };
  const observed: Record<string, boolean> = {};
  for (const [name, behaviour] of Object.entries(BEHAVIOURS)) {
    const pairs = await behaviour(values).catch(() => null);
    observed[name] =
      pairs?.every(
        ([found, expected]) =>
          found.length === expected.length &&
          found.every(
            (x, i) => x === expected[i] || (Number.isNaN(x) && Number.isNaN(expected[i])),
          ),
      ) ?? false;
  }
  return observed;
}
