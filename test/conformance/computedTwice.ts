/**
 * Values that are computed twice: a result is read first and what follows from it later, in another graph,
 * perhaps on another device. No index and no derivative may depend on the second computation giving the bits
 * of the first.
 * @module
 */

import * as pg from "../../src/index.js";
import { setDevice, type Tensor, tensor } from "../../src/index.js";
import type { TestedDevice } from "./devices.js";

const COLUMNS = 6;
/** Each number stands twice in its row, three columns apart: every extreme is a tie. */
const HALVES = [
  [0.3, -0.7, 1.2],
  [-1.1, 0.9, 0.1],
  [1.7, 1.3, -0.2],
];
const x = (): Tensor => tensor(HALVES.map((half) => [...half, ...half]));
/** No column and no row is like another. */
const mixing = tensor(
  Float32Array.from({ length: COLUMNS * COLUMNS }, (_, i) => Math.sin(1 + i * i)),
  { shape: [COLUMNS, COLUMNS] },
);

/** Functions of a row's elements, each for itself or with the whole row alike: equal ones stay equal. */
const KEEPING_TIES: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  x·x: (x) => x.mul(x),
  "x/0.7": (x) => x.div(0.7),
  "x + 0.1": (x) => x.add(0.1),
  "1.7x": (x) => x.mul(1.7),
  "x·x − 0.3x": (x) => x.mul(x).sub(x.mul(0.3)),
  "x³": (x) => x.pow(3),
  "1/(x + 3)": (x) => pg.div(1, x.add(3)),
  exp: (x) => x.exp(),
  "log(x + 2)": (x) => x.add(2).log(),
  "log1p(x·x)": (x) => x.square().log1p(),
  expm1: (x) => x.expm1(),
  "√(x + 2)": (x) => x.add(2).sqrt(),
  "(x + 2)^1.3": (x) => x.add(2).pow(1.3),
  tanh: (x) => x.tanh(),
  erf: (x) => x.erf(),
  "sin x": (x) => pg.sin(x),
  "cos x": (x) => pg.cos(x),
  sigmoid: (x) => x.sigmoid(),
  logSigmoid: (x) => x.logSigmoid(),
  softplus: (x) => x.softplus(),
  silu: (x) => pg.silu(x),
  gelu: (x) => x.gelu(),
  "exact gelu": (x) => pg.gelu(x, { approximate: "none" }),
  "softmax(1.7x)": (x) => x.mul(1.7).softmax(),
  "logSoftmax(x/0.7)": (x) => x.div(0.7).logSoftmax(),
  "layer normalisation": (x) => {
    const centred = x.sub(x.mean(1, { keepDims: true }));
    return centred.div(centred.square().mean(1, { keepDims: true }).add(1e-5).sqrt());
  },
  "squares of large numbers": (x) => x.mul(3e5).square(),
  "a rounded sum": (x) => x.add(1e4).mul(1 / 3),
  "a transposed view": (x) => x.transpose().mul(0.9).transpose(),
};
/** Functions under which equal elements may become different. */
const BREAKING_TIES: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  cumsum: (x) => x.mul(0.9).cumsum(1),
  "a matrix product": (x) => pg.matmul(x, mixing).mul(0.37),
  "sums of products": (x) => x.reshape([3, 1, COLUMNS]).mul(mixing).mul(1.1).sum(2),
  "positions counted in": (x) => x.mul(pg.arange(COLUMNS).mul(0.1).add(1)),
};

/** A result with what is asked for later, and the check of a row: what is wrong with it, or null. */
interface Comparison {
  readonly value: (u: Tensor) => Tensor;
  /** Defaults to nothing. */
  readonly later?: (value: Tensor, u: Tensor) => Tensor;
  readonly check: (row: Row) => boolean;
}

interface Row {
  /** The elements, the value and what was asked for later. */
  readonly u: readonly number[];
  readonly value: readonly number[];
  readonly later: readonly number[];
  /** Whether equal elements are still equal. */
  readonly hasTies: boolean;
}

const ranks = tensor([1, 2, 3, 4, 5, 6]);
const rank = (i: number): number => i + 1;
const ofSum = (value: Tensor, u: Tensor): Tensor => pg.gradients(value.sum(), [u])[0]!;
const ofRanked = (value: Tensor, u: Tensor): Tensor => ofSum(value.mul(ranks), u);
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const near = (a: number, b: number): boolean =>
  Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(a), Math.abs(b));
const agreeInPairs = (values: readonly number[]): boolean =>
  values.slice(3).every((value, i) => value === values[i]);

/** Whether weights share `total` equally among elements that are the extreme, both of a tie. */
function isShared(
  { hasTies }: Row,
  u: readonly number[],
  shares: readonly number[],
  total: number,
) {
  const extreme = Math.max(...u);
  return (
    near(sum(shares), total) &&
    shares.every((share, i) => share === 0 || (share > 0 && near(u[i]!, extreme))) &&
    (!hasTies || agreeInPairs(shares))
  );
}

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  max: {
    value: (u) => u.max(1),
    later: ofSum,
    check: (row) => isShared(row, row.u, row.later, 1),
  },
  min: {
    value: (u) => u.min(1),
    later: ofSum,
    check: (row) =>
      isShared(
        row,
        row.u.map((element) => -element),
        row.later,
        1,
      ),
  },
  argmax: {
    value: (u) => u.argmax(1),
    later: (value) => pg.oneHot(value, COLUMNS),
    check: ({ u, value: [at], later, hasTies }) =>
      near(u[at!]!, Math.max(...u)) && later[at!] === 1 && (!hasTies || at! < 3),
  },
  argmin: {
    value: (u) => pg.argmin(u, 1),
    later: (value) => pg.oneHot(value, COLUMNS),
    check: ({ u, value: [at], later, hasTies }) =>
      near(u[at!]!, Math.min(...u)) && later[at!] === 1 && (!hasTies || at! < 3),
  },
  topK: {
    value: (u) => pg.topK(u, 2, 1).values,
    later: ofSum,
    // The largest has a share; with ties both largest have.
    check: ({ u, value: [first, second], later, hasTies }) =>
      near(first!, Math.max(...u)) &&
      second! <= first! &&
      sum(later) === 2 &&
      later.every(
        (share, i) => share === 0 || (share === 1 && u[i]! >= second! - 1e-4 * Math.abs(second!)),
      ) &&
      (!hasTies || agreeInPairs(later)),
  },
  sort: {
    value: (u) => pg.sort(u),
    later: ofRanked,
    // The element that came i-th gets the weight i; of equal ones the first comes first.
    check: ({ u, later, hasTies }) =>
      [...later].sort().every((given, i) => given === rank(i)) &&
      u.every((a, i) => u.every((b, j) => near(a, b) || a < b === later[i]! < later[j]!)) &&
      (!hasTies || later.slice(3).every((given, i) => given > later[i]!)),
  },
  softmax: {
    value: (u) => u.softmax(),
    later: ofRanked,
    check: ({ value: p, later }) => {
      const mean = sum(p.map((share, i) => share * rank(i)));
      return near(sum(p), 1) && later.every((slope, i) => near(slope, p[i]! * (rank(i) - mean)));
    },
  },
  logSumExp: {
    value: (u) => u.logSumExp(1),
    later: ofSum,
    check: ({ u, value: [total], later }) =>
      near(total!, Math.max(...u) + Math.log(sum(u.map((e) => Math.exp(e - Math.max(...u)))))) &&
      near(sum(later), 1),
  },
  "maximum with the largest": {
    value: (u) => pg.maximum(u, pg.stopGradient(u).max(1, { keepDims: true })),
    later: ofSum,
    // Either side of a tie gets half.
    check: (row) => isShared(row, row.u, row.later, row.hasTies ? 1 : 0.5),
  },
  "equal to the largest": {
    value: (u) => pg.equal(u, u.max(1, { keepDims: true })).cast("float32"),
    check: (row) => isShared(row, row.u, row.value, row.hasTies ? 2 : 1),
  },
};

type Device = Pick<TestedDevice, "name" | "options">;

/** When and where a value is evaluated, and what follows from it. */
const ORDERS: Readonly<
  Record<
    string,
    (
      value: Tensor,
      later: Tensor,
      here: () => Promise<void>,
      there: () => Promise<void>,
    ) => Promise<void>
  >
> = {
  "the value first": async (value, later) => {
    await value.data();
    await later.data();
  },
  "both together": async (value, later) => {
    await pg.realize(value, later);
  },
  "the value on another device": async (value, later, here, there) => {
    await there();
    await value.data();
    await here();
    await later.data();
  },
  "what follows on another device": async (value, later, here, there) => {
    await here();
    await value.data();
    await there();
    await later.data();
    await here();
  },
};

const rowsOf = async (t: Tensor): Promise<number[][]> => {
  const values = Array.from(await t.data(), Number);
  const length = values.length / 3;
  return [0, 1, 2].map((row) => values.slice(row * length, (row + 1) * length));
};

/** A function with a way to compare its values. */
export interface ComputedTwice {
  readonly name: string;
  /** What is wrong on a device, or null. */
  readonly check: (device: Device) => Promise<string | null>;
}

function computedTwice(
  functionName: string,
  f: (x: Tensor) => Tensor,
  comparisonName: string,
  { value, later, check }: Comparison,
): ComputedTwice {
  const hasTies = functionName in KEEPING_TIES;
  const run = async (device: Device): Promise<string | null> => {
    const here = () => setDevice(device.name, device.options);
    const there = () => setDevice(device.name === "interpreter" ? "wasm" : "interpreter");
    await here();
    const elements = await rowsOf(f(x()));
    for (const [order, evaluate] of Object.entries(ORDERS)) {
      const u = f(x());
      const found = value(u);
      const following = later?.(found, u) ?? found;
      await evaluate(found, following, here, there);
      const [values, followings] = [await rowsOf(found), await rowsOf(following)];
      for (const [i, row] of elements.entries()) {
        const one = { u: row, value: values[i]!, later: followings[i]!, hasTies };
        if (!check(one)) return `${order}, of ${row}: ${one.value}; then ${one.later}`;
      }
    }
    return null;
  };
  return { name: `${comparisonName} of ${functionName}`, check: run };
}

const FUNCTIONS = Object.entries({ ...KEEPING_TIES, ...BREAKING_TIES });

/** Every function with every comparison, or each with so many of them, which differ from one to the next. */
export function casesOfTwice(comparisons = Object.keys(COMPARISONS).length): ComputedTwice[] {
  const all = Object.entries(COMPARISONS);
  return FUNCTIONS.flatMap(([name, f], i) =>
    Array.from({ length: comparisons }, (_, k) => {
      const [comparisonName, comparison] = all[(i * comparisons + k) % all.length]!;
      return computedTwice(name, f, comparisonName, comparison);
    }),
  );
}
