/**
 * WebAssembly for one matrix product, specialised to its shape and strides. The product is blocked
 * as in Goto & van de Geijn (2008): columns by `nc`, the sum by `kc`, rows by `mc`; a panel of the
 * right operand stays in L1 while register tiles sweep down a block of the left. An operand that a
 * tile can read in place is not copied; the others are packed panel by panel, transposed in
 * registers where their unit stride is along the other axis. Every element is summed in an order
 * that the shape alone fixes, so the result does not depend on how the work is split.
 * @module
 */

import type { MatmulKernel } from "../../kernels/kernel.js";
import {
  type Code,
  control,
  FunctionBuilder,
  f32,
  f32x4,
  f64,
  f64x2,
  i32,
  type Local,
  v128,
} from "./assembler.js";

/** The part of the output that is held in registers: rows × columns of float32, half the columns of float64. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** Eight accumulators: more spill. 4 × 8 and 2 × 16 are within 5% of each other on V8 11 to 13. */
const DEFAULT_TILE: Tile = { rows: 4, columns: 8 };

/** One axis of an operand, its stride in bytes. */
interface Axis {
  readonly size: number;
  readonly stride: number;
}

/** An operand seen as batch × outer × inner, each a list of axes that could not be merged further. */
interface Operand {
  readonly slot: number;
  readonly offset: number;
  readonly batch: readonly Axis[];
  readonly outer: readonly Axis[];
  readonly inner: readonly Axis[];
}

/** A product with every decision about its execution taken. */
interface Schedule {
  readonly scalar: Scalar;
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly left: Operand;
  readonly right: Operand;
  /** A matrix times a vector whose rows are contiguous: dot products instead of tiles. */
  readonly dot: boolean;
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

/** Instructions and sizes of one element type. */
interface Scalar {
  readonly size: number;
  readonly lanes: number;
  readonly zero: Code;
  readonly load: (address: Code, offset?: number) => Code;
  readonly store: (address: Code, value: Code, offset?: number) => Code;
  readonly splat: (address: Code, offset?: number) => Code;
  readonly extract: (lane: number, vector: Code) => Code;
  readonly scalarAdd: (a: Code, b: Code) => Code;
  readonly scalarMul: (a: Code, b: Code) => Code;
  readonly add: (a: Code, b: Code) => Code;
  readonly mul: (a: Code, b: Code) => Code;
  /** Rows of a lanes × lanes square become its columns, in place. */
  readonly transpose: (rows: readonly Local[], temporary: readonly Local[]) => Code;
}

const SHUFFLE = {
  low32: [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23],
  high32: [8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31],
  low64: [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23],
  high64: [8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31],
} as const;

const FLOAT32: Scalar = {
  size: 4,
  lanes: 4,
  zero: v128.constF32(0),
  load: f32.load,
  store: f32.store,
  splat: v128.load32Splat,
  extract: f32x4.extractLane,
  scalarAdd: f32.add,
  scalarMul: f32.mul,
  add: f32x4.add,
  mul: f32x4.mul,
  transpose(rows, temporary) {
    const [a, b, c, d] = rows as [Local, Local, Local, Local];
    const [p, q] = temporary as [Local, Local];
    return [
      p.set(v128.shuffle(SHUFFLE.low32, a.get, b.get)), // a0 b0 a1 b1
      q.set(v128.shuffle(SHUFFLE.low32, c.get, d.get)), // c0 d0 c1 d1
      b.set(v128.shuffle(SHUFFLE.high32, a.get, b.get)), // a2 b2 a3 b3
      d.set(v128.shuffle(SHUFFLE.high32, c.get, d.get)), // c2 d2 c3 d3
      a.set(v128.shuffle(SHUFFLE.low64, p.get, q.get)),
      c.set(v128.shuffle(SHUFFLE.low64, b.get, d.get)),
      d.set(v128.shuffle(SHUFFLE.high64, b.get, d.get)),
      b.set(v128.shuffle(SHUFFLE.high64, p.get, q.get)),
    ];
  },
};

const FLOAT64: Scalar = {
  size: 8,
  lanes: 2,
  zero: v128.constF64(0),
  load: f64.load,
  store: f64.store,
  splat: v128.load64Splat,
  extract: f64x2.extractLane,
  scalarAdd: f64.add,
  scalarMul: f64.mul,
  add: f64x2.add,
  mul: f64x2.mul,
  transpose(rows, temporary) {
    const [a, b] = rows as [Local, Local];
    const [p] = temporary as [Local];
    return [
      p.set(v128.shuffle(SHUFFLE.low64, a.get, b.get)),
      b.set(v128.shuffle(SHUFFLE.high64, a.get, b.get)),
      a.set(p.get),
    ];
  },
};

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Merges neighbouring axes that one stride walks: `outer stride = inner size · inner stride`. */
function collapse(sizes: readonly number[], strides: readonly number[], bytes: number): Axis[] {
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
function uniformStride(axes: readonly Axis[]): number | undefined {
  return axes.length > 1 ? undefined : (axes[0]?.stride ?? 0);
}

/** Whether `count` elements from any multiple of `count` on lie evenly spaced. */
function evenIn(axes: readonly Axis[], count: number): boolean {
  return axes.length <= 1 || (axes.at(-1)?.size ?? 0) % count === 0;
}

/** Whether aligned groups of a vector's length are contiguous. */
function contiguousIn(axes: readonly Axis[], scalar: Scalar): boolean {
  return axes.at(-1)?.stride === scalar.size && evenIn(axes, scalar.lanes);
}

function scheduleOf(kernel: MatmulKernel, tile: Tile): Schedule {
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
  const leftOuter = left.outer.at(-1)?.stride ?? 0;
  const packLeft = !(
    leftInner !== undefined &&
    (leftInner === size || leftInner === 0) &&
    leftOuter >= 0 &&
    evenIn(left.outer, rows)
  );
  // Steps of a page or more fall into one set of the L1 cache: a panel read in place is reused only
  // when they are shorter.
  const rightStep = uniformStride(right.inner);
  const packRight = !(
    rightStep !== undefined &&
    uniformStride(right.outer) === size &&
    (m <= 4 || (m <= 64 && Math.abs(rightStep) <= 2048))
  );
  const nc = packRight
    ? Math.max(1, Math.floor(2048 / size / columns)) * columns
    : roundUp(n, columns);

  const epilogueByRow = kernel.epilogue !== null && !(transposed && !dot);
  const split = k > 0 && !dot && m <= 32 && n > m && !epilogueByRow ? "n" : "m";
  return {
    scalar,
    batch,
    m,
    n,
    k,
    left,
    right,
    dot,
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
    // A row of the whole output that an epilogue needs in one piece is one item.
    item: dot ? (dotRight && kernel.epilogue ? m : 16) : split === "n" ? columns : 2 * rowUnit,
  };
}

function itemsPerBatch(schedule: Schedule): number {
  return Math.ceil((schedule.split === "m" ? schedule.m : schedule.n) / schedule.item);
}

/** Number of equal work items of the product; a device splits `[0, count)` among its threads. */
export function matmulWorkItems(kernel: MatmulKernel, tile: Tile = DEFAULT_TILE): number {
  const schedule = scheduleOf(kernel, tile);
  return schedule.batch * schedule.m * schedule.n === 0
    ? 0
    : schedule.batch * itemsPerBatch(schedule);
}

function packedRightBytes({ packRight, k, kc, n, nc, columns, scalar }: Schedule): number {
  return packRight ? Math.min(k, kc) * Math.min(nc, roundUp(n, columns)) * scalar.size : 0;
}

/** Bytes of memory, aligned to 16, that each thread needs for packed panels. */
export function matmulWorkspaceBytes(kernel: MatmulKernel, tile: Tile = DEFAULT_TILE): number {
  const schedule = scheduleOf(kernel, tile);
  const { dot, right, scalar, k, packLeft, leftRow, m, mc } = schedule;
  if (dot) return uniformStride(right.inner) === scalar.size ? 0 : roundUp(k * scalar.size, 16);
  return roundUp(packedRightBytes(schedule), 16) + (packLeft ? Math.min(m, mc) * leftRow : 0);
}

/** `index · stride`, as code. */
function scaled(index: Code, stride: number): Code {
  if (stride === 0) return i32.const(0);
  return stride === 1 ? index : i32.mul(index, i32.const(stride));
}

/** The byte offset of a position along a dimension, as code. */
function offsetOf(axes: readonly Axis[], index: Local): Code {
  if (axes.length <= 1) return scaled(index.get, axes[0]?.stride ?? 0);
  let inner = 1;
  let sum: Code | undefined;
  for (const { size, stride } of [...axes].reverse()) {
    const quotient = inner === 1 ? index.get : i32.divU(index.get, i32.const(inner));
    inner *= size;
    const outermost = inner === product(axes.map((axis) => axis.size));
    const term = scaled(outermost ? quotient : i32.remU(quotient, i32.const(size)), stride);
    sum = sum ? i32.add(sum, term) : term;
  }
  return sum ?? i32.const(0);
}

const increment = (local: Local, by: Code | number): Code =>
  local.set(i32.add(local.get, typeof by === "number" ? i32.const(by) : by));

/** Runs `body` while `local < end`, from the local's current value, in steps. */
const forUpTo = (local: Local, end: Code, step: number, body: Code): Code =>
  control.block(
    control.loop([
      control.branchIf(1, i32.geU(local.get, end)),
      body,
      increment(local, step),
      control.branch(0),
    ]),
  );

/** `min(limit, end - begin)`. */
const atMost = (limit: number, end: Code, begin: Code): Code =>
  control.select(
    i32.const(limit),
    i32.sub(end, begin),
    i32.ltU(i32.const(limit), i32.sub(end, begin)),
  );

/** Loads the first `count` lanes of a vector, reading no memory beyond them. */
function loadLanes(
  scalar: Scalar,
  into: Local,
  address: Code,
  count: number,
  offset: number,
): Code {
  if (count === scalar.lanes) return into.set(v128.load(address, offset));
  if (scalar.size === 8) return into.set(v128.load64Zero(address, offset));
  if (count === 1) return into.set(v128.load32Zero(address, offset));
  const low = into.set(v128.load64Zero(address, offset));
  if (count === 2) return low;
  return [low, into.set(v128.load32Lane(address, into.get, 2, offset + 8))];
}

function storeLanes(
  scalar: Scalar,
  address: Code,
  value: Local,
  count: number,
  offset: number,
): Code {
  if (count === scalar.lanes) return v128.store(address, value.get, offset);
  if (scalar.size === 8) return v128.store64Lane(address, value.get, 0, offset);
  if (count === 1) return v128.store32Lane(address, value.get, 0, offset);
  const low = v128.store64Lane(address, value.get, 0, offset);
  if (count === 2) return low;
  return [low, v128.store32Lane(address, value.get, 2, offset + 8)];
}

/**
 * `(left, row, right, output, rows, kc, accumulate)`: one panel of columns for `rows` rows.
 * `output[i, j] (+)= Σ_k left[i, k] · right[k, j]`, tile after tile.
 */
function panelFunction(schedule: Schedule, width: number): FunctionBuilder {
  const { scalar, m, n, k, kc, rows, leftRow, leftStep, packLeft, packRight } = schedule;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32", "i32", "i32"]);
  const [left, row, right, output, count, depth, accumulate] = builder.parameters as [
    Local,
    Local,
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const vectors = range(Math.ceil(width / scalar.lanes));
  const lanesOf = (j: number): number => Math.min(scalar.lanes, width - j * scalar.lanes);
  const rightStep = packRight
    ? roundUp(width, scalar.lanes) * scalar.size
    : (uniformStride(schedule.right.inner) ?? 0);
  const [p, q, step] = [builder.local("i32"), builder.local("i32"), builder.local("i32")];
  const a = builder.local("v128");
  const b = vectors.map(() => builder.local("v128"));
  const sums = range(rows).map(() => vectors.map(() => builder.local("v128")));
  const each = (height: number, body: (sum: Local, i: number, j: number) => Code): Code =>
    sums.slice(0, height).map((line, i) => line.map((sum, j) => body(sum, i, j)));

  const rowByRow = !packLeft && schedule.left.outer.length > 1;
  const tileOf = (height: number): Code => [
    each(height, (sum) => sum.set(scalar.zero)),
    p.set(rowByRow ? i32.add(left.get, offsetOf(schedule.left.outer, row)) : left.get),
    q.set(right.get),
    step.set(depth.get),
    control.loop([
      b.map((vector, j) =>
        packRight
          ? vector.set(v128.load(q.get, 16 * j))
          : loadLanes(scalar, vector, q.get, lanesOf(j), 16 * j),
      ),
      sums
        .slice(0, height)
        .map((line, i) => [
          a.set(scalar.splat(p.get, i * leftRow)),
          line.map((sum, j) =>
            sum.set(scalar.add(sum.get, scalar.mul(a.get, (b[j] as Local).get))),
          ),
        ]),
      increment(p, leftStep),
      increment(q, rightStep),
      control.branchIf(0, step.tee(i32.sub(step.get, i32.const(1)))),
    ]),
    k > kc
      ? control.if(
          accumulate.get,
          each(height, (sum, i, j) => [
            loadLanes(scalar, a, output.get, lanesOf(j), i * n * scalar.size + 16 * j),
            sum.set(scalar.add(a.get, sum.get)),
          ]),
        )
      : [],
    each(height, (sum, i, j) =>
      storeLanes(scalar, output.get, sum, lanesOf(j), i * n * scalar.size + 16 * j),
    ),
  ];
  const next: Code = [
    rowByRow ? increment(row, rows) : increment(left, rows * leftRow),
    increment(output, rows * n * scalar.size),
  ];
  const rest = m % rows;
  builder.body = [
    control.block(
      control.loop([
        control.branchIf(1, i32.ltU(count.get, i32.const(rows))),
        tileOf(rows),
        next,
        increment(count, -rows),
        control.branch(0),
      ]),
    ),
    rest > 0 ? control.if(count.get, tileOf(rest)) : [],
  ];
  return builder;
}

/** `(source, column, k, depth, to)`: copies `depth × width` elements of the right operand into a panel. */
function packRightFunction(
  { scalar, right, columns, k }: Schedule,
  width: number,
): FunctionBuilder {
  const { size, lanes } = scalar;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [source, column, begin, depth, to] = builder.parameters as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const [p, q, index, end, position] = [
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
  ];
  const stride = right.outer.at(-1)?.stride ?? 0;
  const even = evenIn(right.outer, columns) && stride >= 0;
  const byVector = contiguousIn(right.outer, scalar);
  const bySquare = !byVector && contiguousIn(right.inner, scalar);
  const rowBytes = roundUp(width, lanes) * size;

  // Runs of columns that are loaded together, each with its address.
  const chunks = (from: number, upTo: number): { column: number; count: number }[] => {
    const list: { column: number; count: number }[] = [];
    for (let j = from; j < upTo; ) {
      const count = byVector && j + lanes <= upTo ? lanes : 1;
      list.push({ column: j, count });
      j += count;
    }
    return list;
  };
  const offsets = new Map<number, Local>();
  const at = (j: number): [address: Code, offset: number] => {
    if (even) return [p.get, j * stride];
    const offset = offsets.get(j) ?? builder.local("i32");
    offsets.set(j, offset);
    return [i32.add(p.get, offset.get), 0];
  };
  const innerStride = uniformStride(right.inner);
  // p follows the position along k.
  const start: Code =
    innerStride === undefined ? [] : p.set(i32.add(source.get, offsetOf(right.inner, index)));
  const follow: Code =
    innerStride === undefined ? p.set(i32.add(source.get, offsetOf(right.inner, index))) : [];
  const advance = (steps: number): Code => [
    innerStride === undefined ? [] : increment(p, steps * innerStride),
    increment(q, steps * rowBytes),
  ];
  const copy = (from: number, upTo: number): Code => [
    start,
    forUpTo(index, end.get, 1, [
      follow,
      chunks(from, upTo).map(({ column: j, count }) => {
        const [address, offset] = at(j);
        return count === 1
          ? scalar.store(q.get, scalar.load(address, offset), j * size)
          : v128.store(q.get, v128.load(address, offset), j * size);
      }),
      advance(1),
    ]),
  ];

  let body: Code;
  if (bySquare) {
    const square = range(lanes).map(() => builder.local("v128"));
    const temporary = range(lanes / 2).map(() => builder.local("v128"));
    const whole = width - (width % lanes);
    const aligned = i32.and(depth.get, i32.const(-lanes));
    const restart = (from: Code): Code => [
      index.set(i32.add(begin.get, from)),
      q.set(i32.add(to.get, scaled(from, rowBytes))),
    ];
    body = [
      end.set(i32.add(begin.get, aligned)),
      range(whole / lanes).map((group) => [
        restart(i32.const(0)),
        start,
        forUpTo(index, end.get, lanes, [
          follow,
          square.map((vector, j) => vector.set(v128.load(...at(group * lanes + j)))),
          scalar.transpose(square, temporary),
          square.map((vector, i) => v128.store(q.get, vector.get, group * 16 + i * rowBytes)),
          advance(lanes),
        ]),
      ]),
      end.set(i32.add(begin.get, depth.get)),
      k % lanes > 0 && whole > 0 ? [restart(aligned), copy(0, whole)] : [],
      width > whole ? [restart(i32.const(0)), copy(whole, width)] : [],
    ];
  } else {
    body = [
      index.set(begin.get),
      q.set(to.get),
      end.set(i32.add(begin.get, depth.get)),
      copy(0, width),
    ];
  }
  builder.body = [
    even
      ? source.set(i32.add(source.get, offsetOf(right.outer, column)))
      : [...offsets].map(([j, offset]) => [
          position.set(i32.add(column.get, i32.const(j))),
          offset.set(offsetOf(right.outer, position)),
        ]),
    body,
  ];
  return builder;
}

/** `(source, row, rows, k, depth, to)`: copies `rows × depth` elements of the left operand, a row at a time. */
function packLeftFunction({ scalar, left, leftRow, k }: Schedule): FunctionBuilder {
  const { size, lanes } = scalar;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32", "i32"]);
  const [source, rowBegin, rows, begin, depth, to] = builder.parameters as [
    Local,
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const [row, rowEnd, index, end, p, q] = [
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
  ];
  const byVector = contiguousIn(left.inner, scalar);
  const bySquare = !byVector && contiguousIn(left.outer, scalar);
  const toRow = (): Code => scaled(i32.sub(row.get, rowBegin.get), leftRow);
  const toIndex = (): Code => scaled(i32.sub(index.get, begin.get), size);
  const innerStride = uniformStride(left.inner);
  const outerStride = uniformStride(left.outer);
  const wholeEnd = (from: Local, count: Local): Code =>
    i32.add(from.get, i32.and(count.get, i32.const(-lanes)));

  // Along each row, `count` elements at a time, from the current index to the current end.
  const alongRow = (count: number): Code => [
    p.set(i32.add(source.get, offsetOf(left.outer, row))),
    innerStride === undefined ? [] : increment(p, offsetOf(left.inner, index)),
    q.set(i32.add(to.get, i32.add(toRow(), toIndex()))),
    forUpTo(index, end.get, count, [
      ((): Code => {
        const address =
          innerStride === undefined ? i32.add(p.get, offsetOf(left.inner, index)) : p.get;
        return count === 1
          ? scalar.store(q.get, scalar.load(address))
          : v128.store(q.get, v128.load(address));
      })(),
      innerStride === undefined ? [] : increment(p, count * innerStride),
      increment(q, count * size),
    ]),
  ];
  const scalarRows = (from: Code): Code =>
    forUpTo(row, rowEnd.get, 1, [
      index.set(from),
      end.set(i32.add(begin.get, depth.get)),
      alongRow(1),
    ]);

  if (byVector) {
    builder.body = [
      row.set(rowBegin.get),
      rowEnd.set(i32.add(rowBegin.get, rows.get)),
      forUpTo(row, rowEnd.get, 1, [
        index.set(begin.get),
        end.set(wholeEnd(begin, depth)),
        alongRow(lanes),
        k % lanes > 0 ? [end.set(i32.add(begin.get, depth.get)), alongRow(1)] : [],
      ]),
    ];
  } else if (bySquare) {
    const square = range(lanes).map(() => builder.local("v128"));
    const temporary = range(lanes / 2).map(() => builder.local("v128"));
    const columns = range(lanes).map(() => builder.local("i32"));
    const position = builder.local("i32");
    const shift = builder.local("i32");
    // Whole squares, along the rows first: a cache line of the source is used up before the next.
    const squares: Code = [
      index.set(begin.get),
      end.set(wholeEnd(begin, depth)),
      forUpTo(index, end.get, lanes, [
        columns.map((column, i) => [
          position.set(i32.add(index.get, i32.const(i))),
          column.set(i32.add(source.get, offsetOf(left.inner, position))),
          outerStride === undefined ? [] : increment(column, offsetOf(left.outer, rowBegin)),
        ]),
        q.set(i32.add(to.get, toIndex())),
        row.set(rowBegin.get),
        rowEnd.set(wholeEnd(rowBegin, rows)),
        forUpTo(row, rowEnd.get, lanes, [
          outerStride === undefined ? shift.set(offsetOf(left.outer, row)) : [],
          square.map((vector, i) => {
            const column = (columns[i] as Local).get;
            return vector.set(
              v128.load(outerStride === undefined ? i32.add(column, shift.get) : column),
            );
          }),
          scalar.transpose(square, temporary),
          square.map((vector, i) => v128.store(q.get, vector.get, i * leftRow)),
          outerStride === undefined ? [] : columns.map((column) => increment(column, 16)),
          increment(q, lanes * leftRow),
        ]),
      ]),
    ];
    builder.body = [
      squares,
      k % lanes > 0
        ? [
            row.set(rowBegin.get),
            rowEnd.set(wholeEnd(rowBegin, rows)),
            scalarRows(wholeEnd(begin, depth)),
          ]
        : [],
      row.set(wholeEnd(rowBegin, rows)),
      rowEnd.set(i32.add(rowBegin.get, rows.get)),
      scalarRows(begin.get),
    ];
  } else {
    builder.body = [
      row.set(rowBegin.get),
      rowEnd.set(i32.add(rowBegin.get, rows.get)),
      scalarRows(begin.get),
    ];
  }
  return builder;
}

/** `(matrix, vector, output, begin, end)`: `output[i] = Σ_k matrix[i, k] · vector[k]`, both contiguous along k. */
function dotFunction({ scalar, left, k }: Schedule): FunctionBuilder {
  const { size, lanes } = scalar;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [matrix, vector, output, row, end] = builder.parameters as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const [position, step, q] = [builder.local("i32"), builder.local("i32"), builder.local("i32")];
  const b = builder.local("v128");
  const type = size === 8 ? "f64" : "f32";
  const zero = size === 8 ? f64.const(0) : f32.const(0);
  const lines = range(4).map(() => ({
    p: builder.local("i32"),
    sums: builder.local("v128"),
    sum: builder.local(type),
  }));
  const whole = k - (k % lanes);
  const rowsOf = (height: number): Code => {
    const active = lines.slice(0, height);
    return [
      active.map(({ p, sums }, i) => [
        position.set(i32.add(row.get, i32.const(i))),
        p.set(i32.add(matrix.get, offsetOf(left.outer, position))),
        sums.set(scalar.zero),
      ]),
      q.set(vector.get),
      whole > 0
        ? [
            step.set(i32.const(whole)),
            control.loop([
              b.set(v128.load(q.get)),
              active.map(({ p, sums }) => [
                sums.set(scalar.add(sums.get, scalar.mul(v128.load(p.get), b.get))),
                increment(p, 16),
              ]),
              increment(q, 16),
              control.branchIf(0, step.tee(i32.sub(step.get, i32.const(lanes)))),
            ]),
          ]
        : [],
      active.map(({ p, sums, sum }) => [
        sum.set(
          range(lanes)
            .map((lane) => scalar.extract(lane, sums.get))
            .reduce((x, y) => scalar.scalarAdd(x, y), zero),
        ),
        range(k - whole).map((i) =>
          sum.set(
            scalar.scalarAdd(
              sum.get,
              scalar.scalarMul(scalar.load(p.get, i * size), scalar.load(q.get, i * size)),
            ),
          ),
        ),
      ]),
      active.map(({ sum }, i) =>
        scalar.store(i32.add(output.get, scaled(row.get, size)), sum.get, i * size),
      ),
      increment(row, height),
    ];
  };
  builder.body = [
    control.block(
      control.loop([
        control.branchIf(1, i32.ltU(i32.sub(end.get, row.get), i32.const(4))),
        rowsOf(4),
        control.branch(0),
      ]),
    ),
    control.block(
      control.loop([control.branchIf(1, i32.geU(row.get, end.get)), rowsOf(1), control.branch(0)]),
    ),
  ];
  return builder;
}

/** Functions of a module that compute one product. */
interface MatmulCode {
  readonly functions: readonly FunctionBuilder[];
  /** Index of the function `(buffers, constants, begin, end, workspace)` that runs work items `begin..end`. */
  readonly entry: number;
}

/**
 * Generates the functions of a matrix product for a module.
 *
 * @param kernel The product. It has at least one work item.
 * @param options.functionBase Index that the first of the functions gets, imports counted.
 * @param options.epilogue Index of a function `(buffers, constants, begin, end)` that applies the
 *   kernel's epilogue in place to rows `begin..end` of the output seen as [batch · m, n]; it is
 *   called once for every row, when the row is complete.
 * @param options.tile Register tile, the same as for {@link matmulWorkItems}.
 */
export function buildMatmul(
  kernel: MatmulKernel,
  options: {
    readonly functionBase: number;
    readonly epilogue: number | null;
    readonly tile?: Tile;
  },
): MatmulCode {
  const schedule = scheduleOf(kernel, options.tile ?? DEFAULT_TILE);
  const { scalar, m, n, k, left, right, dot, transposed, columns, mc, nc, kc, split } = schedule;
  const { size } = scalar;
  const functions: FunctionBuilder[] = [];
  const define = (builder: FunctionBuilder): number =>
    options.functionBase + functions.push(builder) - 1;

  const entry = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [buffers, constants, begin, end, workspace] = entry.parameters as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const i32Local = (): Local => entry.local("i32");
  const [batch, first, last] = [i32Local(), i32Local(), i32Local()];
  const [a, b, c] = [i32Local(), i32Local(), i32Local()];
  const perBatch = itemsPerBatch(schedule);
  const extent = split === "m" ? m : n;
  const bufferOf = (slot: number): Code => i32.load(buffers.get, 4 * slot);
  const addressOf = ({ slot, offset, batch: axes }: Operand): Code =>
    i32.add(i32.add(bufferOf(slot), i32.const(offset)), offsetOf(axes, batch));

  /** Finishes `count` rows from `from` on, counted in the output as the kernel describes it. */
  const finish = (from: Code, count: Code): Code => {
    if (options.epilogue === null) return [];
    const rowsPerBatch = transposed ? n : m;
    const row = i32.add(scaled(batch.get, rowsPerBatch), from);
    return control.call(options.epilogue, buffers.get, constants.get, row, i32.add(row, count));
  };
  // A transposed product with one column was a row: it is finished as a whole.
  const finishAll: Code =
    options.epilogue === null
      ? []
      : dot && transposed
        ? control.call(
            options.epilogue,
            buffers.get,
            constants.get,
            batch.get,
            i32.add(batch.get, i32.const(1)),
          )
        : finish(first.get, i32.sub(last.get, first.get));

  let body: Code;
  if (k === 0) {
    body = [
      control.memoryFill(
        i32.add(c.get, scaled(first.get, n * size)),
        i32.const(0),
        scaled(i32.sub(last.get, first.get), n * size),
      ),
      finishAll,
    ];
  } else if (dot) {
    const call = define(dotFunction(schedule));
    const contiguous = uniformStride(right.inner) === size;
    const index = i32Local();
    body = [
      contiguous
        ? []
        : [
            index.set(i32.const(0)),
            forUpTo(
              index,
              i32.const(k),
              1,
              scalar.store(
                i32.add(workspace.get, scaled(index.get, size)),
                scalar.load(i32.add(b.get, offsetOf(right.inner, index))),
              ),
            ),
          ],
      control.call(call, a.get, contiguous ? b.get : workspace.get, c.get, first.get, last.get),
      finishAll,
    ];
  } else {
    body = tiles();
  }

  function tiles(): Code {
    const edge = n % columns;
    const full = n >= columns ? define(panelFunction(schedule, columns)) : null;
    const partial = edge > 0 ? define(panelFunction(schedule, edge)) : null;
    const packFull =
      schedule.packRight && full !== null ? define(packRightFunction(schedule, columns)) : null;
    const packPartial =
      schedule.packRight && edge > 0 ? define(packRightFunction(schedule, edge)) : null;
    const packLeft = schedule.packLeft ? define(packLeftFunction(schedule)) : null;
    const [jc, pc, ic, jr] = [i32Local(), i32Local(), i32Local(), i32Local()];
    const [nEnd, depth, height, panel, block] = [
      i32Local(),
      i32Local(),
      i32Local(),
      i32Local(),
      i32Local(),
    ];
    const panelBytes = scaled(depth.get, columns * size);
    const packedLeft = i32.add(workspace.get, i32.const(roundUp(packedRightBytes(schedule), 16)));

    /** Calls the function for the panel at column `jr`, which may be the narrower last one. */
    const perPanel = (whole: number | null, narrow: number | null, ...operands: Code[]): Code => {
      if (whole === null || narrow === null)
        return control.call((whole ?? narrow) as number, ...operands);
      return control.if(
        i32.leU(jr.get, i32.const(n - columns)),
        control.call(whole, ...operands),
        control.call(narrow, ...operands),
      );
    };
    const blockRows: Code = [
      height.set(atMost(mc, split === "m" ? last.get : i32.const(m), ic.get)),
      packLeft === null
        ? block.set(
            i32.add(
              i32.add(a.get, scaled(pc.get, schedule.leftStep)),
              left.outer.length > 1 ? i32.const(0) : offsetOf(left.outer, ic),
            ),
          )
        : [
            block.set(packedLeft),
            control.call(packLeft, a.get, ic.get, height.get, pc.get, depth.get, block.get),
          ],
      jr.set(jc.get),
      schedule.packRight
        ? panel.set(workspace.get)
        : panel.set(
            i32.add(
              i32.add(b.get, scaled(pc.get, uniformStride(right.inner) ?? 0)),
              scaled(jc.get, size),
            ),
          ),
      forUpTo(jr, nEnd.get, columns, [
        perPanel(
          full,
          partial,
          block.get,
          ic.get,
          panel.get,
          i32.add(c.get, i32.add(scaled(ic.get, n * size), scaled(jr.get, size))),
          height.get,
          depth.get,
          pc.get,
        ),
        increment(panel, schedule.packRight ? panelBytes : columns * size),
      ]),
      options.epilogue !== null && !transposed
        ? control.if(
            i32.and(
              i32.geU(i32.add(pc.get, i32.const(kc)), i32.const(k)),
              i32.geU(nEnd.get, i32.const(n)),
            ),
            finish(ic.get, height.get),
          )
        : [],
    ];
    return [
      jc.set(split === "n" ? first.get : i32.const(0)),
      forUpTo(jc, split === "n" ? last.get : i32.const(n), nc, [
        nEnd.set(i32.add(jc.get, atMost(nc, split === "n" ? last.get : i32.const(n), jc.get))),
        pc.set(i32.const(0)),
        forUpTo(pc, i32.const(k), kc, [
          depth.set(atMost(kc, i32.const(k), pc.get)),
          packFull === null && packPartial === null
            ? []
            : [
                jr.set(jc.get),
                panel.set(workspace.get),
                forUpTo(jr, nEnd.get, columns, [
                  perPanel(packFull, packPartial, b.get, jr.get, pc.get, depth.get, panel.get),
                  increment(panel, panelBytes),
                ]),
              ],
          ic.set(split === "m" ? first.get : i32.const(0)),
          forUpTo(ic, split === "m" ? last.get : i32.const(m), mc, blockRows),
        ]),
      ]),
      transposed ? finishAll : [],
    ];
  }

  entry.body = control.block(
    control.loop([
      control.branchIf(1, i32.geU(begin.get, end.get)),
      batch.set(i32.divU(begin.get, i32.const(perBatch))),
      first.set(i32.sub(begin.get, scaled(batch.get, perBatch))),
      last.set(atMost(perBatch, i32.add(end.get, first.get), begin.get)),
      // From items to positions: the last item of a batch may be short.
      increment(begin, i32.sub(last.get, first.get)),
      first.set(scaled(first.get, schedule.item)),
      last.set(scaled(last.get, schedule.item)),
      last.set(control.select(last.get, i32.const(extent), i32.ltU(last.get, i32.const(extent)))),
      a.set(addressOf(left)),
      b.set(addressOf(right)),
      c.set(i32.add(bufferOf(0), scaled(batch.get, m * n * size))),
      body,
      control.branch(0),
    ]),
  );
  return { entry: define(entry), functions };
}
