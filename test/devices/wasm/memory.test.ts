/**
 * Nobody frees memory by hand, and yet it does not grow.
 */

import { beforeAll, describe, expect, it, vi } from "vitest";
import {
  type DeviceStatistics,
  deviceStatistics,
  ones,
  randomNormal,
  realize,
  setDevice,
  type Tensor,
  tensor,
  treeMap,
  valueAndGrad,
  zerosLike,
} from "../../../src/index.js";

beforeAll(() => setDevice("wasm"));

const MEGABYTE = 2 ** 20;

/** Lets finalizers run after a collection. */
async function collect(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    (globalThis as { gc?: () => void }).gc?.();
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
}

async function held(): Promise<DeviceStatistics> {
  await collect();
  return deviceStatistics();
}

describe("memory", () => {
  it("a training loop of 10,000 steps holds no more at its end than at its start", async () => {
    const inputs = randomNormal([8, 4], { seed: 1 });
    const targets = randomNormal([8, 1], { seed: 2 });
    let parameters = {
      w: randomNormal([4, 2048], { seed: 3, std: 0.05 }),
      v: randomNormal([2048, 1], { seed: 4, std: 0.05 }),
    };
    let momentum = treeMap(zerosLike, parameters);
    const loss = (p: typeof parameters): Tensor =>
      inputs.matmul(p.w).tanh().matmul(p.v).sub(targets).square().mean();
    const step = async (): Promise<Tensor> => {
      const [value, gradient] = valueAndGrad(loss)(parameters);
      momentum = treeMap((m, g) => m.mul(0.9).add(g), momentum, gradient);
      parameters = treeMap((p, m) => p.sub(m.mul(0.001)), parameters, momentum);
      await realize(parameters, momentum, value);
      return value;
    };
    for (let i = 0; i < 100; i++) await step();
    const start = await held();
    let most = 0;
    let last = Number.NaN;
    for (let i = 0; i < 10_000; i++) {
      const value = await step();
      if (i % 500 === 499) {
        last = await value.item();
        most = Math.max(most, (await deviceStatistics()).bytes);
      }
    }
    const end = await held();
    expect(last).toBeLessThan(1);
    expect(end.bytes).toBeLessThanOrEqual(start.bytes + 4096);
    expect(end.buffers).toBeLessThanOrEqual(start.buffers + 8);
    expect(end.scratchBytes).toBe(start.scratchBytes);
    expect(end.plansCompiled).toBe(start.plansCompiled);
    // The loop makes more than 800 MB; what is garbage already may wait for a collection.
    expect(most).toBeLessThan(start.bytes + 208 * MEGABYTE);
  });

  it("a loop over large tensors collects by itself what nobody holds", async () => {
    const { bytes: before } = await held();
    let x = await realize(tensor(new Float32Array(MEGABYTE)));
    let most = 0;
    // 2 GB in all, in a loop that never leaves the current task on its own.
    for (let i = 0; i < 500; i++) {
      x = await realize(x.add(1));
      most = Math.max(most, (await deviceStatistics()).bytes - before);
    }
    expect((await x.data())[0]).toBe(500);
    expect(most).toBeLessThan(300 * MEGABYTE);
  });

  it("and does so while a test has timers of its own", async () => {
    vi.useFakeTimers();
    try {
      for (let i = 0; i < 100; i++) await realize(ones([MEGABYTE]));
    } finally {
      vi.useRealTimers();
    }
    expect((await deviceStatistics()).bytes).toBeLessThan(240 * MEGABYTE);
  });

  it("tensors held by nobody give their buffers back", async () => {
    const before = await held();
    await (async () => {
      const many = Array.from({ length: 60 }, (_, i) => tensor(new Float32Array(500_000)).add(i));
      await realize(many);
      expect((await deviceStatistics()).bytes - before.bytes).toBeGreaterThan(100e6);
    })();
    const after = await held();
    expect(after.bytes).toBeLessThanOrEqual(before.bytes + 4096);
    expect(after.buffers).toBeLessThanOrEqual(before.buffers + 2);
  });

  it("inputs of an evaluation are not held by its plan", async () => {
    const before = await held();
    await (async () => {
      await tensor(new Float32Array(1_000_000)).exp().sum().item();
    })();
    expect((await held()).bytes).toBeLessThanOrEqual(before.bytes + 4096);
  });

  it("dispose gives it back at once", async () => {
    const x = await realize(tensor(new Float32Array(MEGABYTE)).add(1));
    const { bytes, buffers } = await deviceStatistics();
    x.dispose();
    const after = await deviceStatistics();
    expect(bytes - after.bytes).toBe(4 * MEGABYTE);
    expect(buffers - after.buffers).toBe(1);
    await expect(x.data()).rejects.toThrow("was used after dispose() gave its memory back");
  });

  it("what was given back is used again", async () => {
    const make = (): Promise<Tensor> => realize(tensor(new Float32Array(MEGABYTE)).add(1));
    for (let i = 0; i < 300; i++) {
      const x = await make();
      x.dispose();
    }
    expect((await deviceStatistics()).bytes).toBeLessThan(200 * MEGABYTE);
  });

  it("scratch memory is shared between plans", async () => {
    const x = await realize(randomNormal([512, 512], { seed: 1 }));
    const chain = (n: number): Tensor =>
      Array.from({ length: n }).reduce<Tensor>((y) => y.matmul(x).mul(0.01), x);
    await chain(6).data();
    const { scratchBytes } = await deviceStatistics();
    for (const n of [2, 3, 4, 5]) await chain(n).data();
    expect((await deviceStatistics()).scratchBytes).toBe(scratchBytes);
    expect(scratchBytes).toBeLessThan(4 * 512 * 512 * 4);
  });
});
