/**
 * How a matrix product is divided: its operands as batch × outer × inner, and the tile of the output that one
 * workgroup computes.
 * @module
 */

import type { MatmulKernel, MatmulOperand } from "../../../kernels/kernel.js";
import { collapse, type StridedAxis, sizeOf } from "../../../kernels/layout.js";

/**
 * A workgroup's part of the output. Its threads stand `down × across × slices`. Each thread holds
 * `rows × columns` elements and sums every `slices`-th term of them.
 */
export interface WorkgroupTile {
  readonly rows: number;
  readonly columns: number;
  readonly down: number;
  readonly across: number;
  readonly slices: number;
}

const tile = (
  rows: number,
  columns: number,
  down: number,
  across: number,
  slices: number,
): WorkgroupTile => ({ rows, columns, down, across, slices });

/**
 * From large products to small ones, then those with few rows, few columns, or a single element.
 * All have 64 threads: enough for registers to be the limit, few enough for small products.
 */
export const TILES: readonly WorkgroupTile[] = [
  tile(8, 8, 8, 8, 1),
  tile(4, 4, 8, 8, 1),
  tile(4, 4, 4, 4, 4),
  tile(4, 8, 1, 16, 4),
  tile(8, 4, 16, 1, 4),
  tile(1, 4, 1, 16, 4),
  tile(4, 1, 16, 1, 4),
  tile(1, 1, 1, 1, 64),
];

/** An operand seen as batch × outer × inner, where inner is summed over. */
export interface ProductOperand {
  readonly name: string;
  readonly buffer: number;
  readonly storage?: "bfloat16";
  readonly offset: number;
  readonly batch: readonly StridedAxis[];
  readonly outer: readonly StridedAxis[];
  readonly inner: readonly StridedAxis[];
}

/** The product of one matrix per batch. */
export interface BatchedProduct {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly left: ProductOperand;
  readonly right: ProductOperand;
}

/** A kernel with each of its dimensions as one number. */
export function batchedProduct(kernel: MatmulKernel): BatchedProduct {
  // Trailing batch axes that the right operand does not have are rows of the left.
  let shared = kernel.batch.length;
  while (shared > 0 && (kernel.right.batch[shared - 1] === 0 || kernel.batch[shared - 1] === 1))
    shared--;
  const batch = kernel.batch.slice(0, shared);
  const m = [...kernel.batch.slice(shared), ...kernel.m];
  const operand = (
    name: string,
    { buffer, storage, offset, batch: batchStrides, inner }: MatmulOperand,
    sizes: readonly number[],
    outer: readonly number[],
  ): ProductOperand => ({
    name,
    buffer,
    ...(storage && { storage }),
    offset,
    batch: collapse(batch, batchStrides),
    outer: collapse(sizes, outer),
    inner: collapse(kernel.k, inner),
  });
  const { left, right } = kernel;
  return {
    batch: sizeOf(batch),
    m: sizeOf(m),
    n: sizeOf(kernel.n),
    k: sizeOf(kernel.k),
    left: operand("left", left, m, [...left.batch.slice(shared), ...left.outer]),
    right: operand("right", right, kernel.n, right.outer),
  };
}

/** Threads of a workgroup. */
export function threadsOf({ down, across, slices }: WorkgroupTile): number {
  return down * across * slices;
}

/** Tiles from top to bottom and from left to right of one matrix of the output. */
export function tilesOf(
  { m, n }: BatchedProduct,
  { rows, columns, down, across }: WorkgroupTile,
): [down: number, across: number] {
  return [Math.ceil(m / (rows * down)), Math.ceil(n / (columns * across))];
}

/** Threads that a device runs side by side: enough of them hide the latency of memory. */
const PARALLEL_THREADS = 1024;

/**
 * The tile with the least estimated time, in multiply-adds: the work of one thread, times the rounds
 * that all of them need. A thread reads its rows and columns from shared memory at each term, and
 * copies its share of the tile there. Both cost more than a multiply-add.
 */
export function chooseTile(kernel: MatmulKernel): WorkgroupTile {
  const whole = batchedProduct(kernel);
  const time = (candidate: WorkgroupTile): number => {
    const { rows, columns, down, across, slices } = candidate;
    const threads = threadsOf(candidate);
    const multiply = (rows * columns + 2 * (rows + columns)) / slices;
    const copy = (8 * (rows * down + columns * across)) / threads;
    const reduce = slices === 1 ? 0 : 4 * (rows * columns + slices);
    const groups = whole.batch * sizeOf(tilesOf(whole, candidate));
    const rounds = Math.max(1, (groups * threads) / PARALLEL_THREADS);
    return rounds * (whole.k * (multiply + copy) + reduce + 8 * rows * columns);
  };
  return TILES.reduce((best, one) => (time(one) < time(best) ? one : best));
}
