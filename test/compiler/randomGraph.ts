/**
 * Random graphs of every kind of operation, for tests that hold one way of evaluating against another.
 * @module
 */

import fc from "fast-check";
import * as pg from "../../src/index.js";
import { type DType, type Tensor, tensor } from "../../src/index.js";

/** One operation: which, on which earlier values, with which details. */
export interface Instruction {
  readonly operation: number;
  readonly a: number;
  readonly b: number;
  readonly detail: number;
}

/** What a graph is made from. */
export interface Program {
  readonly leaves: readonly { readonly shape: readonly number[]; readonly seed: number }[];
  readonly instructions: readonly Instruction[];
}

/** Values larger than this are not combined further. */
const LARGEST = 300;

type Operation = (a: Tensor, b: Tensor, detail: number) => Tensor | null;

/** A number below `n` from the details, and what is left of them. */
function draw(detail: number, n: number): [number, number] {
  return [detail % n, Math.floor(detail / n)];
}

function shapeFrom(size: number, detail: number): number[] {
  const shape: number[] = [];
  let rest = size;
  let bits = detail;
  while (rest > 1 && shape.length < 3) {
    const divisors = Array.from({ length: rest }, (_, i) => i + 1).filter((d) => rest % d === 0);
    const [pick, left] = draw(bits, divisors.length);
    bits = left;
    shape.push(divisors[pick]!);
    rest /= divisors[pick]!;
  }
  return rest > 1 || shape.length === 0 ? [...shape, rest] : shape;
}

function permutation(rank: number, detail: number): number[] {
  const rest = Array.from({ length: rank }, (_, d) => d);
  let bits = detail;
  return Array.from({ length: rank }, () => {
    const [pick, left] = draw(bits, rest.length);
    bits = left;
    return rest.splice(pick, 1)[0]!;
  });
}

function axesFrom(rank: number, detail: number): number[] {
  return Array.from({ length: rank }, (_, d) => d).filter((d) => (detail >> d) & 1);
}

const bounded = (x: Tensor): Tensor => pg.tanh(x);

/** Binary operations broadcast where they can, else take a reduced operand. */
function fitting(f: (a: Tensor, b: Tensor) => Tensor): Operation {
  return (a, b) => {
    try {
      return f(a, b);
    } catch {
      return f(a, b.mean());
    }
  };
}

/** Operations that are continuous, so that rounding stays small. */
const CONTINUOUS: readonly Operation[] = [
  fitting((a, b) => pg.add(a, b)),
  fitting((a, b) => pg.sub(a, b)),
  fitting((a, b) => bounded(pg.mul(a, b))),
  fitting((a, b) => pg.div(a, pg.add(b.square(), 1))),
  fitting((a, b) => pg.maximum(a, b)),
  fitting((a, b) => pg.minimum(a, b)),
  (a) => pg.neg(a),
  (a) => pg.exp(bounded(a)),
  (a) => pg.log1p(a.square()),
  (a) => pg.expm1(bounded(a)),
  (a) => pg.sqrt(pg.add(a.square(), 0.5)),
  (a) => bounded(a),
  (a) => pg.erf(a),
  (a) => pg.sin(bounded(a)),
  (a) => pg.cos(bounded(a)),
  (a) => pg.abs(a),
  (a) => pg.relu(a),
  (a) => pg.sigmoid(a),
  (a) => pg.logSigmoid(a),
  (a) => pg.gelu(a),
  // Movement
  (a, _, detail) => pg.reshape(a, shapeFrom(a.size, detail)),
  (a, _, detail) => pg.transpose(a, permutation(a.rank, detail)),
  (a, _, detail) => {
    let bits = detail;
    const next = (n: number): number => {
      const [value, left] = draw(bits, n);
      bits = left;
      return value;
    };
    return pg.slice(
      a,
      ...a.shape.map((extent) => {
        const step = [1, 1, 2, -1, -2][next(5)]!;
        const start = next(extent);
        return step > 0
          ? ([start, null, step] as const)
          : ([extent - 1 - start, null, step] as const);
      }),
    );
  },
  (a, _, detail) =>
    pg.pad(
      a,
      a.shape.map((_extent, d) => [(detail >> (2 * d)) & 1, (detail >> (2 * d + 1)) & 1] as const),
    ),
  (a, _, detail) => pg.flip(a, axesFrom(a.rank, detail)),
  (a, _, detail) => pg.broadcastTo(a, [1 + (detail % 3), ...a.shape]),
  (a, _, detail) => pg.expandDims(a, detail % (a.rank + 1)),
  (a, b, detail) => {
    if (a.rank === 0) return pg.stack([a, b.mean()]);
    const axis = detail % a.rank;
    const fits =
      b.rank === a.rank && b.shape.every((extent, d) => d === axis || extent === a.shape[d]);
    return pg.concat([a, fits ? b : pg.flip(a, axis), a], axis);
  },
  // Reductions
  (a, _, detail) => pg.sum(a, axesFrom(a.rank, detail), { keepDims: detail > 500 }),
  (a, _, detail) => pg.mean(a, axesFrom(a.rank, detail), { keepDims: detail > 500 }),
  (a, _, detail) => pg.max(a, axesFrom(a.rank, detail), { keepDims: detail > 500 }),
  (a, _, detail) => pg.logSumExp(a, axesFrom(a.rank, detail), { keepDims: detail > 500 }),
  (a, _, detail) => (a.rank === 0 ? null : pg.softmax(a, detail % a.rank)),
  (a, _, detail) => (a.rank === 0 ? null : pg.logSoftmax(a, detail % a.rank)),
  (a, _, detail) => (a.rank === 0 ? null : bounded(pg.cumsum(a, detail % a.rank))),
  // Products
  (a) => (a.rank < 2 ? null : bounded(pg.matmul(a, pg.swapAxes(a, -1, -2)))),
  (a) => (a.rank < 2 ? null : bounded(pg.matmul(pg.swapAxes(a, -1, -2), a))),
  (a, b) => {
    if (a.rank === 0 || b.rank === 0) return null;
    const [rows, columns] = [a.reshape([-1, a.shape[a.rank - 1]!]), b.reshape([b.shape[0]!, -1])];
    const k = Math.min(rows.shape[1]!, columns.shape[0]!);
    return bounded(pg.matmul(rows.slice(null, [0, k]), columns.slice([0, k])));
  },
  // Indexing by given positions
  (a, _, detail) => {
    if (a.rank === 0) return null;
    const axis = detail % a.rank;
    const extent = a.shape[axis]!;
    const positions = Array.from(
      { length: 1 + (detail % 4) },
      (_v, i) => (detail + 7 * i) % extent,
    );
    return pg.gather(a, tensor(positions, { dtype: "int32" }), axis);
  },
  (a, _, detail) => {
    if (a.rank === 0) return null;
    const axis = detail % a.rank;
    const extent = a.shape[axis]!;
    const positions = pg
      .arange(a.size)
      .reshape(a.shape)
      .mul(3)
      .add(detail % 7);
    const inside = positions.sub(positions.div(extent).floor().cast("int32").mul(extent));
    return pg.takeAlongAxis(a, inside, axis);
  },
  (a, _, detail) => {
    if (a.rank === 0) return null;
    const positions = Array.from({ length: a.shape[0]! }, (_v, i) => ((detail + i) % 4) - 1);
    const target = pg.zeros([3, ...a.shape.slice(1)], { dtype: a.dtype });
    return pg.scatterAdd(target, tensor(positions, { dtype: "int32" }), a);
  },
  (a, _, detail) => {
    if (a.rank === 0) return null;
    const rows = pg
      .flip(a)
      .slice([0, 1 + (detail % 2)])
      .mul(0.5);
    return pg.writeSlice(a, rows, tensor((detail % 5) - 1, { dtype: "int32" }));
  },
  (a) => (a.rank === 0 ? null : pg.sort(a)),
  fitting((a, b) => pg.where(pg.less(pg.arange(a.size).reshape(a.shape), 3), a, b)),
];

/** Operations that jump, where rounding becomes visible. */
const DISCONTINUOUS: readonly Operation[] = [
  // -∞ and finite numbers beside each other.
  (a) => pg.cast(pg.less(pg.log(pg.relu(a)), -1e30), a.dtype),
  (a) => pg.floor(pg.mul(a, 3)),
  (a) => pg.sign(a),
  fitting((a, b) => pg.cast(pg.less(a, b), a.dtype)),
  fitting((a, b) => pg.where(pg.lessEqual(a, 0.1), a, b)),
  (a) => (a.rank === 0 ? null : pg.cast(pg.argsort(a), a.dtype)),
  (a) => (a.rank === 0 ? null : pg.cast(pg.argmax(a), a.dtype)),
  (a) => (a.rank === 0 ? null : pg.gather(a, pg.argsort(a.reshape([-1])).slice([0, 2]), 0)),
];

/** Programs of at most `length` instructions. */
export function programs(length: number): fc.Arbitrary<Program> {
  const shape = fc
    .array(fc.integer({ min: 1, max: 5 }), { minLength: 0, maxLength: 3 })
    .filter((extents) => extents.reduce((size, extent) => size * extent, 1) <= 60);
  return fc.record({
    leaves: fc.array(fc.record({ shape, seed: fc.nat({ max: 1000 }) }), {
      minLength: 1,
      maxLength: 3,
    }),
    instructions: fc.array(
      fc.record({
        operation: fc.nat({ max: 999 }),
        a: fc.nat({ max: 99 }),
        b: fc.nat({ max: 99 }),
        detail: fc.nat({ max: 999 }),
      }),
      { minLength: 2, maxLength: length },
    ),
  });
}

/** Options of {@link build}. */
export interface BuildOptions {
  readonly dtype: DType;
  /** Leave out operations that jump. */
  readonly continuous?: boolean;
  /** The tensors the program starts from, instead of new ones. */
  readonly leaves?: readonly Tensor[];
  /** Called with each value before the next is built from it. */
  readonly between?: (value: Tensor) => Promise<unknown>;
}

/** The values of a program: its results that nothing uses, and some of those that something does. */
export async function build(program: Program, options: BuildOptions): Promise<Tensor[]> {
  const { dtype, between } = options;
  const operations = options.continuous ? CONTINUOUS : [...CONTINUOUS, ...DISCONTINUOUS];
  const pool: Tensor[] = [
    ...(options.leaves ??
      program.leaves.map(({ shape, seed }) =>
        // Rounded, so that every dtype starts from the same numbers.
        pg.randomNormal(shape, { seed }).cast(dtype),
      )),
  ];
  if (between) for (const leaf of pool) await between(leaf);
  const used = new Set<number>();
  for (const { operation, a, b, detail } of program.instructions) {
    // Mostly recent values, so that chains grow.
    const recent = (pick: number): number =>
      pick % 3 === 0 ? pick % pool.length : Math.max(0, pool.length - 1 - (pick % 4));
    const [left, right] = [recent(a), recent(b)];
    const result = operations[operation % operations.length]!(pool[left]!, pool[right]!, detail);
    if (result === null || result.size > LARGEST || result.size === 0 || result.rank > 4) continue;
    used.add(left).add(right);
    pool.push(result);
    if (between) await between(result);
  }
  return pool.filter((_, i) => !used.has(i) || i % 5 === 4);
}
