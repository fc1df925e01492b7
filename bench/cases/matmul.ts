/**
 * Matrix products: square ones with operands stored plain and transposed, a batch of small ones, tall
 * and skinny ones.
 */

import type { MatmulProblem, Results } from "../problem.js";
import { type Case, defineCase } from "../runner/case.js";
import { close, result } from "../runner/check.js";
import { draws, uniform } from "../workloads/numbers.js";
import { productEntry, timesVector } from "../workloads/reference.js";

interface Shape {
  readonly batch?: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

function problem(shape: Shape): MatmulProblem {
  const { batch = 1, m, k, n, transposeA = false, transposeB = false } = shape;
  const next = draws(1 + m + k + n);
  const a = uniform(batch * m * k, next);
  const b = uniform(batch * k * n, next);
  return { batch, m, k, n, transposeA, transposeB, a, b };
}

/**
 * Freivalds' check: C·v = A·(B·v) for a random v of ±1, which sees a wrong entry anywhere; and some
 * entries by themselves, with a tighter bound.
 */
function checker(problem: MatmulProblem): (results: Results) => void {
  const { batch, m, k, n, transposeA, transposeB, a, b } = problem;
  const next = draws(7);
  const v = Float64Array.from({ length: n }, () => (next() & 1 ? 1 : -1));
  const expected = Array.from({ length: batch }, (_, i) => {
    const right = { offset: i * k * n, rows: k, columns: n, transposed: transposeB };
    const left = { offset: i * m * k, rows: m, columns: k, transposed: transposeA };
    return timesVector(a, left, timesVector(b, right, v));
  });
  const entries = Array.from({ length: 64 }, () => {
    const [at, i, j] = [next() % batch, next() % m, next() % n];
    return { at, i, j, value: productEntry(problem, at, i, j) };
  });
  return (results) => {
    const c = result(results, "values", batch * m * n);
    for (const { at, i, j, value } of entries) {
      close(`entry [${at},${i},${j}]`, c[(at * m + i) * n + j]!, value, 1e-6 * k);
    }
    expected.forEach((rows, at) => {
      const place = { offset: at * m * n, rows: m, columns: n, transposed: false };
      timesVector(c, place, v).forEach((value, i) => {
        close(`row ${i} of product ${at} times v`, value, rows[i]!, 1e-6 * k * Math.sqrt(n));
      });
    });
  };
}

/** A product of a shape. */
export function matmulCase(name: string, shape: Shape, long = false): Case {
  const { batch = 1, m, k, n } = shape;
  return defineCase({
    family: "matmul",
    name,
    kind: "matmul",
    problem: () => problem(shape),
    checker,
    work: { unit: "GFLOP/s", amount: 2 * batch * m * k * n },
    long,
  });
}

export const matmulCases: readonly Case[] = [
  ...[128, 256, 512, 1024].flatMap((n) => {
    const square = { m: n, k: n, n };
    const long = n !== 256;
    return [
      matmulCase(`A·B, n = ${n}`, square, long),
      matmulCase(`Aᵀ·B, n = ${n}`, { ...square, transposeA: true }, long),
      matmulCase(`A·Bᵀ, n = ${n}`, { ...square, transposeB: true }, long),
    ];
  }),
  matmulCase("64 × [128,32]·[32,128]", { batch: 64, m: 128, k: 32, n: 128 }),
  matmulCase("64 × [128,32]·[128,32]ᵀ", { batch: 64, m: 128, k: 32, n: 128, transposeB: true }),
  matmulCase("64 × [128,128]·[128,32]", { batch: 64, m: 128, k: 128, n: 32 }),
  matmulCase("64 × [128,128]ᵀ·[128,32]", { batch: 64, m: 128, k: 128, n: 32, transposeA: true }),
  matmulCase("[2048,128]·[128,512]", { m: 2048, k: 128, n: 512 }),
  matmulCase("[2048,128]ᵀ·[2048,512]", { m: 128, k: 2048, n: 512, transposeA: true }),
  matmulCase("[1,512]·[512,512]", { m: 1, k: 512, n: 512 }),
  matmulCase("[1,512]·[512,512]ᵀ", { m: 1, k: 512, n: 512, transposeB: true }),
];
