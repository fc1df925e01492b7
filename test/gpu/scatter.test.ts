/**
 * Scatters whose points are sorted first, on WebGPU, against the interpreter: repeated positions,
 * positions out of range, of any shape and along any axis, and gradients of gradients.
 */

import fc from "fast-check";
import { beforeEach, describe, expect, it, vi } from "vitest";
import * as rewriting from "../../src/devices/gpu/rewrite.js";
import * as pg from "../../src/index.js";
import { gradients, type Tensor, tensor } from "../../src/index.js";
import { isFull } from "../conformance/devices.js";
import { expectWebGpu } from "./platform.js";

await expectWebGpu();

vi.mock("../../src/devices/gpu/rewrite.js", { spy: true });

/** Comparisons from which on a scatter sorts: few, so that the interpreter soon has done them. */
const LONG_SEARCH = 2 ** 14;
const { rewrite } = await vi.importActual<typeof rewriting>("../../src/devices/gpu/rewrite.js");

beforeEach(() => {
  vi.resetAllMocks();
});

/** Kinds of the kernels the GPU was given. */
const kernels = (): string[] =>
  vi
    .mocked(rewriting.rewrite)
    .mock.results.flatMap(({ value }) =>
      (value as ReturnType<typeof rewriting.rewrite>).steps.map(({ kernel }) => kernel.kind),
    );

/** Checks tensors on the GPU, which must sort for them, against the interpreter. */
async function expectSame(make: () => readonly Tensor[], tolerance = 1e-5): Promise<void> {
  await pg.setDevice("interpreter");
  const expected = await Promise.all(make().map((t) => t.data()));
  await pg.setDevice("gpu", { backend: "webgpu" });
  vi.clearAllMocks();
  const tensors = make();
  await pg.realize(tensors);
  const found = await Promise.all(tensors.map((t) => t.data()));
  // A plan known from before is not rewritten again.
  if (vi.mocked(rewriting.rewrite).mock.calls.length > 0) expect(kernels()).toContain("starts");
  for (const [i, values] of expected.entries()) {
    expect(found[i]).toHaveLength(values.length);
    let worst = 0;
    for (const [j, value] of values.entries()) {
      const error = Math.abs(found[i]![j]! - value) / Math.max(1, Math.abs(value));
      if (!(error <= worst)) worst = error;
    }
    expect(worst).toBeLessThanOrEqual(tolerance);
  }
}

/** Multiples of 1/8 up to 8, whose sums are exact. */
const eighths = (size: number, seed: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => ((((i + seed) * 7919) % 129) - 64) / 8);

/** Positions among `extent`, and some that are not. */
const POSITIONS: Record<string, (i: number, extent: number, seed: number) => number> = {
  scattered: (i, extent, seed) => (i * 7919 + seed * i * i) % extent,
  "all equal": (_, extent, seed) => seed % extent,
  few: (i, extent, seed) => (seed + (i % 3) * 17) % extent,
  ascending: (i, extent) => i % extent,
  descending: (i, extent) => extent - 1 - (i % extent),
  "beyond both ends": (i, extent, seed) => ((i * 31 + seed) % (extent + 8)) - 4,
  "all out of range": (i, extent) => (i % 2 === 0 ? -1 - i : extent + i),
  extreme: (i) => [-(2 ** 24), 2 ** 24, 0, -1][i % 4]!,
};

/** Outputs from which on a scatter of so many points sorts. */
const leastOutputs = (points: number): number =>
  Math.max(LONG_SEARCH / points, 4 * Math.log2(points) ** 2);

describe("scatters that sort", () => {
  const scatters = fc.record({
    before: fc.integer({ min: 1, max: 4 }),
    after: fc.integer({ min: 1, max: 6 }),
    // The passes of a sort are compiled for each number of points: few are drawn but in full.
    shape: isFull()
      ? fc.oneof(
          fc.tuple(fc.integer({ min: 64, max: 1500 })),
          fc.tuple(fc.integer({ min: 8, max: 40 }), fc.integer({ min: 8, max: 40 })),
        )
      : fc.constantFrom<readonly number[]>([64], [8, 8], [97], [512], [16, 32], [1500], [50, 30]),
    more: fc.nat({ max: 100 }),
    kind: fc.constantFrom(...Object.keys(POSITIONS)),
    seed: fc.nat({ max: 1000 }),
  });

  it("add what the interpreter adds", async () => {
    vi.mocked(rewriting.rewrite).mockImplementation((plan, limits) =>
      rewrite(plan, { ...limits, longSearch: LONG_SEARCH }),
    );
    await fc.assert(
      fc.asyncProperty(scatters, async ({ before, after, shape, more, kind, seed }) => {
        const count = shape.reduce((a, b) => a * b, 1);
        const extent = Math.ceil(leastOutputs(count) / (before * after)) + more;
        const updates = eighths(before * count * after, seed);
        const positions = Int32Array.from({ length: count }, (_, i) =>
          POSITIONS[kind]!(i, extent, seed),
        );
        await expectSame(
          () => [
            pg.scatterAdd(
              pg.zeros([before, extent, after]),
              tensor(positions, { shape }),
              tensor(updates, { shape: [before, ...shape, after] }),
              1,
            ),
          ],
          0,
        );
      }),
      { numRuns: 40 },
    );
  });

  it("long runs, shared among threads", async () => {
    const count = 50_000;
    for (const position of ["few", "scattered", "all equal"]) {
      const positions = Int32Array.from({ length: count }, (_, i) =>
        POSITIONS[position]!(i, 40, 5),
      );
      const updates = eighths(count * 32, 3);
      await expectSame(
        () => [
          pg.scatterAdd(
            pg.zeros([40, 32]),
            tensor(positions),
            tensor(updates, { shape: [count, 32] }),
          ),
        ],
        0,
      );
    }
  });

  it("sum in the order of the points: twice the same bits", async () => {
    await pg.setDevice("gpu", { backend: "webgpu" });
    const positions = Int32Array.from({ length: 2000 }, (_, i) => (i * i) % 50);
    const run = async (): Promise<ArrayLike<number>> =>
      pg
        .scatterAdd(pg.zeros([70, 40]), tensor(positions), pg.randomNormal([2000, 40], { seed: 4 }))
        .data();
    const [first, second] = [await run(), await run()];
    expect(kernels()).toContain("starts");
    const terms = await pg.randomNormal([2000, 40], { seed: 4 }).data();
    let sum = 0;
    positions.forEach((position, i) => {
      if (position === 4) sum = Math.fround(sum + terms[i * 40 + 7]!);
    });
    expect(first).toEqual(second);
    expect(first[4 * 40 + 7]).toBe(sum);
  });

  it("with computed positions and values, of more tensors than a kernel may read", async () => {
    await expectSame(() => {
      const at = Array.from({ length: 9 }, (_, j) =>
        tensor(Int32Array.from({ length: 700 }, (_, i) => (i * (j + 3)) % 31)),
      ).reduce((a, b) => a.add(b));
      const updates = Array.from({ length: 11 }, (_, j) =>
        tensor(eighths(700 * 32, j), { shape: [700, 32] }),
      ).reduce((a, b) => a.mul(0.5).add(b));
      return [pg.scatterAdd(pg.ones([250, 32]), at, updates)];
    });
  });
});

describe("derivatives of gather", () => {
  const vocabulary = 300;
  const shape = [3, 250];
  const positions = Int32Array.from({ length: 750 }, (_, i) => (i * i) % vocabulary);
  const leaf = (...extents: number[]): Tensor => pg.randomNormal(extents, { seed: 7 });

  it("of first order", async () => {
    await expectSame(() => {
      const e = leaf(vocabulary, 24);
      const taken = pg.gather(e, tensor(positions, { shape }));
      return gradients(taken.tanh().square().sum(), [e]);
    });
  });

  it("along the last axis", async () => {
    await expectSame(() => {
      const e = leaf(24, vocabulary);
      const taken = pg.gather(e, tensor(positions, { shape }), 1);
      return gradients(taken.square().sum(), [e]);
    });
  });

  it("of second order", async () => {
    await expectSame(() => {
      const e = leaf(vocabulary, 24);
      const loss = pg.gather(e, tensor(positions, { shape })).mul(0.1).exp().sum();
      const [g] = gradients(loss, [e]) as [Tensor];
      return gradients(g.square().sum(), [e]);
    });
  });

  it("of a language model's embedding and logits", async () => {
    await expectSame(() => {
      const e = leaf(vocabulary, 24);
      const ids = tensor(positions, { shape });
      const logits = pg.matmul(pg.gather(e, ids).reshape([750, 24]), e.transpose());
      const chosen = pg.takeAlongAxis(pg.logSoftmax(logits), ids.reshape([750, 1]), 1);
      return gradients(chosen.mean().neg(), [e]);
    });
  });
});
