/**
 * The generated matrix products against a triple loop in double precision.
 */

import { describe, expect, it } from "vitest";
import {
  assemble,
  control,
  FunctionBuilder,
  f32,
  f64,
  i32,
  type Local,
} from "../../../src/devices/wasm/assembler.js";
import {
  blockingOf,
  type RegisterTile,
  workItemsOf,
  workspaceBytesOf,
} from "../../../src/devices/wasm/matmul/blocking.js";
import { buildMatmul } from "../../../src/devices/wasm/matmul/product.js";
import type { LoopKernel, MatmulKernel, MatmulOperand } from "../../../src/kernels/kernel.js";

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Deterministic numbers in [-1, 1), so that a failure can be repeated. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** Whatever an epilogue computes, the product only calls it: the test supplies the function. */
const someEpilogue: LoopKernel = {
  kind: "loop",
  dtype: "float32",
  axes: [1, 1],
  outputRank: 2,
  lookups: [],
  expressions: [{ kind: "accumulator", dtype: "float32" }],
  reduce: null,
  body: 0,
  epilogue: null,
};

/** `x ← 2 x + 1` on rows of `columns` elements: applied twice or to unfinished sums, it shows. */
function epilogueFunction(columns: number, dtype: MatmulKernel["dtype"]): FunctionBuilder {
  const [size, type] = dtype === "float64" ? [8, f64] : [4, f32];
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32"]);
  const [buffers, , begin, end] = builder.parameters as [Local, Local, Local, Local];
  const [p, stop] = [builder.local("i32"), builder.local("i32")];
  const at = (row: Local) =>
    i32.add(i32.load(buffers.get), i32.mul(row.get, i32.const(columns * size)));
  builder.body = [
    p.set(at(begin)),
    stop.set(at(end)),
    control.block(
      control.loop([
        control.branchIf(1, i32.geU(p.get, stop.get)),
        type.store(p.get, type.add(type.add(type.load(p.get), type.load(p.get)), type.const(1))),
        p.set(i32.add(p.get, i32.const(size))),
        control.branch(0),
      ]),
    ),
  ];
  return builder;
}

interface Run {
  /** The output, once per way of splitting the work. */
  outputs: (Float32Array | Float64Array)[];
  expected: Float64Array;
  /** Largest Σ |left · right| of any element: the scale of its rounding error. */
  scale: number;
  /** Elements past the end of the output or the workspace that were overwritten. */
  strayWrites: number;
  moduleBytes: number;
}

/** Runs a kernel over random operands that fill exactly the addresses its strides reach. */
function run(kernel: MatmulKernel, splits: readonly number[] = [1], tile?: RegisterTile): Run {
  const size = kernel.dtype === "float64" ? 8 : 4;
  const ArrayType = kernel.dtype === "float64" ? Float64Array : Float32Array;
  const random = generator(product([...kernel.m, ...kernel.n, ...kernel.k]) + 1);
  const [M, N, K, B] = [kernel.m, kernel.n, kernel.k, kernel.batch].map(product) as [
    number,
    number,
    number,
    number,
  ];
  const offsetsOf = (sizes: readonly number[], strides: readonly number[]): number[] =>
    sizes.reduce<number[]>(
      (offsets, axis, i) =>
        offsets.flatMap((offset) =>
          Array.from({ length: axis }, (_, j) => offset + j * (strides[i] ?? 0)),
        ),
      [0],
    );
  const reach = (operand: MatmulOperand, outer: readonly number[]): number => {
    const lists = [
      [kernel.batch, operand.batch],
      [outer, operand.outer],
      [kernel.k, operand.inner],
    ] as const;
    let last = operand.offset;
    for (const [sizes, strides] of lists)
      sizes.forEach((axis, i) => {
        last += Math.max(0, (axis - 1) * (strides[i] ?? 0));
      });
    return last + 1;
  };

  const outputLength = B * M * N;
  const blocking = blockingOf(kernel, tile);
  const workspaceBytes = workspaceBytesOf(blocking);
  const guard = 64;
  const align = (address: number): number => Math.ceil(address / 16) * 16;
  const leftAt = 1024;
  const rightAt =
    kernel.left.buffer === kernel.right.buffer
      ? leftAt
      : align(leftAt + reach(kernel.left, kernel.m) * size);
  const outputAt = align(
    Math.max(
      leftAt + reach(kernel.left, kernel.m) * size,
      rightAt + reach(kernel.right, kernel.n) * size,
    ),
  );
  const workspaceAt = align(outputAt + (outputLength + guard) * size);
  const total = workspaceAt + workspaceBytes + guard * 8;
  const pages = Math.ceil(total / 65536) + 1;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const leftData = new ArrayType(memory.buffer, leftAt, reach(kernel.left, kernel.m));
  const rightData = new ArrayType(memory.buffer, rightAt, reach(kernel.right, kernel.n));
  for (const data of [leftData, rightData])
    for (let i = 0; i < data.length; i++) data[i] = random();

  const functions: FunctionBuilder[] = [];
  const columns = blocking.finishesElements ? 1 : N;
  const epilogue = kernel.epilogue
    ? functions.push(epilogueFunction(columns, kernel.dtype)) - 1
    : null;
  const code = buildMatmul(blocking, { functionBase: functions.length, epilogue });
  functions.push(...code.functions);
  const bytes = assemble({
    memory: { shared: false, maximumPages: pages },
    functions,
    exports: { entry: code.entry, ...(code.finish !== null && { finish: code.finish }) },
  });
  const { entry, finish } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: { memory },
  }).exports as Record<"entry" | "finish", ((...operands: number[]) => void) | undefined>;
  const table = new Int32Array(memory.buffer, 0, 3);
  table[0] = outputAt;
  table[kernel.left.buffer] = leftAt;
  table[kernel.right.buffer] = rightAt;

  const items = workItemsOf(blocking);
  const tail = new Uint8Array(memory.buffer);
  let strayWrites = 0;
  const outputs = splits.map((parts) => {
    tail.fill(0xa5, outputAt);
    for (let part = parts - 1; part >= 0; part--)
      entry!(
        0,
        512,
        Math.floor((items * part) / parts),
        Math.floor((items * (part + 1)) / parts),
        workspaceAt,
      );
    finish?.(0, 512, workspaceAt);
    for (let i = outputAt + outputLength * size; i < workspaceAt; i++)
      if (tail[i] !== 0xa5) strayWrites++;
    for (let i = workspaceAt + workspaceBytes; i < tail.length; i++)
      if (tail[i] !== 0xa5) strayWrites++;
    return new ArrayType(memory.buffer, outputAt, outputLength).slice();
  });

  const expected = new Float64Array(outputLength);
  let scale = 1;
  const inner = [offsetsOf(kernel.k, kernel.left.inner), offsetsOf(kernel.k, kernel.right.inner)];
  const mOffsets = offsetsOf(kernel.m, kernel.left.outer);
  const nOffsets = offsetsOf(kernel.n, kernel.right.outer);
  const rightBatch = offsetsOf(kernel.batch, kernel.right.batch);
  offsetsOf(kernel.batch, kernel.left.batch).forEach((leftBatch, b) => {
    mOffsets.forEach((mOffset, i) => {
      nOffsets.forEach((nOffset, j) => {
        let sum = 0;
        let magnitude = 0;
        for (let q = 0; q < K; q++) {
          const x = leftData[kernel.left.offset + leftBatch + mOffset + inner[0]![q]!]!;
          const y = rightData[kernel.right.offset + rightBatch[b]! + nOffset + inner[1]![q]!]!;
          sum += x * y;
          magnitude += Math.abs(x * y);
        }
        scale = Math.max(scale, magnitude);
        expected[(b * M + i) * N + j] = kernel.epilogue ? 2 * sum + 1 : sum;
      });
    });
  });
  return { outputs, expected, scale, strayWrites, moduleBytes: bytes.length };
}

function check(
  kernel: MatmulKernel,
  splits: readonly number[] = [1, 2, 5],
  tile?: RegisterTile,
): Run {
  const result = run(kernel, splits, tile);
  const epsilon = kernel.dtype === "float64" ? 2e-15 : 1e-6;
  const [first] = result.outputs;
  let worst = 0;
  result.expected.forEach((value, i) => {
    const error = Math.abs(first![i]! - value);
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  });
  const context = JSON.stringify(kernel);
  expect(worst, context).toBeLessThanOrEqual(4 * epsilon * result.scale);
  for (const output of result.outputs)
    expect(Buffer.from(output.buffer).equals(Buffer.from(first!.buffer)), context).toBe(true);
  expect(result.strayWrites, context).toBe(0);
  return result;
}

interface Shape {
  batch?: number;
  m: number;
  n: number;
  k: number;
}

/** A plain product of contiguous operands, with changes. */
function kernelOf(
  { batch = 1, m, n, k }: Shape,
  {
    left,
    right,
    ...changes
  }: Partial<Omit<MatmulKernel, "left" | "right">> & {
    left?: Partial<MatmulOperand>;
    right?: Partial<MatmulOperand>;
  } = {},
): MatmulKernel {
  return {
    kind: "matmul",
    dtype: "float32",
    batch: [batch],
    m: [m],
    n: [n],
    k: [k],
    left: { buffer: 1, offset: 0, batch: [m * k], outer: [k], inner: [1], ...left },
    right: { buffer: 2, offset: 0, batch: [k * n], outer: [1], inner: [n], ...right },
    epilogue: null,
    ...changes,
  };
}

const leftTransposed = ({ m }: Shape): Partial<MatmulOperand> => ({ outer: [1], inner: [m] });
const rightTransposed = ({ k }: Shape): Partial<MatmulOperand> => ({ outer: [k], inner: [1] });

/** Every layout of both operands. */
function layouts(shape: Shape): MatmulKernel[] {
  const kernels: MatmulKernel[] = [];
  for (const left of [{}, leftTransposed(shape)])
    for (const right of [{}, rightTransposed(shape)])
      kernels.push(kernelOf(shape, { left, right }));
  return kernels;
}

describe("matmul code", () => {
  it("computes products of every small shape and layout", () => {
    const random = generator(7);
    const upTo = (limit: number): number => 1 + Math.floor(((random() + 1) / 2) * limit);
    for (let trial = 0; trial < 60; trial++) {
      const shape = { batch: upTo(3), m: upTo(40), n: upTo(40), k: upTo(40) };
      for (const kernel of layouts(shape)) check(kernel);
    }
  });

  it("computes products with a side of one to nine", () => {
    for (let side = 1; side <= 9; side++)
      for (const shape of [
        { m: side, n: 70, k: 37 },
        { m: 70, n: side, k: 37 },
        { m: 37, n: 70, k: side },
        { m: side, n: side, k: 5 },
      ])
        for (const kernel of layouts(shape)) {
          check(kernel);
          check({ ...kernel, dtype: "float64" });
          check({ ...kernel, epilogue: someEpilogue });
        }
  });

  it("blocks large products, edges included", () => {
    for (const shape of [
      { m: 203, n: 530, k: 267 },
      { m: 128, n: 96, k: 513 },
      { m: 5, n: 600, k: 300 },
      { m: 300, n: 7, k: 300 },
      { m: 1, n: 530, k: 267 },
      { m: 1, n: 70, k: 4100 },
    ])
      for (const kernel of layouts(shape)) {
        check(kernel);
        check({ ...kernel, dtype: "float64", epilogue: someEpilogue });
      }
  });

  it("computes with any register tile", () => {
    for (const tile of [
      { rows: 2, columns: 16 },
      { rows: 1, columns: 32 },
      { rows: 3, columns: 8 },
      { rows: 6, columns: 4 },
    ])
      for (const kernel of layouts({ batch: 2, m: 43, n: 45, k: 31 })) {
        check(kernel, [1, 2, 3], tile);
        check({ ...kernel, dtype: "float64" }, [1, 2, 3], tile);
      }
  });

  it("reads merged axes in place, such as heads × width", () => {
    const [batch, heads, time, width] = [2, 3, 10, 8];
    // context [batch, heads, time, width] · weights [heads · width, n]
    for (const [w, n] of [
      [width, 33],
      [7, 18],
      [2, 5],
      [1, 4],
    ] as const)
      check(
        kernelOf(
          { m: 1, n: 1, k: 1 },
          {
            batch: [],
            m: [batch, time],
            n: [n],
            k: [heads, w],
            left: { batch: [], outer: [heads * time * w, w], inner: [time * w, 1] },
            right: { batch: [], outer: [1], inner: [w * n, n] },
          },
        ),
      );
    // The gradient of the weights, [heads, width] × n, with the sum over batch and time.
    for (const [w, n] of [
      [width, 33],
      [7, 18],
      [1, 1],
    ] as const)
      check(
        kernelOf(
          { m: 1, n: 1, k: 1 },
          {
            batch: [],
            m: [heads, w],
            n: [n],
            k: [batch, time],
            left: { batch: [], outer: [time * w, 1], inner: [heads * time * w, w] },
            right: { batch: [], outer: [1], inner: [time * n, n] },
          },
        ),
      );
    // The same as the right operand: [n] × [heads, width].
    for (const w of [width, 16, 7, 6])
      check(
        kernelOf(
          { m: 1, n: 1, k: 1 },
          {
            batch: [],
            m: [9],
            n: [heads, w],
            k: [batch, time],
            left: { batch: [], outer: [1], inner: [time * 9, 9] },
            right: { batch: [], outer: [time * w, 1], inner: [heads * time * w, w] },
          },
        ),
      );
    // Sums over two axes of which the last is contiguous in the right operand.
    for (const w of [width, 7])
      check(
        kernelOf(
          { m: 1, n: 1, k: 1 },
          {
            batch: [],
            m: [9],
            n: [time],
            k: [heads, w],
            left: { batch: [], outer: [heads * w], inner: [w, 1] },
            right: { batch: [], outer: [w], inner: [time * w, 1] },
          },
        ),
      );
  });

  it("blocks large products of merged axes", () => {
    for (const [m, n, k] of [
      [64, 128, 100],
      [33, 115, 95],
    ] as const)
      for (const innermost of ["outer", "inner"] as const)
        check(
          kernelOf(
            { m: 1, n: 1, k: 1 },
            {
              batch: [],
              m: [3, m],
              n: [5, n],
              k: [3, k],
              left: {
                batch: [],
                ...(innermost === "outer"
                  ? { outer: [k * m, 1], inner: [3 * k * m, m] }
                  : { outer: [k * m, k], inner: [3 * k * m, 1] }),
              },
              right: {
                batch: [],
                ...(innermost === "outer"
                  ? { outer: [k * n, 1], inner: [5 * k * n, n] }
                  : { outer: [k * n, k], inner: [5 * k * n, 1] }),
              },
            },
          ),
        );
  });

  it("reads batches of two axes, and operands that lack them", () => {
    const shape = { m: 12, n: 21, k: 9 };
    const { m, n, k } = shape;
    for (const [leftBatch, rightBatch] of [
      [
        [m * k, 2 * m * k],
        [k * n, 2 * k * n],
      ],
      [
        [3 * m * k, m * k],
        [0, 0],
      ],
      [
        [0, 0],
        [3 * k * n, k * n],
      ],
      [
        [3 * m * k, m * k],
        [k * n, 0],
      ],
      [
        [0, m * k],
        [k * n, 0],
      ],
    ])
      for (const epilogue of [null, someEpilogue])
        check(
          kernelOf(shape, {
            batch: [2, 3],
            epilogue,
            left: { batch: leftBatch! },
            right: { batch: rightBatch! },
          }),
        );
  });

  it("reads broadcast, reversed and strided operands at an offset", () => {
    const { m, n, k } = { m: 19, n: 37, k: 23 };
    const strides: [number, number[], number[], number][] = [
      [3, [0], [1], m],
      [3, [1], [0], m],
      [3, [0], [0], m],
      [(m - 1) * k, [-k], [1], m],
      [k - 1, [k], [-1], m],
      [m * k, [-1], [-m], m],
      [5, [2 * k], [2], m],
      [5, [k], [2], m],
    ];
    for (const [offset, outer, inner] of strides)
      for (const batch of [1, 3])
        for (const width of [n, 1])
          check(
            kernelOf(
              { batch, m, n: width, k },
              {
                left: { offset, outer, inner, batch: [4 * m * k] },
                right: { offset: 7 },
              },
            ),
          );
    const reversed: [number, number[], number[]][] = [
      [0, [0], [1]],
      [4, [1], [0]],
      [n - 1, [-1], [n]],
      [(k - 1) * n, [1], [-n]],
      [(n - 1) * k, [-k], [1]],
      [(n - 1) * k + k - 1, [-k], [-1]],
      [1, [3], [3 * n]],
    ];
    for (const [offset, outer, inner] of reversed)
      for (const height of [m, 3, 1])
        check(kernelOf({ batch: 2, m: height, n, k }, { right: { offset, outer, inner } }));
  });

  it("multiplies a matrix by itself", () => {
    const kernel = kernelOf({ m: 24, n: 24, k: 24 }, { right: { buffer: 1 } });
    check(kernel);
  });

  it("gives the epilogue every row once, complete", () => {
    for (const shape of [
      { batch: 3, m: 17, n: 21, k: 5 },
      { batch: 1, m: 210, n: 530, k: 300 },
      { batch: 4, m: 1, n: 40, k: 30 },
      { batch: 4, m: 40, n: 1, k: 30 },
      { batch: 2, m: 5, n: 9, k: 0 },
      { batch: 2, m: 9, n: 1, k: 0 },
      { batch: 2, m: 1, n: 9, k: 0 },
    ])
      for (const kernel of layouts(shape))
        check({ ...kernel, epilogue: someEpilogue }, [1, 2, 3, 7]);
  });

  it("gives the epilogue of one row or column every element once, complete, and divides them", () => {
    const divided = new Set<string>();
    for (const shape of [
      { m: 1, n: 70, k: 30 },
      { m: 1, n: 300, k: 4100 },
      { m: 70, n: 1, k: 30 },
      { m: 70, n: 1, k: 4100 },
      { m: 1, n: 1, k: 5 },
      { m: 1, n: 9, k: 0 },
      { m: 9, n: 1, k: 0 },
    ]) {
      const axes = [shape.m * shape.n];
      for (const plain of layouts(shape)) {
        const kernel = { ...plain, epilogue: { ...someEpilogue, axes, outputRank: 1 } };
        check(kernel, [1, 2, 3, 7]);
        check({ ...kernel, dtype: "float64" }, [1, 2]);
        const blocking = blockingOf(kernel);
        if (shape.m === 1 && workItemsOf(blocking) > 1) divided.add(blocking.method);
      }
    }
    expect([...divided].sort()).toEqual(["dot", "row"]);
  });

  it("gives zeros for an empty sum, and no work for an empty output", () => {
    const { outputs } = run(kernelOf({ batch: 2, m: 5, n: 9, k: 0 }));
    expect(outputs[0]).toEqual(new Float32Array(90));
    for (const shape of [
      { m: 0, n: 3, k: 3 },
      { m: 3, n: 0, k: 3 },
      { batch: 0, m: 3, n: 3, k: 3 },
    ])
      expect(workItemsOf(blockingOf(kernelOf(shape)))).toBe(0);
  });

  it("stays small", () => {
    expect(run(kernelOf({ m: 200, n: 200, k: 300 })).moduleBytes).toBeLessThan(4000);
  });
});
