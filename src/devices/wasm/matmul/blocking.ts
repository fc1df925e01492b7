/**
 * How a product is computed: its operands as batch × outer × inner, the blocks and the register tile, what
 * is packed, and how the work is divided.
 * @module
 */

import type { MatmulKernel, MatmulOperand } from "../../../kernels/kernel.js";
import { collapse, type StridedAxis, sizeOf } from "../../../kernels/layout.js";
import { VECTOR_GRAIN } from "../loops/traversal.js";
import { hasMultiplyAdd } from "../relaxed.js";
import { type Elements, elementsOf, SCALARS, type Scalar } from "./lanes.js";

/** The part of the output that is held in registers: rows × columns of float32, half the columns of float64. */
export interface RegisterTile {
  readonly rows: number;
  readonly columns: number;
}

/** Longest sum of a vector times a matrix that is one running sum. Longer ones would add up too many rounding errors. */
const LONGEST_RUN = 4096;
/** Columns of a vector times a matrix that make a work item. */
const ROW_ITEM = 64;

/**
 * A vector times a matrix is computed in parts of the sum, each of which reads rows that lie together, unless the matrix is
 * small or its rows are long: then parts of rows are.
 */
const PARTS = {
  most: 8,
  leastTerms: 64,
  leastElements: 2 ** 16,
  /** The sums of a part stay in the L1 cache. */
  mostColumns: 4096,
} as const;

/** Vectors that registers hold together: the tile's sums, a row of the right operand, and a factor of the left. */
const REGISTERS = 15;

/**
 * The largest tile, which depends on the instructions. Measured, 1024 rows, GFLOP/s: where multiplication and addition are
 * one instruction 51 with 6 × 8 and 44 with 4 × 8; where they are two 31 and 38.
 */
const largestTile = (): RegisterTile => ({ rows: hasMultiplyAdd() ? 6 : 4, columns: 8 });

/** An operand seen as batch × outer × inner, each a list of axes that could not be merged further; offset and strides in bytes. */
export interface Operand {
  readonly slot: number;
  readonly elements: Elements;
  readonly offset: number;
  readonly batch: readonly StridedAxis[];
  readonly outer: readonly StridedAxis[];
  readonly inner: readonly StridedAxis[];
}

/** How a product is computed: every decision about it. */
export interface Blocking {
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
  /** The product computed is rightᵀ · leftᵀ. The output has one row or one column, so it lies in memory alike. */
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
  /**
   * The axis that work items divide, and how much of it makes one item. If it is k, items are parts of the sum, which are
   * added up when all are there.
   */
  readonly split: "m" | "n" | "k";
  readonly item: number;
  /**
   * Whether the epilogue is applied to the elements of an item, for the output is one row or one column along
   * one axis. Else it is applied to whole rows.
   */
  readonly finishesElements: boolean;
}

export const roundUp = (value: number, multiple: number): number =>
  Math.ceil(value / multiple) * multiple;

/** The axes of an operand's dimension, strides in bytes. */
function axesInBytes(
  sizes: readonly number[],
  strides: readonly number[],
  bytes: number,
): StridedAxis[] {
  return collapse(
    sizes,
    strides.map((stride) => stride * bytes),
  );
}

/** The stride along a dimension that is one axis; undefined when it is several. */
export function uniformStride(axes: readonly StridedAxis[]): number | undefined {
  return axes.length > 1 ? undefined : (axes[0]?.stride ?? 0);
}

/** Whether `count` elements from any multiple of `count` on lie evenly spaced. */
export function evenIn(axes: readonly StridedAxis[], count: number): boolean {
  return axes.length <= 1 || (axes.at(-1)?.size ?? 0) % count === 0;
}

/** Whether aligned groups of a vector's length are contiguous along axes of an operand. */
export function contiguousIn(
  axes: readonly StridedAxis[],
  { elements }: Operand,
  { lanes }: Scalar,
): boolean {
  return axes.at(-1)?.stride === elements.bytes && evenIn(axes, lanes);
}

/** The product as it is asked for: sizes, and operands as batch × outer × inner. */
function sidesOf(kernel: MatmulKernel, scalar: Scalar) {
  // Trailing batch axes that the right operand does not have are rows of the left.
  let shared = kernel.batch.length;
  while (shared > 0 && (kernel.right.batch[shared - 1] === 0 || kernel.batch[shared - 1] === 1))
    shared--;
  const batch = kernel.batch.slice(0, shared);
  const rows = [...kernel.batch.slice(shared), ...kernel.m];
  const rowStrides = [...kernel.left.batch.slice(shared), ...kernel.left.outer];
  const operand = (
    { buffer, storage, offset, batch: matrices, inner }: MatmulOperand,
    sizes: readonly number[],
    strides: readonly number[],
  ): Operand => {
    const elements = elementsOf(scalar, storage);
    const { bytes } = elements;
    return {
      slot: buffer,
      elements,
      offset: offset * bytes,
      batch: axesInBytes(batch, matrices, bytes),
      outer: axesInBytes(sizes, strides, bytes),
      inner: axesInBytes(kernel.k, inner, bytes),
    };
  };
  const left = operand(kernel.left, rows, rowStrides);
  const right = operand(kernel.right, kernel.n, kernel.right.outer);
  const [m, n, k] = [sizeOf(rows), sizeOf(kernel.n), sizeOf(kernel.k)];
  return { batch: sizeOf(batch), m, n, k, left, right };
}

type Sides = ReturnType<typeof sidesOf>;

/** The sides of rightᵀ · leftᵀ. */
const transpose = ({ batch, m, n, k, left, right }: Sides): Sides => ({
  batch,
  m: n,
  n: m,
  k,
  left: right,
  right: left,
});

/** Whether a matrix times a vector is sums along contiguous rows, and whether the product is transposed. */
function orientationOf({ m, n, k, left, right }: Sides) {
  const alongRows = ({ inner, elements }: Operand) => uniformStride(inner) === elements.bytes;
  const dotLeft = k > 0 && n === 1 && alongRows(left);
  const dotRight = k > 0 && m === 1 && !dotLeft && alongRows(right);
  const isColumn = k > 0 && n === 1 && m > 1 && uniformStride(left.outer) === left.elements.bytes;
  return { dot: dotLeft || dotRight, transposed: dotRight || (isColumn && !dotLeft) };
}

/** The register tile of an output of m × n, of at most the accumulators of a given tile. */
function registerTileOf(m: number, n: number, lanes: number, most: RegisterTile): RegisterTile {
  // If the output has fewer rows (columns) than the tile, the tile gets more columns (rows), so that all
  // accumulators are used.
  const accumulators = Math.max(1, (most.rows * most.columns) / 4);
  const fewest = Math.min(most.rows, m);
  const fitting = Math.floor(Math.min(accumulators / fewest, (REGISTERS - 1) / (fewest + 1)));
  const vectors = Math.max(1, Math.min(Math.ceil(n / lanes), fitting));
  const rows = Math.max(1, Math.min(m, 8, Math.floor(accumulators / vectors)));
  return { rows, columns: vectors * lanes };
}

/** Which operands are packed: those that a tile cannot read in place, or not fast. */
function packingOf({ m, left, right }: Sides, { rows }: RegisterTile, { size }: Scalar) {
  const leftStep = uniformStride(left.inner);
  const rightStep = uniformStride(right.inner);
  const leftRow = left.outer.at(-1)?.stride ?? 0;
  const leftInPlace =
    left.elements.bytes === size &&
    (leftStep === size || leftStep === 0) &&
    leftRow >= 0 &&
    evenIn(left.outer, rows);
  const inRows = rightStep !== undefined && uniformStride(right.outer) === right.elements.bytes;
  const rightInPlace = inRows && right.elements.bytes === size;
  // Steps of a page or more fall into one set of the L1 cache, where a panel read in place does not stay.
  const isNear = rightInPlace && (m <= 4 || (m <= 64 && Math.abs(rightStep) <= 2048));
  return { leftStep, leftRow, inRows, packLeft: !leftInPlace, packRight: !isNear };
}

/**
 * The blocks of the three dimensions. A panel (256 × columns) fits L1; a block of the left (384 bytes × 256)
 * and the packed right (2048 bytes × 256 = 512 KiB) fit L2. Blocks of one dimension are equally long.
 */
function cacheBlocksOf(
  { m, n, k }: Sides,
  { columns }: RegisterTile,
  rowUnit: number,
  packRight: boolean,
  bytes: number,
) {
  const kBlocks = Math.max(1, Math.ceil(k / 256));
  const mBlocks = Math.max(1, Math.ceil(m / (384 / bytes)));
  const panels = Math.max(1, Math.floor(2048 / bytes / columns));
  return {
    mc: roundUp(Math.max(1, Math.ceil(m / mBlocks)), rowUnit),
    nc: packRight ? panels * columns : roundUp(n, columns),
    kc: roundUp(Math.ceil(k / kBlocks), 4),
  };
}

/** In how many parts the sum of a vector times a matrix is computed. */
function partsOf({ batch, n, k }: Sides): number {
  if (batch > 1 || n > PARTS.mostColumns || n * k < PARTS.leastElements) return 1;
  return Math.max(1, Math.min(PARTS.most, Math.floor(k / PARTS.leastTerms)));
}

/** Decides how a product is computed, with tiles of at most the given size. */
export function blockingOf(kernel: MatmulKernel, most = largestTile()): Blocking {
  const scalar = SCALARS[kernel.dtype];
  const { size, lanes } = scalar;
  const asked = sidesOf(kernel, scalar);
  const { dot, transposed } = orientationOf(asked);
  const sides = transposed ? transpose(asked) : asked;
  const { m, n, k } = sides;
  const tile = registerTileOf(m, n, lanes, most);
  const { rows, columns } = tile;
  // Whole tiles, and whole vectors of rows.
  const rowUnit = rows * (rows % 4 === 0 ? 1 : rows % 2 === 0 ? 2 : 4);
  const packing = packingOf(sides, tile, scalar);
  const { packLeft, packRight, leftStep, inRows } = packing;
  const blocks = cacheBlocksOf(sides, tile, rowUnit, packRight, size);
  const parts = partsOf(sides);
  const row =
    !dot &&
    m === 1 &&
    k > 0 &&
    k <= parts * LONGEST_RUN &&
    leftStep !== undefined &&
    sides.left.elements.bytes === size &&
    inRows;

  const { epilogue } = kernel;
  const finishesElements =
    epilogue?.axes.length === 1 &&
    asked.batch === 1 &&
    (asked.n === 1 || (asked.m === 1 && (dot || row)));
  const epilogueByRow = epilogue !== null && !finishesElements && !(transposed && !dot);
  // Each share packs its own part of the operand whose axis is divided, and all of the other operand.
  const byColumns = m <= 32 ? n > m : packRight && (packLeft ? n > m : 4 * n >= m);
  const byParts = row && parts > 1;
  const split = byParts ? "k" : k > 0 && !dot && byColumns && !epilogueByRow ? "n" : "m";
  let item = roundUp(8, rowUnit);
  if (byParts) item = roundUp(Math.ceil(k / parts), 4);
  if (split === "n") item = row ? ROW_ITEM : columns;
  // If an epilogue needs a row of the output in one piece, the row is one item.
  if (dot) item = transposed && epilogueByRow ? m : VECTOR_GRAIN;
  return {
    scalar,
    ...sides,
    method: dot ? "dot" : row ? "row" : "tiles",
    transposed,
    ...tile,
    ...blocks,
    packLeft,
    packRight,
    // The extra vector keeps packed rows apart in the sets of the cache.
    leftRow: packLeft ? blocks.kc * size + 16 : packing.leftRow,
    leftStep: packLeft ? size : (leftStep ?? 0),
    split,
    item,
    finishesElements,
  };
}

/** Whether a vector is numbers of the product's type without gaps. */
export function isContiguous({ inner, elements }: Operand, { size }: Scalar): boolean {
  return elements.bytes === size && uniformStride(inner) === size;
}

/** Work items of one matrix. */
export function itemsPerBatch(blocking: Blocking): number {
  return Math.ceil(blocking[blocking.split] / blocking.item);
}

/** Number of equal work items of the product; a device splits `[0, count)` among its threads. */
export function workItemsOf(blocking: Blocking): number {
  const { batch, m, n } = blocking;
  return batch * m * n === 0 ? 0 : batch * itemsPerBatch(blocking);
}

/** Whether each share of the work items packs an operand that others pack as well. */
export function packsAnew({ method, split, packLeft, packRight }: Blocking): boolean {
  return method === "tiles" && (split === "m" ? packRight : packLeft);
}

/** Bytes of one block of the right operand, packed. */
export function packedRightBytes({ packRight, k, kc, n, nc, columns, scalar }: Blocking): number {
  return packRight ? Math.min(k, kc) * Math.min(nc, roundUp(n, columns)) * scalar.size : 0;
}

/** Bytes of a part of the sum. */
export const partBytes = ({ n, scalar }: Blocking): number => roundUp(n * scalar.size, 64);

/** Bytes of memory, aligned to 16, that each thread needs for packed panels, or all together for parts of the sum. */
export function workspaceBytesOf(blocking: Blocking): number {
  const { method, split, right, scalar, k, packLeft, leftRow, m, mc } = blocking;
  if (split === "k") return itemsPerBatch(blocking) * partBytes(blocking);
  if (method === "row") return 0;
  if (method === "dot") return isContiguous(right, scalar) ? 0 : roundUp(k * scalar.size, 16);
  return roundUp(packedRightBytes(blocking), 16) + (packLeft ? Math.min(m, mc) * leftRow : 0);
}
