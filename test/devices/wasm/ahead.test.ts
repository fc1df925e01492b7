/**
 * Loops that take long for each element load lines ahead of the one they are at: lines of the buffer that they
 * read, wherever in memory it lies.
 */

import { describe, expect, it } from "vitest";
import { assemble } from "../../../src/devices/wasm/assembler.js";
import { type Ahead, linesAhead, rowsAhead } from "../../../src/devices/wasm/loops/ahead.js";
import { buildLoop } from "../../../src/devices/wasm/loops/generator.js";
import { traversalOf } from "../../../src/devices/wasm/loops/traversal.js";
import type { Affine, Expression, LoopKernel } from "../../../src/kernels/kernel.js";

const ROWS = 300;
const WIDTH = 256;
const PAGE = 65536;

type Load = Extract<Expression, { kind: "load" }>;
const at = (strides: readonly number[], offset = 0): Affine => ({ offset, strides });
const load = (index: Affine, over: Partial<Load> = {}): Load => ({
  kind: "load",
  dtype: "float32",
  buffer: 1,
  index,
  conditions: [],
  ...over,
});

/** `exp(x)`, or the exponential's sum over the axes after `outputRank`. */
function exponential(element: Load, axes = [ROWS, WIDTH], outputRank = axes.length): LoopKernel {
  return {
    kind: "loop",
    dtype: "float32",
    axes,
    outputRank,
    lookups: [],
    expressions: [element, { kind: "map", dtype: "float32", operation: "exp", inputs: [0] }],
    reduce: outputRank < axes.length ? "sum" : null,
    body: 1,
    epilogue: null,
  };
}

const lines = (element: Load, ahead: Ahead | null = null, axes?: number[]) => {
  const kernel = exponential(element, axes);
  return linesAhead(kernel, traversalOf(kernel), ahead);
};

describe("lines are asked for", () => {
  it("where a large buffer is read in order, and none after its last", () => {
    expect(lines(load(at([WIDTH, 1])))).toMatchObject([
      { buffer: 1, distance: 4096, last: ROWS * WIDTH * 4 - 512 },
    ]);
    // A part of a buffer ends where it ends, and elements in two bytes lie in half the lines.
    expect(lines(load(at([WIDTH, 1], 512)))).toMatchObject([
      { last: (ROWS * WIDTH + 512) * 4 - 512 },
    ]);
    const halves = load(at([WIDTH, 1]), { storage: "bfloat16" });
    expect(lines(halves, null, [2 * ROWS, WIDTH])).toMatchObject([
      { last: ROWS * WIDTH * 4 - 512 },
    ]);
  });

  it("not where elements lie apart, are read again, are small or may be elsewhere", () => {
    expect(lines(load(at([1, ROWS])))).toEqual([]);
    expect(lines(load(at([0, 1])))).toEqual([]);
    expect(lines(load(at([2 * WIDTH, 1])))).toEqual([]);
    expect(lines(load(at([WIDTH, 1])), null, [ROWS / 4, WIDTH])).toEqual([]);
    const condition = { index: at([1, 0], -1), size: ROWS };
    expect(lines(load(at([WIDTH, 1]), { conditions: [condition] }))).toEqual([]);
    expect(lines(load(at([WIDTH, 1, 1])))).toEqual([]);
  });

  it("in a chain a band ahead, unless the chain has just written the buffer", () => {
    const element = load(at([WIDTH, 1]));
    expect(lines(element, { distance: 10 * WIDTH, near: [0] })).toMatchObject([
      { distance: 10 * WIDTH * 4 },
    ]);
    expect(lines(element, { distance: 10 * WIDTH, near: [0, 1] })).toEqual([]);
  });
});

it("rows are asked for where columns are reduced, if each has lines of its own", () => {
  const rows = (element: Load, axes = [WIDTH, ROWS], outputRank = 1) => {
    const kernel = exponential(element, axes, outputRank);
    return rowsAhead(kernel, traversalOf(kernel));
  };
  expect(rows(load(at([1, WIDTH])))).toMatchObject([{ rows: ROWS, stride: WIDTH * 4 }]);
  expect(rows(load(at([ROWS, 1])))).toEqual([]);
  expect(rows(load(at([1, 16])), [16, 16 * ROWS])).toEqual([]);
  expect(rows(load(at([1, WIDTH])), [WIDTH, 16])).toEqual([]);
  expect(rows(load(at([WIDTH, 1])), [ROWS, WIDTH], 2)).toEqual([]);
});

/** Runs a kernel whose input ends where the memory does. */
async function run(kernel: LoopKernel, input: Float32Array, outputs: number, ahead: Ahead | null) {
  const pages = Math.ceil((input.byteLength + 4 * outputs + 64) / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const start = pages * PAGE - input.byteLength;
  new Float32Array(memory.buffer, start).set(input);
  new Uint32Array(memory.buffer).set([16, start]);
  const traversal = traversalOf(kernel);
  const functions = [buildLoop(kernel, traversal, undefined, ahead)];
  const bytes = assemble({
    memory: { shared: false, maximumPages: pages },
    functions,
    exports: { run: 0 },
  });
  const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } });
  const items = traversal.rows.length > 0 ? kernel.axes[0]! : kernel.axes[traversal.vector]!;
  (instance.exports.run as (...numbers: number[]) => void)(0, 0, 0, items);
  return new Float32Array(memory.buffer, 16, outputs);
}

/** The largest relative error. */
function largestError(values: Float32Array, expected: ArrayLike<number>): number {
  return values.reduce((most, value, i) => Math.max(most, Math.abs(value / expected[i]! - 1)), 0);
}

describe("a buffer at the end of the memory is read to its end and no further", () => {
  const input = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => Math.sin(i));
  const exp = Float32Array.from(input, Math.exp);
  const inColumns = exponential(load(at([1, WIDTH])), [WIDTH, ROWS], 1);

  it.each([
    ["alone", null],
    ["a band ahead", { distance: 20 * WIDTH, near: [] }],
    ["further ahead than it is long", { distance: 2 ** 29, near: [] }],
  ])("in order, %s", async (_, ahead) => {
    const kernel = exponential(load(at([WIDTH, 1])));
    const flat = exponential(load(at([1])), [ROWS * WIDTH]);
    for (const one of [kernel, flat]) {
      const result = await run(one, input, input.length, ahead);
      expect(largestError(result, exp)).toBeLessThan(3e-7);
    }
  });

  it("in rows", async () => {
    expect(rowsAhead(inColumns, traversalOf(inColumns))).toHaveLength(1);
    const sums = await run(inColumns, input, WIDTH, null);
    const expected = Array.from(sums, (_, column) => {
      let sum = 0;
      for (let row = 0; row < ROWS; row++) sum += Math.exp(input[row * WIDTH + column]!);
      return sum;
    });
    expect(largestError(sums, expected)).toBeLessThan(3e-7);
  });
});
