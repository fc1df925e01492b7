/**
 * Plans as the GPU gets them: what is sorted, what is split, and that no kernel reads too much.
 */

import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import * as compiler from "../../../src/compiler/compile.js";
import type { GpuPlan, GpuStep } from "../../../src/devices/gpu/plan.js";
import { type Limits, rewrite } from "../../../src/devices/gpu/rewrite.js";
import * as pg from "../../../src/index.js";
import { gradients, type Tensor, tensor } from "../../../src/index.js";
import type { Plan } from "../../../src/kernels/kernel.js";
import { build, programs } from "../../compiler/randomGraph.js";

vi.mock("../../../src/compiler/compile.js", { spy: true });

const WEBGPU: Limits = { inputs: 7, products: true };
const WEBGL2: Limits = { inputs: 7, products: false };

beforeAll(async () => {
  await pg.setDevice("interpreter");
});
afterEach(() => {
  vi.clearAllMocks();
});

/** The plan of some tensors, which are not evaluated, for a device whose kernels write into nothing that they read. */
async function planOf(...tensors: Tensor[]): Promise<Plan> {
  await pg.explain(...tensors);
  const [graph, { recomputeLimit }] = vi.mocked(compiler.compile).mock.calls.at(-1)!;
  return compiler.compile(graph, { recomputeLimit });
}

const rewritten = async (limits: Limits, ...tensors: Tensor[]): Promise<GpuPlan> =>
  rewrite(await planOf(...tensors), limits);

const kindsOf = ({ steps }: GpuPlan): string[] => steps.map(({ kernel }) => kernel.kind);
const values = (shape: readonly number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape });
const ids = (...shape: readonly number[]): Tensor => values(shape).cast("int32");
const stored = (shape: readonly number[]): Tensor =>
  tensor(new Int32Array(shape.reduce((a, b) => a * b, 1)), { shape });

/** The gradient of an embedding's weights. */
function embeddingGradient(vocabulary: number, width: number, tokens: readonly number[]): Tensor {
  const weights = values([vocabulary, width]);
  const upstream = values([...tokens, width]);
  return gradients(pg.gather(weights, stored(tokens)).mul(upstream).sum(), [weights])[0]!;
}

describe("scatters", () => {
  it("an embedding's gradient sorts its tokens, once", async () => {
    const plan = await rewritten(WEBGPU, embeddingGradient(256, 128, [4, 512]));
    // 11 passes sort 2¹¹ keys.
    expect(kindsOf(plan)).toEqual(["loop", ...Array(11).fill("merge"), "starts", "scatter"]);
    const [keys, , ...rest] = plan.steps as [GpuStep, GpuStep, ...GpuStep[]];
    const [starts, scatter] = rest.slice(-2) as [GpuStep, GpuStep];
    expect(starts.kernel).toMatchObject({ length: 2048, count: 257 });
    expect(starts.buffers[1]).toBe(keys.buffers[0]);
    if (scatter.kernel.kind !== "scatter") throw new Error("no scatter");
    const { sorted, size } = scatter.kernel;
    expect(size).toBe(256 * 128);
    expect(sorted?.pieces).toBe(1);
    expect(scatter.buffers[sorted!.order]).toBe(starts.buffers[2]);
    expect(scatter.buffers[sorted!.starts]).toBe(starts.buffers[0]);
  });

  it("sorts on WebGL2, too", async () => {
    const plan = await rewritten(WEBGL2, embeddingGradient(256, 128, [2048]));
    expect(kindsOf(plan)).toContain("merge");
  });

  it("along other axes, by ids of any shape", async () => {
    for (const axis of [0, 1, 2]) {
      const shape = [5, 6, 7];
      shape[axis] = 1000;
      const x = values(shape);
      const taken = pg.gather(x, stored([20, 30]), axis);
      const plan = await rewritten(WEBGPU, gradients(taken.mul(taken).sum(), [x])[0]!);
      expect(kindsOf(plan).filter((kind) => kind === "starts")).toHaveLength(1);
    }
  });

  it("computed ids are stored once, for the sort", async () => {
    const weights = values([512, 64]);
    const computed = ids(1024).mul(3).add(1);
    const upstream = values([1024, 64]);
    const gradient = gradients(pg.gather(weights, computed).mul(upstream).sum(), [weights])[0]!;
    const plan = await rewritten(WEBGPU, gradient);
    expect(kindsOf(plan).filter((kind) => kind === "loop")).toHaveLength(1);
    // The result; keys, what is added, order, starts.
    expect(plan.steps.at(-1)!.buffers).toHaveLength(5);
  });

  it("few outputs or few points are searched", async () => {
    for (const few of [
      embeddingGradient(32, 32, [1024]),
      embeddingGradient(100_000, 64, [32]),
      // A sort of a million would take more comparisons than three per point.
      embeddingGradient(3, 1, [1_000_000]),
    ]) {
      const kinds = kindsOf(await rewritten(WEBGPU, few));
      expect(kinds).toContain("scatter");
      expect(kinds).not.toContain("merge");
    }
  });

  it("how long a search may be is a limit", async () => {
    const gradient = () => embeddingGradient(32, 32, [1024]);
    const sorted = await rewritten({ ...WEBGPU, longSearch: 2 ** 20 }, gradient());
    expect(kindsOf(sorted)).toContain("merge");
    const searched = await rewritten({ ...WEBGPU, longSearch: 2 ** 20 + 1 }, gradient());
    expect(kindsOf(searched)).not.toContain("merge");
  });

  it("positions that differ from row to row are searched", async () => {
    const x = values([300, 4000]);
    const taken = pg.takeAlongAxis(x, stored([300, 64]), 1);
    const plan = await rewritten(WEBGPU, gradients(taken.square().sum(), [x])[0]!);
    expect(kindsOf(plan)).not.toContain("merge");
  });

  it("long runs of few outputs are summed in pieces", async () => {
    const plan = await rewritten(WEBGPU, embeddingGradient(8, 256, [100_000]));
    const at = kindsOf(plan).indexOf("scatter");
    const { kernel } = plan.steps[at]!;
    if (kernel.kind !== "scatter") throw new Error("no scatter");
    const { pieces } = kernel.sorted!;
    expect(pieces).toBeGreaterThan(1);
    const partial = plan.steps[at]!.buffers[0]!;
    expect(plan.buffers[partial]!.size).toBe(8 * 256 * pieces);
    expect(plan.steps[at + 1]!.buffers).toContain(partial);
  });
});

describe("products", () => {
  const weightGradient = (m: number, k: number, n: number): Tensor =>
    pg.matmul(values([k, m]).transpose(), values([k, n]));

  it("few tiles of a long sum are shared: batches of pieces, then their sum", async () => {
    for (const [m, k, n, pieces] of [
      [128, 2048, 128, 16],
      [512, 2048, 128, 4],
      [128, 2048, 512, 4],
      [128, 2046, 128, 11],
    ] as const) {
      const plan = await rewritten(WEBGPU, weightGradient(m, k, n));
      expect(kindsOf(plan)).toEqual(["matmul", "loop"]);
      const [product, sum] = plan.steps as [GpuStep, GpuStep];
      expect(product.kernel).toMatchObject({
        batch: [pieces],
        k: [k / pieces],
        epilogue: null,
      });
      expect(plan.buffers[product.buffers[0]!]!.size).toBe(pieces * m * n);
      expect(sum.kernel).toMatchObject({ reduce: "sum" });
      expect(sum.buffers).toContain(product.buffers[0]);
    }
  });

  it("the sum has the product's epilogue", async () => {
    const gradient = weightGradient(128, 2048, 128)
      .mul(0.5)
      .add(values([128, 128]));
    const plan = await rewritten(WEBGPU, gradient);
    expect(kindsOf(plan)).toEqual(["matmul", "loop"]);
    expect(plan.steps[1]!.operations).toEqual(expect.arrayContaining(["matmul", "mul", "add"]));
  });

  it("others are left whole", async () => {
    for (const [m, k, n] of [
      [512, 512, 512],
      [128, 511, 128],
      [16, 2048, 16],
      [1, 4096, 1],
      // A prime number of terms.
      [128, 2039, 128],
    ] as const) {
      const plan = await rewritten(WEBGPU, weightGradient(m, k, n));
      expect(kindsOf(plan)).toEqual(["matmul"]);
    }
    const batched = pg.matmul(values([64, 64, 1024]), values([64, 1024, 64]));
    expect(kindsOf(await rewritten(WEBGPU, batched))).toEqual(["matmul"]);
  });

  it("whose epilogue reads too much stay products", async () => {
    const square = [16, 16];
    let x = pg.matmul(values(square), values(square));
    for (let i = 0; i < 14; i++) x = x.mul(0.5).add(values(square));
    const kinds = kindsOf(await rewritten(WEBGPU, x));
    expect(kinds[0]).toBe("matmul");
  });

  it("are sums without a product kernel", async () => {
    const plan = await rewritten(WEBGL2, weightGradient(128, 2048, 128));
    expect(new Set(kindsOf(plan))).toEqual(new Set(["loop"]));
  });

  it("are sums of bfloat16s where an operand is held so", async () => {
    const narrow = await pg.storeAs("bfloat16", values([64, 32]));
    const plan = await rewritten(WEBGL2, pg.matmul(values([16, 64]), narrow));
    const [{ kernel }] = plan.steps as [GpuStep];
    if (kernel.kind !== "loop") throw new Error("no loop");
    const loads = kernel.expressions.filter(({ kind }) => kind === "load");
    expect(loads.map((load) => "storage" in load)).toEqual([false, true]);
  });
});

/** What must hold of every plan for a GPU. */
function check({ buffers, steps }: GpuPlan, { inputs, products }: Limits): void {
  const written = new Set(buffers.flatMap(({ role }, i) => (role === "input" ? [i] : [])));
  for (const { kernel, buffers: used } of steps) {
    expect(used.length - 1).toBeLessThanOrEqual(inputs);
    expect(kernel.kind === "matmul" && !products).toBe(false);
    for (const buffer of used.slice(1)) expect(written).toContain(buffer);
    written.add(used[0]!);
    expect(used.slice(1)).not.toContain(used[0]);
    if (!("expressions" in kernel)) continue;
    for (const e of kernel.expressions) {
      if (e.kind === "load") expect(used[e.buffer]).toBeDefined();
      if (e.kind === "map")
        for (const input of e.inputs) expect(input).toBeLessThan(kernel.expressions.length);
    }
  }
  for (const [i, { role, size }] of buffers.entries()) {
    if (role === "output" && size > 0) expect(written).toContain(i);
  }
}

describe("every plan", () => {
  it("reads no more than may be bound, and only what was written", async () => {
    await fc.assert(
      fc.asyncProperty(programs(24), async (program) => {
        const plan = await planOf(...(await build(program, { dtype: "float32" })));
        for (const inputs of [3, 4, 7]) {
          for (const products of [false, true])
            check(rewrite(plan, { inputs, products }), { inputs, products });
        }
      }),
      { numRuns: 60 },
    );
  });

  it("so do sorted scatters and split products of many tensors", async () => {
    const many = (count: number, shape: readonly number[]): Tensor =>
      Array.from({ length: count }, () => values(shape)).reduce((a, b) => a.mul(0.9).add(b));
    const at = Array.from({ length: 9 }, () => stored([2048])).reduce((a, b) => a.add(b));
    const scatter = pg.scatterAdd(pg.zeros([256, 128]), at, many(12, [2048, 128]));
    const product = many(1, [2048, 128])
      .transpose()
      .matmul(values([2048, 128]))
      .add(many(12, [128, 128]));
    for (const limits of [WEBGPU, WEBGL2]) {
      const plan = await rewritten(limits, scatter, product);
      expect(kindsOf(plan)).toContain("starts");
      check(plan, limits);
    }
  });
});
