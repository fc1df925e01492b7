/**
 * Products whose long sums are split into batches, on WebGPU, against sums in float64.
 */

import { beforeEach, expect, it, vi } from "vitest";
import * as rewriting from "../../src/devices/gpu/rewrite.js";
import * as pg from "../../src/index.js";
import { type Tensor, tensor } from "../../src/index.js";
import { expectWebGpu } from "./platform.js";

await expectWebGpu();

vi.mock("../../src/devices/gpu/rewrite.js", { spy: true });

beforeEach(async () => {
  await pg.setDevice("gpu", { backend: "webgpu" });
  vi.clearAllMocks();
});

/** Whether the last plan has a product in so many pieces. */
function pieces(): number | undefined {
  const plan = vi.mocked(rewriting.rewrite).mock.results.at(-1)!.value;
  for (const { kernel } of (plan as ReturnType<typeof rewriting.rewrite>).steps) {
    if (kernel.kind === "matmul") return kernel.batch[0];
  }
  return undefined;
}

const values = (size: number, seed: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + seed * (1 + (i % 13))));

/** `Σₖ a[k, i] b[k, j]`, at some i and j. */
function sums(a: Float32Array, b: Float32Array, [m, k, n]: readonly number[]): number[] {
  const found: number[] = [];
  for (let i = 0; i < m!; i += 17) {
    for (let j = 0; j < n!; j += 13) {
      let sum = 0;
      for (let t = 0; t < k!; t++) sum += a[t * m! + i]! * b[t * n! + j]!;
      found.push(sum);
    }
  }
  return found;
}

const picked = (c: ArrayLike<number>, [m, , n]: readonly number[]): number[] => {
  const found: number[] = [];
  for (let i = 0; i < m!; i += 17) for (let j = 0; j < n!; j += 13) found.push(c[i * n! + j]!);
  return found;
};

function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length);
  const worst = Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)));
  // Terms are at most 1, sums of a random walk: √k ulps of their size.
  expect(worst).toBeLessThan(1e-4);
}

for (const shape of [
  [128, 2048, 128],
  [130, 1536, 70],
  [256, 1100, 65],
] as const) {
  it(`[${shape}]: weight gradients are exact to float32`, async () => {
    const [m, k, n] = shape;
    const [a, b] = [values(k * m, 1), values(k * n, 2)];
    const product = (): Tensor =>
      pg.matmul(tensor(a, { shape: [k, m] }).transpose(), tensor(b, { shape: [k, n] }));
    const expected = sums(a, b, shape);
    expectClose(picked(await product().data(), shape), expected);
    expect(pieces()).toBeGreaterThan(1);
    // With an epilogue that reads along rows and columns.
    const row = values(n, 3);
    const after = product()
      .mul(0.5)
      .add(tensor(row))
      .add(tensor(values(m, 4), { shape: [m, 1] }));
    const column = values(m, 4);
    let at = 0;
    const epilogue: number[] = [];
    for (let i = 0; i < m; i += 17)
      for (let j = 0; j < n; j += 13) epilogue.push(0.5 * expected[at++]! + row[j]! + column[i]!);
    expectClose(picked(await after.data(), shape), epilogue);
  });
}

it("batches of products, and sums over several axes", async () => {
  const [batch, m, n] = [3, 72, 80];
  const make = (): Tensor => {
    const a = tensor(values(batch * 8 * 200 * m, 5), { shape: [batch, 8, 200, m] });
    const b = tensor(values(batch * 8 * 200 * n, 6), { shape: [batch, 200, 8, n] });
    const left = a.transpose([0, 3, 1, 2]).reshape([batch, m, 1600]);
    const right = b.transpose([0, 2, 1, 3]).reshape([batch, 1600, n]);
    return pg.matmul(left, right).mul(2);
  };
  const found = await make().data();
  expect(pieces()).toBeGreaterThan(1);
  await pg.setDevice("interpreter");
  expectClose([...found], [...(await make().data())]);
});

it("in the gradient of a layer", async () => {
  const make = (): Tensor => {
    const w = tensor(values(128 * 96, 1), { shape: [128, 96] });
    const x = tensor(values(4 * 512 * 128, 2), { shape: [4, 512, 128] });
    return pg.gradients(pg.matmul(x, w).mul(0.1).tanh().sum(), [w])[0]!.mul(0.01);
  };
  const found = await make().data();
  await pg.setDevice("interpreter");
  expectClose([...found], [...(await make().data())]);
});
