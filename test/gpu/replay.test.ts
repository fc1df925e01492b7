/**
 * Bind groups in a loop that leaves its tensors to garbage collection. In a process of its own: when
 * garbage is looked for depends on all that is held.
 */

import { expect, it, vi } from "vitest";
import { loadGpuJs } from "../../src/devices/gpu/gpujs.js";
import * as pg from "../../src/index.js";
import { type Tensor, tensor } from "../../src/index.js";

/** One step of gradient descent on (x − 3)². */
const step = (x: Tensor, rate: Tensor): Tensor =>
  x.sub(pg.gradients(x.sub(3).square().sum(), [x])[0]!.mul(rate));

it("a loop that leaves its tensors to garbage collection comes back to its bind groups", async () => {
  await pg.setDevice("gpu", { backend: "webgpu" });
  const sizes = [300, 20, 300, 1, 40];
  let tree = await pg.realize(sizes.map((size) => pg.zeros([size])));
  const rate = await pg.realize(tensor(0.01));
  const run = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) tree = await pg.realize(tree.map((x) => step(x, rate)));
  };
  await run(1000);
  const { device } = await (await loadGpuJs()).WebGPUContext.acquire();
  const bound = vi.spyOn(device, "createBindGroup");
  await run(500);
  // When garbage is collected decides how often. Without coming back it would be nearly all of them.
  expect(bound.mock.calls.length).toBeLessThan(0.4 * 500 * sizes.length);
});
