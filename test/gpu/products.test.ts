/**
 * Matrix products of every kind on WebGPU in Node.
 */

import { expect, it, vi } from "vitest";
import * as rewriting from "../../src/devices/gpu/rewrite.js";
import * as pg from "../../src/index.js";
import { type Tensor, tensor } from "../../src/index.js";
import { describeOperations } from "../conformance/describeDevice.js";
import { newDevice } from "./platform.js";
import { describeWebGpu } from "./webgpu.js";

vi.mock("../../src/devices/gpu/rewrite.js", { spy: true });

/** A new device that has products in tiles, or in loops that gpu.js compiles. */
async function setProducts(form: "tiles" | "loops"): Promise<void> {
  await newDevice();
  const { rewrite } = await vi.importActual<typeof rewriting>("../../src/devices/gpu/rewrite.js");
  vi.mocked(rewriting.rewrite).mockImplementation((plan, limits) =>
    rewrite(plan, { ...limits, products: form === "tiles" }),
  );
}

const x = (...shape: number[]): Tensor => {
  const size = shape.reduce((a, b) => a * b);
  return tensor(
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * i + size)),
    { shape },
  );
};

it("tiles give what loops give", async () => {
  const products = (): Tensor[] => [
    pg.matmul(x(65, 33), x(33, 17)),
    pg.matmul(x(70, 41).transpose(), x(9, 70).transpose()),
    pg.matmul(x(3, 1, 20, 7), x(2, 7, 35)),
    pg.matmul(x(300), x(300, 5)),
    pg.matmul(x(1100, 66).transpose(), x(1100, 130)),
    pg.matmul(x(12, 18), x(18, 40)).add(x(40)).tanh().mul(x(12, 1)),
  ];
  const values = async (): Promise<Float32Array[]> => {
    const made = products();
    await pg.realize(made);
    return Promise.all(made.map(async (t) => (await t.data()) as Float32Array));
  };
  const kinds = (): string[] =>
    vi
      .mocked(rewriting.rewrite)
      .mock.results.flatMap(({ value: { steps } }) =>
        (steps as ReturnType<typeof rewriting.rewrite>["steps"]).map(({ kernel }) => kernel.kind),
      );
  await setProducts("loops");
  const expected = await values();
  expect(kinds()).not.toContain("matmul");
  await setProducts("tiles");
  const found = await values();
  expect(kinds().filter((kind) => kind === "matmul")).toHaveLength(found.length);
  for (const [i, tiled] of found.entries()) {
    expect(tiled).toHaveLength(expected[i]!.length);
    const errors = tiled.map((value, j) => Math.abs(value - expected[i]![j]!));
    expect(Math.max(...errors), `product ${i}`).toBeLessThan(1e-4);
  }
});

describeWebGpu((device, runSuite) => describeOperations(device, runSuite, "products"));
