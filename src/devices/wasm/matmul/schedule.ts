/**
 * How a product is computed: its operands as batch × outer × inner, the blocks and the register tile, what
 * is packed, and how the work is divided.
 * @module
 */

import type { MatmulKernel } from "../../../kernels/kernel.js";
import { FLOAT32, FLOAT64, type Scalar } from "./lanes.js";

/** The part of the output that is held in registers: rows × columns of float32, half the columns of float64. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** Longest sum of a vector times a matrix that one running sum takes: its rounding errors add up. */
const LONGEST_RUN = 4096;
/** Columns of a vector times a matrix that make a work item. */
const ROW_ITEM = 64;

/** Eight accumulators: more spill. 4 × 8 and 2 × 16 are within 5% of each other on V8 11 to 13. */
export const DEFAULT_TILE: Tile = { rows: 4, columns: 8 };

/** One axis of an operand, its stride in bytes. */
export interface Axis {
  readonly size: number;
  readonly stride: number;
}

/** An operand seen as batch × outer × inner, each a list of axes that could not be merged further. */
export interface Operand {
  readonly slot: number;
  readonly offset: number;
  readonly batch: readonly Axis[];
  readonly outer: readonly Axis[];
  readonly inner: readonly Axis[];
}

/** A product with every decision about its execution taken. */
export interface Schedule {
  readonly scalar: Scalar;
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly left: Operand;
  readonly right: Operand;
  /**
   * How it is computed. `"dot"`: a matrix times a vector, whose rows are contiguous. `"row"`: a vector times
   * a matrix, whose rows are contiguous. `"tiles"`: all else.
   */
  readonly method: "tiles" | "dot" | "row";
  /** The product computed is rightᵀ · leftᵀ: the output has one row or one column, so memory is the same. */
  readonly transposed: boolean;
  readonly rows: number;
  readonly columns: number;
  readonly mc: number;
  readonly nc: number;
  readonly kc: number;
  readonly packLeft: boolean;
  readonly packRight: boolean;
  /** Bytes between rows of the left operand, as a tile reads it. */
  readonly leftRow: number;
  /** Bytes between steps of the sum in the left operand, as a tile reads it. */
  readonly leftStep: number;
  /** The axis that work items divide, and how much of it makes one item. */
  readonly split: "m" | "n";
  readonly item: number;
}

export const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
export const roundUp = (value: number, multiple: number): number =>
  Math.ceil(value / multiple) * multiple;

/** Merges neighbouring axes that one stride walks: `outer stride = inner size · inner stride`. */
export function collapse(
  sizes: readonly number[],
  strides: readonly number[],
  bytes: number,
): Axis[] {
  const axes: Axis[] = [];
  sizes.forEach((size, i) => {
    if (size === 1) return;
    const stride = (strides[i] ?? 0) * bytes;
    const last = axes.at(-1);
    if (last && last.stride === size * stride)
      axes[axes.length - 1] = { size: last.size * size, stride };
    else axes.push({ size, stride });
  });
  return axes;
}

/** The stride along a dimension that is one axis; undefined when it is several. */
export function uniformStride(axes: readonly Axis[]): number | undefined {
  return axes.length > 1 ? undefined : (axes[0]?.stride ?? 0);
}

/** Whether `count` elements from any multiple of `count` on lie evenly spaced. */
export function evenIn(axes: readonly Axis[], count: number): boolean {
  return axes.length <= 1 || (axes.at(-1)?.size ?? 0) % count === 0;
}

/** Whether aligned groups of a vector's length are contiguous. */
export function contiguousIn(axes: readonly Axis[], scalar: Scalar): boolean {
  return axes.at(-1)?.stride === scalar.size && evenIn(axes, scalar.lanes);
}

export function scheduleOf(kernel: MatmulKernel, tile: Tile): Schedule {
  const scalar = kernel.dtype === "float64" ? FLOAT64 : FLOAT32;
  const { size, lanes } = scalar;
  // Trailing batch axes that the right operand does not have are rows of the left.
  let shared = kernel.batch.length;
  while (shared > 0 && (kernel.right.batch[shared - 1] === 0 || kernel.batch[shared - 1] === 1))
    shared--;
  const batchSizes = kernel.batch.slice(0, shared);
  const mSizes = [...kernel.batch.slice(shared), ...kernel.m];
  let left: Operand = {
    slot: kernel.left.buffer,
    offset: kernel.left.offset * size,
    batch: collapse(batchSizes, kernel.left.batch, size),
    outer: collapse(mSizes, [...kernel.left.batch.slice(shared), ...kernel.left.outer], size),
    inner: collapse(kernel.k, kernel.left.inner, size),
  };
  let right: Operand = {
    slot: kernel.right.buffer,
    offset: kernel.right.offset * size,
    batch: collapse(batchSizes, kernel.right.batch, size),
    outer: collapse(kernel.n, kernel.right.outer, size),
    inner: collapse(kernel.k, kernel.right.inner, size),
  };
  const batch = product(batchSizes);
  const k = product(kernel.k);
  let m = product(mSizes);
  let n = product(kernel.n);

  const dotLeft = k > 0 && n === 1 && uniformStride(left.inner) === size;
  const dotRight = k > 0 && m === 1 && !dotLeft && uniformStride(right.inner) === size;
  const dot = dotLeft || dotRight;
  const transposed =
    dotRight || (k > 0 && n === 1 && !dot && m > 1 && uniformStride(left.outer) === size);
  if (transposed) {
    [left, right] = [right, left];
    [m, n] = [n, m];
  }

  // As many accumulators as the tile has, over fewer rows or columns where the output has fewer.
  const accumulators = Math.max(1, (tile.rows * tile.columns) / 4);
  let rows = Math.min(tile.rows, m);
  const vectors = Math.max(1, Math.min(Math.ceil(n / lanes), Math.floor(accumulators / rows)));
  rows = Math.max(1, Math.min(m, 8, Math.floor(accumulators / vectors)));
  const columns = vectors * lanes;

  // A panel (256 × columns) fits L1; a block of the left (384 bytes × 256) and the packed right
  // (2048 bytes × 256 = 512 KiB) fit L2. Blocks of one dimension are equally long.
  const kBlocks = Math.ceil(k / 256);
  const kc = roundUp(Math.ceil(k / Math.max(1, kBlocks)), 4);
  const rowUnit = roundUp(4, rows) % 4 === 0 ? roundUp(4, rows) : 4 * rows;
  const mBlocks = Math.max(1, Math.ceil(m / (384 / size)));
  const mc = roundUp(Math.max(1, Math.ceil(m / mBlocks)), rowUnit);

  const leftInner = uniformStride(left.inner);
  const rightStep = uniformStride(right.inner);
  const rightInPlace = rightStep !== undefined && uniformStride(right.outer) === size;
  const row =
    !dot && m === 1 && k > 0 && k <= LONGEST_RUN && leftInner !== undefined && rightInPlace;
  const leftOuter = left.outer.at(-1)?.stride ?? 0;
  const packLeft = !(
    leftInner !== undefined &&
    (leftInner === size || leftInner === 0) &&
    leftOuter >= 0 &&
    evenIn(left.outer, rows)
  );
  // Steps of a page or more fall into one set of the L1 cache: a panel read in place is reused only
  // when they are shorter.
  const packRight = !(rightInPlace && (m <= 4 || (m <= 64 && Math.abs(rightStep) <= 2048)));
  const nc = packRight
    ? Math.max(1, Math.floor(2048 / size / columns)) * columns
    : roundUp(n, columns);

  const epilogueByRow = kernel.epilogue !== null && !(transposed && !dot);
  // Each share packs its own part of the operand whose axis is divided, and all of the other: little
  // where there are many rows.
  const byColumns = m <= 32 ? n > m : packRight && (packLeft ? n > m : 4 * n >= m);
  const split = k > 0 && !dot && byColumns && !epilogueByRow ? "n" : "m";
  let item = 2 * rowUnit;
  if (split === "n") item = row ? ROW_ITEM : columns;
  // A row of the whole output that an epilogue needs in one piece is one item.
  if (dot) item = dotRight && kernel.epilogue ? m : 16;
  return {
    scalar,
    batch,
    m,
    n,
    k,
    left,
    right,
    method: dot ? "dot" : row ? "row" : "tiles",
    transposed,
    rows,
    columns,
    mc,
    nc,
    kc,
    packLeft,
    packRight,
    // The extra vector keeps packed rows apart in the sets of the cache.
    leftRow: packLeft ? kc * size + 16 : leftOuter,
    leftStep: packLeft ? size : (leftInner ?? 0),
    split,
    item,
  };
}

export function itemsPerBatch(schedule: Schedule): number {
  return Math.ceil((schedule.split === "m" ? schedule.m : schedule.n) / schedule.item);
}

/** Number of equal work items of the product; a device splits `[0, count)` among its threads. */
export function matmulWorkItems(kernel: MatmulKernel, tile: Tile = DEFAULT_TILE): number {
  const schedule = scheduleOf(kernel, tile);
  return schedule.batch * schedule.m * schedule.n === 0
    ? 0
    : schedule.batch * itemsPerBatch(schedule);
}

/** Whether each share of the work items packs an operand that others pack as well. */
export function packsAnew(kernel: MatmulKernel): boolean {
  const { method, split, packLeft, packRight } = scheduleOf(kernel, DEFAULT_TILE);
  return method === "tiles" && (split === "m" ? packRight : packLeft);
}

export function packedRightBytes({ packRight, k, kc, n, nc, columns, scalar }: Schedule): number {
  return packRight ? Math.min(k, kc) * Math.min(nc, roundUp(n, columns)) * scalar.size : 0;
}

/** Bytes of memory, aligned to 16, that each thread needs for packed panels. */
export function matmulWorkspaceBytes(kernel: MatmulKernel, tile: Tile = DEFAULT_TILE): number {
  const schedule = scheduleOf(kernel, tile);
  const { method, right, scalar, k, packLeft, leftRow, m, mc } = schedule;
  if (method === "row") return 0;
  if (method === "dot")
    return uniformStride(right.inner) === scalar.size ? 0 : roundUp(k * scalar.size, 16);
  return roundUp(packedRightBytes(schedule), 16) + (packLeft ? Math.min(m, mc) * leftRow : 0);
}
