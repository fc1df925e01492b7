/**
 * Loops that take long for each element load lines ahead of the one they are at: lines of the buffer that they
 * read, wherever in memory it lies.
 */

import { describe, expect, it } from "vitest";
import { assemble } from "../../../src/devices/wasm/assembler.js";
import { type Ahead, linesAhead, rowsAhead } from "../../../src/devices/wasm/loops/ahead.js";
import { buildLoop } from "../../../src/devices/wasm/loops/generator.js";
import { Analysis, traversalOf } from "../../../src/devices/wasm/loops/traversal.js";
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

const map = (operation: "exp" | "log" | "neg", input: number): Expression => ({
  kind: "map",
  dtype: "float32",
  operation,
  inputs: [input],
});

/** `exp(x)`, or the exponential's sum over the axes after `outputRank`. */
function exponential(
  element: Load,
  axes: readonly number[] = [ROWS, WIDTH],
  outputRank = axes.length,
): LoopKernel {
  const { dtype } = element;
  return {
    kind: "loop",
    dtype,
    axes,
    outputRank,
    lookups: [],
    expressions: [element, { kind: "map", dtype, operation: "exp", inputs: [0] }],
    reduce: outputRank < axes.length ? "sum" : null,
    body: 1,
    epilogue: null,
  };
}

const lines = (element: Load, axes?: readonly number[], ahead?: Ahead) => {
  const kernel = exponential(element, axes);
  return linesAhead(kernel, traversalOf(kernel), new Analysis(kernel), ahead);
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
    expect(lines(halves, [2 * ROWS, WIDTH])).toMatchObject([{ last: ROWS * WIDTH * 4 - 512 }]);
  });

  it("not where elements lie apart, are read again, are small or may be elsewhere", () => {
    expect(lines(load(at([1, ROWS])))).toEqual([]);
    expect(lines(load(at([0, 1])))).toEqual([]);
    expect(lines(load(at([2 * WIDTH, 1])))).toEqual([]);
    expect(lines(load(at([WIDTH, 1])), [ROWS / 4, WIDTH])).toEqual([]);
    const condition = { index: at([1, 0], -1), size: ROWS };
    expect(lines(load(at([WIDTH, 1]), { conditions: [condition] }))).toEqual([]);
    expect(lines(load(at([WIDTH, 1, 1])))).toEqual([]);
  });

  it("in a chain a band ahead, unless the chain has just written the buffer", () => {
    const element = load(at([WIDTH, 1]));
    expect(lines(element, undefined, { distance: 10 * WIDTH, near: [0] })).toMatchObject([
      { distance: 10 * WIDTH * 4 },
    ]);
    expect(lines(element, undefined, { distance: 10 * WIDTH, near: [0, 1] })).toEqual([]);
  });
});

describe("a loop asks", () => {
  /** `f(f(… f(x)))`. */
  const repeated = (operation: "exp" | "neg", times: number): LoopKernel => ({
    ...exponential(load(at([WIDTH, 1]))),
    expressions: [
      load(at([WIDTH, 1])),
      ...Array.from({ length: times }, (_, i) => map(operation, i)),
    ],
    body: times,
  });
  const asks = (kernel: LoopKernel): boolean =>
    linesAhead(kernel, traversalOf(kernel), new Analysis(kernel), undefined).length > 0;

  it("if it takes long for each load", () => {
    expect([asks(repeated("exp", 1)), asks(repeated("neg", 8))]).toEqual([true, true]);
    expect(asks(repeated("neg", 7))).toBe(false);
  });

  it("not for what it computes once a row", () => {
    // log Σ x, and Σ x · eʸ with a y for each row.
    const ofSum: LoopKernel = {
      ...exponential(load(at([WIDTH, 1])), [ROWS, WIDTH], 1),
      expressions: [load(at([WIDTH, 1])), { kind: "accumulator", dtype: "float32" }, map("log", 1)],
      body: 0,
      epilogue: 2,
    };
    const ofRow: LoopKernel = {
      ...exponential(load(at([WIDTH, 1])), [ROWS, WIDTH], 1),
      expressions: [
        load(at([WIDTH, 1])),
        load(at([1, 0]), { buffer: 2 }),
        map("exp", 1),
        { kind: "map", dtype: "float32", operation: "mul", inputs: [0, 2] },
      ],
      body: 3,
    };
    expect([asks(ofSum), asks(ofRow)]).toEqual([false, false]);
  });

  it("by eight loads whose values are dropped", () => {
    /** `i32.load` at 0, 64, … 448 bytes, each followed by `drop`. */
    const dropped = [[0], [0x40], [0x80, 1], [0xc0, 1], [0x80, 2], [0xc0, 2], [0x80, 3], [0xc0, 3]];
    const all = (kernel: LoopKernel): boolean[] => {
      const code = Buffer.from(moduleOf(kernel, undefined, 16));
      return dropped.map((offset) => code.includes(Buffer.from([0x28, 2, ...offset, 0x1a])));
    };
    expect(all(repeated("exp", 1))).toEqual(dropped.map(() => true));
    expect(all(repeated("neg", 1))).toEqual(dropped.map(() => false));
  });
});

it("rows are asked for where columns are reduced, if each has lines of its own", () => {
  const rows = (element: Load, axes = [WIDTH, ROWS], outputRank = 1) => {
    const kernel = exponential(element, axes, outputRank);
    return rowsAhead(kernel, traversalOf(kernel), new Analysis(kernel), undefined);
  };
  expect(rows(load(at([1, WIDTH])))).toMatchObject([{ rows: ROWS, stride: WIDTH * 4 }]);
  expect(rows(load(at([ROWS, 1])))).toEqual([]);
  expect(rows(load(at([1, 16])), [16, 16 * ROWS])).toEqual([]);
  expect(rows(load(at([1, WIDTH])), [WIDTH, 16])).toEqual([]);
  expect(rows(load(at([WIDTH, 1])), [ROWS, WIDTH], 2)).toEqual([]);
});

function moduleOf(kernel: LoopKernel, ahead: Ahead | undefined, maximumPages: number) {
  return assemble({
    memory: { shared: false, maximumPages },
    functions: [buildLoop(kernel, traversalOf(kernel), { ahead })],
    exports: { run: 0 },
  });
}

/** Runs a kernel whose input ends where the memory does. */
async function run(kernel: LoopKernel, input: Input, outputs: number, ahead?: Ahead) {
  const { BYTES_PER_ELEMENT: width } = input;
  const wide = kernel.dtype === "float64" ? Float64Array : Float32Array;
  const pages = Math.ceil((input.byteLength + wide.BYTES_PER_ELEMENT * outputs + 64) / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const start = pages * PAGE - input.byteLength;
  new (input.constructor as typeof Uint16Array)(memory.buffer, start, input.length).set(input);
  new Uint32Array(memory.buffer).set([16, start]);
  expect(start % width).toBe(0);
  const { instance } = await WebAssembly.instantiate(moduleOf(kernel, ahead, pages), {
    env: { memory },
  });
  const { rows, vector } = traversalOf(kernel);
  const items = kernel.axes[rows[0] ?? vector]!;
  (instance.exports.run as (...numbers: number[]) => void)(0, 0, 0, items);
  return new wide(memory.buffer, 16, outputs);
}

type Input = Float32Array | Float64Array | Uint16Array;

/** The largest relative error. */
function largestError(values: Float32Array | Float64Array, expected: ArrayLike<number>): number {
  let most = 0;
  values.forEach((value, i) => {
    most = Math.max(most, Math.abs(value / expected[i]! - 1));
  });
  return most;
}

// Sizes that leave no loop without a rest, and begin buffers within a line.
describe.each([
  [543, 257],
  [512, 257],
  [512, 256],
])(
  "a buffer of %i × %i at the end of the memory is read to its end and no further",
  (rows, width) => {
    const numbers = Float64Array.from({ length: rows * width }, (_, i) => Math.sin(i));
    const inputs = {
      float32: Float32Array.from(numbers),
      float64: numbers,
      // The upper halves of float32s: bfloat16s.
      bfloat16: new Uint16Array(Float32Array.from(numbers).buffer).filter((_, i) => i % 2 === 1),
    };
    const widened = (bits: Uint16Array) =>
      new Float32Array(Uint32Array.from(bits, (b) => b << 16).buffer);
    const exps = {
      float32: Float64Array.from(inputs.float32, Math.exp),
      float64: Float64Array.from(inputs.float64, Math.exp),
      bfloat16: Float64Array.from(widened(inputs.bfloat16), Math.exp),
    };
    const TOLERANCE = { float32: 1e-6, float64: 1e-14, bfloat16: 1e-6 };

    describe.each(["float32", "float64", "bfloat16"] as const)("%s", (storage) => {
      const dtype = storage === "float64" ? "float64" : "float32";
      const over = storage === "bfloat16" ? ({ dtype, storage } as const) : ({ dtype } as const);
      const input = inputs[storage];
      const exp = exps[storage];
      const kernel = (strides: readonly number[], axes: readonly number[], rank?: number) =>
        exponential(load(at(strides), over), axes, rank);
      const sums = (count: number, of: number, index: (i: number, j: number) => number) =>
        Array.from({ length: count }, (_, i) => {
          let sum = 0;
          for (let j = 0; j < of; j++) sum += exp[index(i, j)]!;
          return sum;
        });

      it.each([
        ["alone", undefined],
        ["a band ahead", { distance: 20 * width, near: [] }],
        ["further ahead than it is long", { distance: 2 ** 28, near: [] }],
      ])("in order, %s", async (_, ahead) => {
        for (const one of [kernel([width, 1], [rows, width]), kernel([1], [rows * width])]) {
          expect(largestError(await run(one, input, input.length, ahead), exp)).toBeLessThan(
            TOLERANCE[storage],
          );
        }
      });

      it("row by row", async () => {
        const result = await run(kernel([width, 1], [rows, width], 1), input, rows);
        const expected = sums(rows, width, (row, column) => row * width + column);
        expect(largestError(result, expected)).toBeLessThan(TOLERANCE[storage]);
      });

      it("column by column", async () => {
        const result = await run(kernel([1, width], [width, rows], 1), input, width);
        const expected = sums(width, rows, (column, row) => row * width + column);
        expect(largestError(result, expected)).toBeLessThan(TOLERANCE[storage]);
      });
    });
  },
);
