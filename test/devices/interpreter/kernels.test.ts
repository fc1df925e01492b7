/**
 * The interpreter's kernels, written by hand and run on typed arrays.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { runKernel } from "../../../src/devices/interpreter/kernels.js";
import * as pg from "../../../src/index.js";
import { setDevice, type Tensor, tensor } from "../../../src/index.js";
import type { Affine, LoopKernel } from "../../../src/kernels/kernel.js";
import { erfReference } from "../wasm/erfReference.js";

const along = (strides: number[], offset = 0): Affine => ({ offset, strides });

describe("loops", () => {
  const sums: LoopKernel = {
    kind: "loop",
    dtype: "float32",
    axes: [2, 3],
    outputRank: 1,
    lookups: [],
    expressions: [
      { kind: "load", dtype: "float32", buffer: 1, index: along([1, 2]), conditions: [] },
      { kind: "accumulator", dtype: "float32" },
      { kind: "constant", dtype: "float32", slot: 0 },
      { kind: "map", operation: "mul", dtype: "float32", inputs: [1, 2] },
    ],
    reduce: "sum",
    body: 0,
    epilogue: 3,
  };

  it("reduce strided loads and finish with the epilogue", () => {
    const output = new Float32Array(2);
    runKernel(sums, [output, Float32Array.of(1, 2, 3, 4, 5, 6)], [10]);
    expect([...output]).toEqual([90, 120]);
  });

  it("reduce to the maximum, NaN above all", () => {
    const output = new Float32Array(2);
    runKernel(
      { ...sums, reduce: "max", epilogue: null },
      [output, Float32Array.of(1, 2, Number.NaN, -4, 5, -6)],
      [],
    );
    expect([...output]).toEqual([Number.NaN, 2]);
  });

  it("do not read where conditions fail", () => {
    const kernel: LoopKernel = {
      ...sums,
      axes: [4],
      expressions: [
        {
          kind: "load",
          dtype: "float32",
          buffer: 1,
          index: along([1], -1),
          conditions: [{ index: along([1], -1), size: 2 }],
        },
        {
          kind: "guard",
          dtype: "float32",
          conditions: [{ index: along([1], -1), size: 2 }],
          lookups: [],
          inside: 0,
          otherwise: "nan",
        },
      ],
      reduce: null,
      body: 1,
      epilogue: null,
    };
    const output = new Float32Array(4);
    runKernel(kernel, [output, Float32Array.of(7, 8)], []);
    expect([...output]).toEqual([Number.NaN, 7, 8, Number.NaN]);
  });

  it("read at positions that other buffers hold", () => {
    const kernel: LoopKernel = {
      ...sums,
      axes: [3],
      lookups: [{ index: 0, size: 2 }],
      expressions: [
        { kind: "load", dtype: "int32", buffer: 2, index: along([1, 0]), conditions: [] },
        { kind: "load", dtype: "float32", buffer: 1, index: along([0, 1]), conditions: [] },
        { kind: "guard", dtype: "float32", conditions: [], lookups: [0], inside: 1, otherwise: 0 },
      ],
      reduce: null,
      body: 2,
      epilogue: null,
    };
    const output = new Float32Array(3);
    runKernel(kernel, [output, Float32Array.of(7, 8), Int32Array.of(1, 5, 0)], []);
    expect([...output]).toEqual([8, 0, 7]);
  });
});

describe("products, scatters, sorts", () => {
  it("multiply strided operands", () => {
    const operand = (buffer: number, outer: number, inner: number) => ({
      buffer,
      offset: 0,
      batch: [],
      outer: [outer],
      inner: [inner],
    });
    const output = new Float64Array(4);
    runKernel(
      {
        kind: "matmul",
        dtype: "float64",
        batch: [],
        m: [2],
        n: [2],
        k: [2],
        // Left transposed, right as it is.
        left: operand(1, 1, 2),
        right: operand(2, 1, 2),
        epilogue: null,
      },
      [output, Float64Array.of(1, 2, 3, 4), Float64Array.of(5, 6, 7, 8)],
      [],
    );
    expect([...output]).toEqual([26, 30, 38, 44]);
  });

  it("add up at targets and skip what is outside", () => {
    const output = Float32Array.of(9, 9, 9);
    runKernel(
      {
        kind: "scatter",
        replaces: false,
        dtype: "float32",
        size: 3,
        axes: [4],
        lookups: [{ index: 0, size: 3 }],
        expressions: [
          { kind: "load", dtype: "int32", buffer: 1, index: along([1, 0]), conditions: [] },
          { kind: "load", dtype: "float32", buffer: 2, index: along([1, 0]), conditions: [] },
        ],
        target: along([0, 1]),
        required: [0],
        body: 1,
      },
      [output, Int32Array.of(2, 0, 2, -1), Float32Array.of(1, 2, 3, 4)],
      [],
    );
    expect([...output]).toEqual([2, 0, 4]);
  });

  it("sort rows stably, NaN last", () => {
    const output = new Int32Array(8);
    const rows = Float32Array.of(2, 1, 2, 1, Number.NaN, Number.POSITIVE_INFINITY, Number.NaN, -1);
    runKernel({ kind: "sort", dtype: "float32", rows: 2, length: 4 }, [output, rows], []);
    expect([...output]).toEqual([1, 3, 0, 2, 3, 1, 0, 2]);
  });
});

describe("float32 values", () => {
  beforeAll(() => setDevice("interpreter"));

  it("are the same numbers where they are used at once as where they were stored", async () => {
    const x = (): Tensor => tensor([0.3, -0.7, 1.2, 0.9, -1.1]);
    for (const f of [
      (t: Tensor) => t.mul(t),
      (t: Tensor) => t.div(0.7).exp(),
      (t: Tensor) => t.add(0.1),
      (t: Tensor) => t.sum().mul(t),
      (t: Tensor) => pg.matmul(t, t).mul(0.1).add(t),
      (t: Tensor) => pg.full([5], 0.1).sub(t),
    ]) {
      const stored = tensor(await f(x()).data());
      expect(await f(x()).sub(stored).array()).toEqual([0, 0, 0, 0, 0]);
      expect(await pg.equal(f(x()), f(x()).max()).sum().item()).toBe(1);
    }
  });
});

describe("scalar functions", () => {
  beforeAll(() => setDevice("interpreter"));

  it("erf has all digits of float64", async () => {
    const points = Array.from({ length: 801 }, (_, i) => (i - 400) / 60);
    const found = await tensor(points, { dtype: "float64" }).erf().data();
    for (const [i, x] of points.entries()) {
      expect(Math.abs(found[i]! - erfReference(x))).toBeLessThanOrEqual(
        1e-15 * Math.abs(erfReference(x)),
      );
    }
  });

  it("computes a value that is used often once", async () => {
    // 2²⁰⁰ steps if each use were computed anew: it would not end.
    let x: Tensor = tensor([1]);
    for (let i = 0; i < 200; i++) x = x.add(x).mul(0.5);
    expect(await x.item()).toBe(1);
  });
});
