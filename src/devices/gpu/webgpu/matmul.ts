/// <reference types="@webgpu/types" />
/**
 * The matrix product on WebGPU: the entry point that replaces gpu.js's own in a kernel whose body
 * is the product's epilogue. gpu.js translates the epilogue and makes bindings, layout and pipeline.
 * This file says how the workgroups compute the values of its argument `accumulator`. A workgroup
 * computes one tile of the output: it copies a strip of each operand to shared memory, every
 * thread multiplies a few rows by a few columns of it in registers, and so on along the sum.
 * @module
 */

import type { MatmulKernel } from "../../../kernels/kernel.js";
import { range, type StridedAxis } from "../../../kernels/layout.js";
import type { GpuJsKernel } from "../gpujs.js";
import { elementAt, halfAt } from "./packed.js";
import {
  type BatchedProduct,
  batchedProduct,
  chooseTile,
  type ProductOperand,
  threadsOf,
  tilesOf,
  type WorkgroupTile,
} from "./tiles.js";

/** A matrix product as a WGSL entry point. */
export interface TiledProduct {
  /**
   * `module` with its entry point replaced. `body` is gpu.js's translation of the kernel's body,
   * which stores one element of the output.
   */
  entryPoint(module: string, body: string): string;
  readonly workgroups: readonly [number, number, number];
}

/** The part of a device's limits that matters here. All others are above what a tile needs. */
export type TileLimits = Pick<GPUSupportedLimits, "maxComputeWorkgroupsPerDimension">;

/**
 * Shared memory for the strips of a tile. With more there are fewer barriers; with less, more workgroups
 * share a core. Drivers also zero it before each workgroup starts.
 */
const STRIP_BYTES = 2560;

/** A strip of an operand in shared memory: some terms, each of `quads` vectors of `width` outer elements. */
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

/** The greatest power of two up to `value`. */
const powerOfTwo = (value: number): number => 2 ** Math.floor(Math.log2(Math.max(1, value)));
const vector = (width: number): string => (width === 1 ? "f32" : `vec${width}<f32>`);
const lines = (statements: readonly string[]): string => statements.join("\n      ");

/** Every number the source needs. */
interface Layout {
  readonly whole: BatchedProduct;
  readonly tile: WorkgroupTile;
  /** Workgroups, and those of one row of the dispatch. */
  readonly groups: number;
  readonly groupsPerRow: number;
  readonly leftStrip: Strip;
  readonly rightStrip: Strip;
  /** Terms in a strip. */
  readonly depth: number;
  /** Vectors of a thread's columns. */
  readonly vectors: number;
  /** Names of a thread's sums: one vector each, row by row. */
  readonly sums: readonly string[];
}

function layOut(kernel: MatmulKernel, limits: TileLimits, tile: WorkgroupTile): Layout {
  const whole = batchedProduct(kernel);
  const { rows, columns, down, across, slices } = tile;
  const leftStrip = stripOf(rows, down);
  const rightStrip = stripOf(columns, across);
  const termBytes = 4 * (leftStrip.pitch * leftStrip.width + rightStrip.pitch * rightStrip.width);
  // What fits, at least 8, no more than there are, and one or more per slice.
  const depth = Math.max(
    slices,
    Math.min(Math.max(8, powerOfTwo(STRIP_BYTES / termBytes)), 2 * powerOfTwo(whole.k)),
  );
  const [downTiles, acrossTiles] = tilesOf(whole, tile);
  const groups = whole.batch * downTiles * acrossTiles;
  const groupsPerRow = Math.ceil(
    groups / Math.ceil(groups / limits.maxComputeWorkgroupsPerDimension),
  );
  const vectors = columns / rightStrip.width;
  const sums = range(rows).flatMap((i) => range(vectors).map((q) => `c${i}_${q}`));
  return { whole, tile, groups, groupsPerRow, leftStrip, rightStrip, depth, vectors, sums };
}

/**
 * `Σ stride · index` in WGSL, where `position` is the row-major position in the axes. Arithmetic is
 * modulo 2³², so a negative stride is its two's complement.
 */
function address(axes: readonly StridedAxis[], position: string): string {
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

/** Whether the rows or columns 2i and 2i + 1 of an operand are the halves of a word, at every term of every batch. */
function standsInPairs({ storage, offset, batch, outer, inner }: ProductOperand): boolean {
  const last = outer.at(-1);
  const others = [...batch, ...inner, ...outer.slice(0, -1)].map(({ stride }) => stride);
  const extents = outer.length > 1 ? [last!.size] : [];
  return (
    storage === "bfloat16" &&
    last?.stride === 1 &&
    [offset, ...others, ...extents].every((n) => n % 2 === 0)
  );
}

/** Copies terms `start…start + depth` of an operand's rows or columns from `first` on to its strip. */
function copyStrip(
  { whole: { k }, tile, depth }: Layout,
  operand: ProductOperand,
  strip: Strip,
  first: string,
): string {
  const { name, inner, outer } = operand;
  // Neighbouring threads take neighbouring elements in memory.
  const step = (axes: readonly StridedAxis[]): number =>
    Math.abs(axes.at(-1)?.stride ?? 0) || Infinity;
  const [quad, term] =
    step(inner) < step(outer)
      ? [`i / ${depth}u`, `i % ${depth}u`]
      : [`i % ${strip.quads}u`, `i / ${strip.quads}u`];
  // Rows and columns beyond the last are not stored, and WebGPU keeps reads inside the buffer.
  // Terms beyond the last are added, so they are 0.
  const isPaired = strip.width > 1 && standsInPairs(operand);
  const element = (i: number): string => {
    const place = (j: number): string => `base + ${address(outer, `(at + ${j}u)`)}`;
    const load = isPaired
      ? halfAt(operand, place(i - (i % 2)), i % 2 === 0 ? 0 : 1)
      : elementAt(operand, place(i));
    return k % depth === 0 ? load : `select(0.0, ${load}, term < ${k}u)`;
  };
  return `
    for (var i = thread; i < ${strip.quads * depth}u; i += ${threadsOf(tile)}u) {
      let quad = ${quad};
      let row = ${term};
      let term = start + row;
      let at = ${first} + quad * ${strip.width}u;
      let base = ${name}Start + ${address(inner, "term")};
      ${name}Strip[row * ${strip.pitch}u + quad] = ${vector(strip.width)}(${range(strip.width).map(element).join(", ")});
    }`;
}

/** Adds the products of the strips' terms, of this thread's slice, to its sums. */
function multiplyStrips({ tile, leftStrip, rightStrip, depth, vectors }: Layout): string {
  const { rows, down, across, slices } = tile;
  const rowOf = (i: number): string => {
    const component = leftStrip.width === 1 ? "" : `.${"xyzw"[i % leftStrip.width]}`;
    return `l${Math.floor(i / leftStrip.width)}${component}`;
  };
  const loadsLeft = range(rows / leftStrip.width).map(
    (q) => `let l${q} = leftStrip[row * ${leftStrip.pitch}u + y + ${q * down}u];`,
  );
  const loadsRight = range(vectors).map(
    (q) => `let r${q} = rightStrip[row * ${rightStrip.pitch}u + x + ${q * across}u];`,
  );
  const multiplyAdds = range(rows).flatMap((i) =>
    range(vectors).map((q) => `c${i}_${q} += ${rowOf(i)} * r${q};`),
  );
  return `
    for (var row = slice; row < ${depth}u; row += ${slices}u) {
      ${lines([...loadsLeft, ...loadsRight, ...multiplyAdds])}
    }`;
}

/** Adds up the slices' sums: afterwards slice `i % slices` holds the total of vector i. */
function addSlices({ tile, sums }: Layout): string {
  const { down, across, slices } = tile;
  if (slices === 1) return "";
  const lanes = down * across;
  return `for (var i = 0u; i < ${sums.length}u; i++) {
    rightStrip[thread] = sums[i];
    workgroupBarrier();
    if (slice == i % ${slices}u) {
      var sum = rightStrip[lane];
      for (var s = 1u; s < ${slices}u; s++) { sum += rightStrip[s * ${lanes}u + lane]; }
      sums[i] = sum;
    }
    workgroupBarrier();
  }`;
}

/** Stores the elements of this thread's vectors that are part of the output. */
function storeTile({ whole, tile, leftStrip, rightStrip, vectors, sums }: Layout): string {
  const { m, n } = whole;
  const { down, across, slices } = tile;
  return `
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
  }`;
}

/** Finds the workgroup's tile in the output, and the thread's place in the tile. */
function findPlace({ whole, tile, groups, groupsPerRow }: Layout): string {
  const { left, right } = whole;
  const { rows, columns, down, across } = tile;
  const lanes = down * across;
  const [downTiles, acrossTiles] = tilesOf(whole, tile);
  return `
  let number = group.x + group.y * ${groupsPerRow}u;
  ${groups % groupsPerRow === 0 ? "" : `if (number >= ${groups}u) { return; }`}
  let batch = number / ${acrossTiles * downTiles}u;
  let firstRow = number / ${acrossTiles}u % ${downTiles}u * ${rows * down}u;
  let firstColumn = number % ${acrossTiles}u * ${columns * across}u;
  let leftStart = ${left.offset}u + ${address(left.batch, "batch")};
  let rightStart = ${right.offset}u + ${address(right.batch, "batch")};
  let slice = thread / ${lanes}u;
  let lane = thread % ${lanes}u;
  let x = lane % ${across}u;
  let y = lane / ${across}u;`;
}

/** The entry point, and the function that stores an element by gpu.js's translation of the epilogue. */
function source(layout: Layout, output: readonly number[], body: string): string {
  const { whole, tile, leftStrip, rightStrip, depth, sums } = layout;
  const threads = threadsOf(tile);
  const total = vector(rightStrip.width);
  const rightVectors = Math.max(depth * rightStrip.pitch, tile.slices === 1 ? 0 : threads);
  const [x, y] = [output[0] ?? 1, output[1] ?? 1];
  return `
fn storeElement(position : u32, accumulator : f32) {
  threadGid = vec3<u32>(position % ${x}u, position / ${x}u % ${y}u, position / ${x * y}u);
  let data_index = i32(position);
${body.replace(/\bparams\.user_accumulator\b/g, "accumulator")}
}
var<workgroup> leftStrip : array<${vector(leftStrip.width)}, ${depth * leftStrip.pitch}>;
var<workgroup> rightStrip : array<${total}, ${rightVectors}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group : vec3<u32>, @builtin(local_invocation_index) thread : u32) {
  ${findPlace(layout)}
  ${sums.map((name) => `var ${name} = ${total}();`).join("\n  ")}
  for (var start = 0u; start < ${whole.k}u; start += ${depth}u) {
    ${copyStrip(layout, whole.left, leftStrip, "firstRow")}
    ${copyStrip(layout, whole.right, rightStrip, "firstColumn")}
    workgroupBarrier();
    ${multiplyStrips(layout)}
    workgroupBarrier();
  }
  // The sums become an array only now. An array that a variable indexes does not stay in registers.
  var sums = array<${total}, ${sums.length}>(${sums.join(", ")});
  ${addSlices(layout)}
  ${storeTile(layout)}
}`;
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
  tile: WorkgroupTile = chooseTile(kernel),
): TiledProduct {
  const layout = layOut(kernel, limits, tile);
  const { groups, groupsPerRow } = layout;
  return {
    entryPoint(module, body) {
      const end = module.lastIndexOf("@compute");
      if (end < 0) throw new Error("tiledProduct: the module has no entry point");
      return module.slice(0, end) + source(layout, output, body);
    },
    workgroups: [groupsPerRow, Math.ceil(groups / groupsPerRow), 1],
  };
}

/** What the product reads and replaces in a gpu.js kernel. */
type ReplaceableKernel = Pick<GpuJsKernel, "translatedBody" | "assembleWGSL" | "_computeDispatch">;

/**
 * Makes a gpu.js kernel that is not yet built compute the product. gpu.js's `build` takes the text
 * of the shader from the one method, and whoever dispatches the number of workgroups from the other.
 * Replaced on the instance, they leave layout, bindings and pipeline to gpu.js.
 */
export function installTiledProduct(kernel: ReplaceableKernel, product: TiledProduct): void {
  const assemble = kernel.assembleWGSL;
  kernel.assembleWGSL = () =>
    product.entryPoint(assemble.call(kernel), kernel.translatedBody ?? "");
  // dispatchWidth is for gpu.js's own fold of one-dimensional outputs.
  kernel._computeDispatch = () => ({ groups: [...product.workgroups], dispatchWidth: 0 });
}
