/**
 * Which steps are computed together, band by band: those alone whose order nobody can tell from the results.
 */

import { describe, expect, it } from "vitest";
import { BANDS, type Call, type Chain, callsOf } from "../../../src/devices/wasm/bands.js";
import type { Affine, LoopKernel, Plan, PlanBuffer, Step } from "../../../src/kernels/kernel.js";
import { sizeOf } from "../../../src/kernels/layout.js";

const ROWS = 4096;
const WIDTH = 256;

const grid = (strides: readonly number[], offset = 0): Affine => ({ offset, strides });
const IN_ORDER = grid([WIDTH, 1]);

/** `out[i] = reduce of Σ loads`, over a grid of rows and columns. */
function step(
  out: number,
  reads: readonly (readonly [buffer: number, index: Affine])[],
  { axes = [ROWS, WIDTH], reduces = false } = {},
): Step {
  const kernel: LoopKernel = {
    kind: "loop",
    dtype: "float32",
    axes,
    outputRank: reduces ? axes.length - 1 : axes.length,
    lookups: [],
    expressions: reads.map(([, index], i) => ({
      kind: "load",
      dtype: "float32",
      buffer: i + 1,
      index,
      conditions: [],
    })),
    reduce: reduces ? "sum" : null,
    body: reads.length - 1,
    epilogue: null,
  };
  const buffers = [out, ...reads.map(([buffer]) => buffer)];
  return { kernel, key: JSON.stringify(kernel), buffers, constants: [], operations: [] };
}

const whole = (role: PlanBuffer["role"], offset = 0): PlanBuffer => ({
  dtype: "float32",
  size: ROWS * WIDTH,
  role,
  offset,
});

function callsIn(steps: readonly Step[], buffers: readonly PlanBuffer[]): readonly Call[] {
  const plan: Plan = { steps, buffers, inputs: [], outputs: [], scratchBytes: 0 };
  return callsOf(plan, BANDS);
}

function lengths(steps: readonly Step[], buffers: readonly PlanBuffer[]): number[] {
  const calls = callsIn(steps, buffers);
  const firsts = [...calls.map(({ first }) => first), steps.length];
  return calls.map(({ first }, i) => firsts[i + 1]! - first);
}

describe("steps are one call", () => {
  const buffers = [whole("input"), whole("temporary"), whole("output")];

  it("where each row is read as it was written, also beside a sum of each row", () => {
    const sum: PlanBuffer = { ...whole("temporary", 4 * ROWS * WIDTH), size: ROWS };
    const steps = [
      step(1, [[0, IN_ORDER]]),
      step(3, [[1, IN_ORDER]], { reduces: true }),
      step(2, [
        [1, IN_ORDER],
        [3, grid([1, 0])],
      ]),
    ];
    expect(lengths(steps, [...buffers, sum])).toEqual([3]);
    // As many elements, counted otherwise.
    const flat = step(2, [[1, grid([1])]], { axes: [sizeOf([ROWS, WIDTH])] });
    expect(lengths([steps[0]!, flat], buffers)).toEqual([2]);
  });

  it.each([
    ["columns", grid([1, ROWS])],
    ["the row before", grid([WIDTH, 1], -WIDTH)],
    ["the next element", grid([WIDTH, 1], 1)],
    ["one row alone", grid([0, 1])],
    ["every other row", grid([2 * WIDTH, 1])],
  ])("not where %s of what was written is read", (_, index) => {
    const steps = [step(1, [[0, IN_ORDER]]), step(2, [[1, index]])];
    expect(lengths(steps, buffers)).toEqual([1, 1]);
  });

  it("not where an input is read otherwise than a later step overwrites it", () => {
    const reads = (index: Affine) => [step(1, [[0, index]]), step(0, [[1, IN_ORDER]])];
    expect(lengths(reads(IN_ORDER), buffers)).toEqual([2]);
    expect(lengths(reads(grid([1, ROWS])), buffers)).toEqual([1, 1]);
  });

  it("not where temporaries lie across one another", () => {
    const across = (offset: number) =>
      lengths(
        [
          step(1, [[0, IN_ORDER]]),
          step(2, [[1, IN_ORDER]]),
          step(3, [
            [0, IN_ORDER],
            [2, IN_ORDER],
          ]),
        ],
        [whole("input"), whole("temporary"), whole("output"), whole("temporary", offset)],
      );
    expect(across(0)).toEqual([3]);
    expect(across(4 * WIDTH)).toEqual([2, 1]);
    expect(across(4 * ROWS * WIDTH)).toEqual([3]);
  });

  it("not where they have nothing in common, nor where all of it stays in the cache", () => {
    const apart = [step(1, [[0, IN_ORDER]]), step(2, [[3, IN_ORDER]])];
    expect(lengths(apart, [...buffers, whole("input")])).toEqual([1, 1]);
    const small = { axes: [64, 64] };
    const index = grid([64, 1]);
    const steps = [step(1, [[0, index]], small), step(2, [[1, index]], small)];
    const own = buffers.map((buffer) => ({ ...buffer, size: 64 * 64 }));
    expect(lengths(steps, own)).toEqual([1, 1]);
  });

  it("not where a row of all buffers is larger than the cache", () => {
    const large = { axes: [16, ROWS * WIDTH] };
    const index = grid([ROWS * WIDTH, 1]);
    const steps = [step(1, [[0, index]], large), step(2, [[1, index]], large)];
    const own = buffers.map((buffer) => ({ ...buffer, size: 16 * ROWS * WIDTH }));
    expect(lengths(steps, own)).toEqual([1, 1]);
  });

  it("not more than sixteen", () => {
    const many = Array.from({ length: 20 }, (_, i) => whole(i === 0 ? "input" : "output"));
    const steps = many.slice(1).map((_, i) => step(i + 1, [[i, IN_ORDER]]));
    expect(lengths(steps, many)).toEqual([16, 3]);
  });
});

it("ask for the next band of what no step before them has written", () => {
  const buffers = [whole("input"), whole("output"), whole("output")];
  const chainOf = (first: number, second: number) => {
    const last = step(2, [
      [first, IN_ORDER],
      [second, IN_ORDER],
    ]);
    const [{ key, kernel }] = callsIn([step(1, [[0, IN_ORDER]]), last], buffers) as [Call];
    return { key, chain: kernel as Chain };
  };
  const { key, chain } = chainOf(0, 1);
  // Three buffers of a row, as many rows as fit.
  expect(chain.band).toBe(Math.floor(BANDS.bytes / (3 * 4 * WIDTH)));
  const distance = chain.band * WIDTH;
  expect(chain.parts.map(({ ahead }) => ahead)).toEqual([
    { distance, near: [] },
    { distance, near: [2] },
  ]);
  const other = chainOf(1, 0);
  expect(other.chain.parts[1]!.ahead.near).toEqual([1]);
  expect(other.key).not.toBe(key);
  // What a step overwrites comes from memory, too.
  const steps = [step(0, [[0, IN_ORDER]]), step(1, [[0, IN_ORDER]])];
  const [call] = callsIn(steps, buffers) as [Call];
  expect((call.kernel as Chain).parts.map(({ ahead }) => ahead.near)).toEqual([[], [1]]);
});
