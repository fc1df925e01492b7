/// <reference types="@webgpu/types" />
/**
 * The matrix product on WebGPU: the entry point that replaces gpu.js's own in a kernel whose body
 * is the product's epilogue. gpu.js translates the epilogue and makes bindings, layout and pipeline;
 * this file says how the workgroups compute the values of its argument `accumulator`. A workgroup
 * computes one tile of the output: it copies a strip of each operand to shared memory, every
 * thread multiplies a few rows by a few columns of it in registers, and so on along the sum.
 * @module
 */

import type { MatmulKernel, MatmulOperand } from "../../../kernels/kernel.js";
import type { GpuJsKernel } from "../gpujs.js";

/**
 * How a workgroup divides its work. Its threads stand `down × across × slices`; each holds
 * `rows × columns` elements of the output, summed over every `slices`-th term.
 */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly down: number;
  readonly across: number;
  readonly slices: number;
}

/** A matrix product as a WGSL entry point. */
export interface TiledProduct {
  /**
   * `module` with its entry point replaced. `body` is gpu.js's translation of the kernel's body,
   * which stores one element of the output.
   */
  entryPoint(module: string, body: string): string;
  readonly workgroups: readonly [number, number, number];
}

/** The part of a device's limits that matters here; all others are above what a tile needs. */
export type TileLimits = Pick<GPUSupportedLimits, "maxComputeWorkgroupsPerDimension">;

const tile = (
  rows: number,
  columns: number,
  down: number,
  across: number,
  slices: number,
): Tile => ({ rows, columns, down, across, slices });

/**
 * From large products to small ones, then those with few rows, few columns, or a single element.
 * All have 64 threads: enough for registers to be the limit, few enough for small products.
 */
export const TILES: readonly Tile[] = [
  tile(8, 8, 8, 8, 1),
  tile(4, 4, 8, 8, 1),
  tile(4, 4, 4, 4, 4),
  tile(4, 8, 1, 16, 4),
  tile(8, 4, 16, 1, 4),
  tile(1, 4, 1, 16, 4),
  tile(4, 1, 16, 1, 4),
  tile(1, 1, 1, 1, 64),
];

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
/** The greatest power of two up to `value`. */
const powerOfTwo = (value: number): number => 2 ** Math.floor(Math.log2(Math.max(1, value)));
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const vector = (width: number): string => (width === 1 ? "f32" : `vec${width}<f32>`);

/** An axis of an operand, with its stride in elements. */
interface Axis {
  readonly size: number;
  readonly stride: number;
}

/** The axes of one dimension, with neighbours merged where `outer stride = inner size · inner stride`. */
function collapse(sizes: readonly number[], strides: readonly number[]): Axis[] {
  const axes: Axis[] = [];
  sizes.forEach((size, i) => {
    if (size === 1) return;
    const stride = strides[i]!;
    const last = axes.at(-1);
    if (last && last.stride === size * stride)
      axes[axes.length - 1] = { size: last.size * size, stride };
    else axes.push({ size, stride });
  });
  return axes;
}

/**
 * `Σ stride · index` in WGSL, where `position` is the row-major position in the axes. Arithmetic is
 * modulo 2³², so a negative stride is its two's complement.
 */
function address(axes: readonly Axis[], position: string): string {
  let below = 1;
  const terms: string[] = [];
  for (const [i, { size, stride }] of [...axes.entries()].reverse()) {
    const quotient = below === 1 ? position : `${position} / ${below}u`;
    const index = i === 0 ? quotient : `${quotient} % ${size}u`;
    if (stride !== 0) terms.push(stride === 1 ? `${index}` : `(${index}) * ${stride >>> 0}u`);
    below *= size;
  }
  return terms.join(" + ") || "0u";
}

/** An operand seen as batch × outer × inner, where inner is summed over. */
interface Operand {
  readonly name: string;
  readonly buffer: string;
  readonly offset: number;
  readonly batch: readonly Axis[];
  readonly outer: readonly Axis[];
  readonly inner: readonly Axis[];
}

/** The product of one matrix per batch. */
interface Shape {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly left: Operand;
  readonly right: Operand;
}

function shapeOf(kernel: MatmulKernel): Shape {
  // Trailing batch axes that the right operand does not have are rows of the left.
  let shared = kernel.batch.length;
  while (shared > 0 && (kernel.right.batch[shared - 1] === 0 || kernel.batch[shared - 1] === 1))
    shared--;
  const batch = kernel.batch.slice(0, shared);
  const m = [...kernel.batch.slice(shared), ...kernel.m];
  const operand = (
    name: string,
    { buffer, offset, batch: batchStrides, inner }: MatmulOperand,
    sizes: readonly number[],
    outer: readonly number[],
  ): Operand => ({
    name,
    buffer: `user_b${buffer}`,
    offset,
    batch: collapse(batch, batchStrides),
    outer: collapse(sizes, outer),
    inner: collapse(kernel.k, inner),
  });
  const { left, right } = kernel;
  return {
    batch: product(batch),
    m: product(m),
    n: product(kernel.n),
    k: product(kernel.k),
    left: operand("left", left, m, [...left.batch.slice(shared), ...left.outer]),
    right: operand("right", right, kernel.n, right.outer),
  };
}

const threadsOf = ({ down, across, slices }: Tile): number => down * across * slices;
const groupsOf = ({ batch, m, n }: Shape, { rows, columns, down, across }: Tile): number =>
  batch * Math.ceil(m / (rows * down)) * Math.ceil(n / (columns * across));

/** Threads that a device runs side by side: enough of them hide the latency of memory. */
const PARALLEL_THREADS = 1024;

/**
 * The tile with the least estimated time, in multiply-adds: the work of one thread, times the rounds
 * that all of them need. A thread reads its rows and columns from shared memory at each term, and
 * copies its share of the tile there; both cost more than a multiply-add.
 */
export function chooseTile(kernel: MatmulKernel): Tile {
  const shape = shapeOf(kernel);
  const time = (candidate: Tile): number => {
    const { rows, columns, down, across, slices } = candidate;
    const threads = threadsOf(candidate);
    const multiply = (rows * columns + 2 * (rows + columns)) / slices;
    const copy = (8 * (rows * down + columns * across)) / threads;
    const reduce = slices === 1 ? 0 : 4 * (rows * columns + slices);
    const rounds = Math.max(1, (groupsOf(shape, candidate) * threads) / PARALLEL_THREADS);
    return rounds * (shape.k * (multiply + copy) + reduce + 8 * rows * columns);
  };
  return TILES.reduce((best, one) => (time(one) < time(best) ? one : best));
}

/**
 * Shared memory for the strips of a tile. More makes fewer barriers, less lets more workgroups share
 * a core; drivers also zero it before each workgroup starts.
 */
const STRIP_BYTES = 2560;

/** A strip of an operand in shared memory: `depth` terms of `quads` vectors of `width` outer elements. */
interface Strip {
  readonly width: number;
  readonly quads: number;
  /** Vectors from one term to the next: odd, so that writing along the sum meets every bank. */
  readonly pitch: number;
}

function stripOf(perThread: number, threads: number): Strip {
  const width = Math.min(perThread, 4);
  const quads = (perThread / width) * threads;
  return { width, quads, pitch: quads | 1 };
}

/**
 * The product as an entry point. `output` lists the sizes of the epilogue's thread axes, x first;
 * their product is batch · m · n. gpu.js's source must name the kernel's buffers `b1`, `b2`, … and
 * take a number `accumulator`.
 */
export function tiledProduct(
  kernel: MatmulKernel,
  output: readonly number[],
  limits: TileLimits,
  tile: Tile = chooseTile(kernel),
): TiledProduct {
  const shape = shapeOf(kernel);
  const { m, n, k, left, right } = shape;
  const { rows, columns, down, across, slices } = tile;
  const lanes = down * across;
  const threads = threadsOf(tile);
  const tileRows = rows * down;
  const tileColumns = columns * across;
  const leftStrip = stripOf(rows, down);
  const rightStrip = stripOf(columns, across);
  const vectors = columns / rightStrip.width;

  const termBytes = 4 * (leftStrip.pitch * leftStrip.width + rightStrip.pitch * rightStrip.width);
  // Terms in a strip: what fits, at least 8, no more than there are, and one or more per slice.
  const depth = Math.max(
    slices,
    Math.min(Math.max(8, powerOfTwo(STRIP_BYTES / termBytes)), 2 * powerOfTwo(k)),
  );

  const groups = groupsOf(shape, tile);
  const folds = Math.ceil(groups / limits.maxComputeWorkgroupsPerDimension);
  const width = Math.ceil(groups / folds);
  const acrossTiles = Math.ceil(n / tileColumns);
  const downTiles = Math.ceil(m / tileRows);

  /** Copies terms `start…start + depth` of an operand's rows or columns from `first` on. */
  const copy = ({ name, buffer, inner, outer }: Operand, strip: Strip, first: string): string => {
    // Neighbouring threads take neighbouring elements in memory.
    const step = (axes: readonly Axis[]): number => Math.abs(axes.at(-1)?.stride ?? 0) || Infinity;
    const alongSum = step(inner) < step(outer);
    // Rows and columns beyond the last are not stored, and WebGPU keeps reads inside the buffer;
    // terms beyond the last must count nothing.
    const element = (i: number): string => {
      const load = `${buffer}[base + ${address(outer, `(at + ${i}u)`)}]`;
      return k % depth === 0 ? load : `select(0.0, ${load}, term < ${k}u)`;
    };
    const items = strip.quads * depth;
    const [quad, term] = alongSum
      ? [`i / ${depth}u`, `i % ${depth}u`]
      : [`i % ${strip.quads}u`, `i / ${strip.quads}u`];
    return `
    for (var i = thread; i < ${items}u; i += ${threads}u) {
      let quad = ${quad};
      let row = ${term};
      let term = start + row;
      let at = ${first} + quad * ${strip.width}u;
      let base = ${name}Start + ${address(inner, "term")};
      ${name}Strip[row * ${strip.pitch}u + quad] = ${vector(strip.width)}(${range(strip.width).map(element).join(", ")});
    }`;
  };

  const sums = range(rows).flatMap((i) => range(vectors).map((q) => `c${i}_${q}`));
  const rowOf = (i: number): string => {
    const component = leftStrip.width === 1 ? "" : `.${"xyzw"[i % leftStrip.width]}`;
    return `l${Math.floor(i / leftStrip.width)}${component}`;
  };
  const [x, y] = [output[0] ?? 1, output[1] ?? 1];
  const total = vector(rightStrip.width);

  const main = (body: string): string => `
fn storeElement(position : u32, accumulator : f32) {
  threadGid = vec3<u32>(position % ${x}u, position / ${x}u % ${y}u, position / ${x * y}u);
  let data_index = i32(position);
${body.replace(/\bparams\.user_accumulator\b/g, "accumulator")}
}
var<workgroup> leftStrip : array<${vector(leftStrip.width)}, ${depth * leftStrip.pitch}>;
var<workgroup> rightStrip : array<${total}, ${Math.max(depth * rightStrip.pitch, slices === 1 ? 0 : threads)}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) thread : u32) {
  let number = group.x + group.y * ${width}u;
  ${width * folds === groups ? "" : `if (number >= ${groups}u) { return; }`}
  let batch = number / ${acrossTiles * downTiles}u;
  let firstRow = number / ${acrossTiles}u % ${downTiles}u * ${tileRows}u;
  let firstColumn = number % ${acrossTiles}u * ${tileColumns}u;
  let leftStart = ${left.offset}u + ${address(left.batch, "batch")};
  let rightStart = ${right.offset}u + ${address(right.batch, "batch")};
  let slice = thread / ${lanes}u;
  let lane = thread % ${lanes}u;
  let x = lane % ${across}u;
  let y = lane / ${across}u;
  ${sums.map((name) => `var ${name} = ${total}();`).join("\n  ")}
  for (var start = 0u; start < ${k}u; start += ${depth}u) {
    ${copy(left, leftStrip, "firstRow")}
    ${copy(right, rightStrip, "firstColumn")}
    workgroupBarrier();
    for (var row = slice; row < ${depth}u; row += ${slices}u) {
      ${range(rows / leftStrip.width)
        .map((q) => `let l${q} = leftStrip[row * ${leftStrip.pitch}u + y + ${q * down}u];`)
        .join("\n      ")}
      ${range(vectors)
        .map((q) => `let r${q} = rightStrip[row * ${rightStrip.pitch}u + x + ${q * across}u];`)
        .join("\n      ")}
      ${range(rows)
        .flatMap((i) => range(vectors).map((q) => `c${i}_${q} += ${rowOf(i)} * r${q};`))
        .join("\n      ")}
    }
    workgroupBarrier();
  }
  // An array only now: indexed by a variable it would not stay in registers.
  var sums = array<${total}, ${sums.length}>(${sums.join(", ")});
  ${
    slices === 1
      ? ""
      : `for (var i = 0u; i < ${sums.length}u; i++) {
    rightStrip[thread] = sums[i];
    workgroupBarrier();
    if (slice == i % ${slices}u) {
      var sum = rightStrip[lane];
      for (var s = 1u; s < ${slices}u; s++) { sum += rightStrip[s * ${lanes}u + lane]; }
      sums[i] = sum;
    }
    workgroupBarrier();
  }`
  }
  for (var i = slice; i < ${sums.length}u; i += ${slices}u) {
    let across = i % ${vectors}u * ${across}u + x;
    let down = i / ${vectors}u;
    let row = firstRow + (down / ${leftStrip.width}u * ${down}u + y) * ${leftStrip.width}u + down % ${leftStrip.width}u;
    for (var j = 0u; j < ${rightStrip.width}u; j++) {
      let column = firstColumn + across * ${rightStrip.width}u + j;
      if (row < ${m}u && column < ${n}u) {
        storeElement((batch * ${m}u + row) * ${n}u + column, sums[i]${rightStrip.width === 1 ? "" : "[j]"});
      }
    }
  }
}`;

  return {
    entryPoint(module, body) {
      const end = module.lastIndexOf("@compute");
      if (end < 0) throw new Error("tiledProduct: the module has no entry point");
      return module.slice(0, end) + main(body);
    },
    workgroups: [width, folds, 1],
  };
}

/** What the product reads and replaces in a gpu.js kernel. */
type ReplaceableKernel = Pick<GpuJsKernel, "translatedBody" | "assembleWGSL" | "_computeDispatch">;

/**
 * Makes a gpu.js kernel that is not yet built compute the product. gpu.js's `build` takes the text
 * of the shader from the one method, and whoever dispatches the number of workgroups from the other;
 * replaced on the instance, they leave layout, bindings and pipeline to gpu.js.
 */
export function installTiledProduct(kernel: ReplaceableKernel, product: TiledProduct): void {
  const assemble = kernel.assembleWGSL;
  kernel.assembleWGSL = () =>
    product.entryPoint(assemble.call(kernel), kernel.translatedBody ?? "");
  // dispatchWidth is for gpu.js's own fold of one-dimensional outputs.
  kernel._computeDispatch = () => ({ groups: [...product.workgroups], dispatchWidth: 0 });
}
