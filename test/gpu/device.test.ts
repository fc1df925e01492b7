/**
 * The GPU device on WebGPU: what it refuses, what happens when something fails, what it keeps.
 */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as pg from "../../src/index.js";
import { type Tensor, tensor } from "../../src/index.js";
import { expectWebGpu, gpuDevice, newDevice } from "./platform.js";

await expectWebGpu();

beforeEach(async () => {
  await pg.setDevice("gpu", { backend: "webgpu" });
});
afterEach(() => {
  vi.restoreAllMocks();
});

it("runs on WebGPU", async () => {
  const { device, backend } = await pg.deviceStatistics();
  expect([device, backend]).toEqual(["gpu", "webgpu"]);
  expect(pg.currentDevice()).toBe("gpu");
});

describe("what it refuses", () => {
  it("float64, given or computed, with the way out", async () => {
    const message = /float64.*cast it to float32, or use setDevice\("wasm"\)/;
    await expect(tensor([1, 2], { dtype: "float64" }).add(1).data()).rejects.toThrow(message);
    await expect(tensor([1, 2]).cast("float64").add(1).data()).rejects.toThrow(message);
    expect(await tensor([1, 2]).add(1).array()).toEqual([2, 3]);
  });

  it("integers that float32 does not hold", async () => {
    const message = /(holds|takes) 16777217.*exact up to 2\^24/;
    const large = tensor([0, 2 ** 24 + 1], { dtype: "int32" });
    await expect(large.add(0).data()).rejects.toThrow(message);
    await expect(pg.full([2], 2 ** 24 + 1, { dtype: "int32" }).data()).rejects.toThrow(message);
    const zero = tensor([0], { dtype: "int32" });
    await expect(zero.add(2 ** 24 + 1).data()).rejects.toThrow(message);
    expect(
      await tensor([2 ** 24, -(2 ** 24)], { dtype: "int32" })
        .mul(-1)
        .array(),
    ).toEqual([-(2 ** 24), 2 ** 24]);
  });

  it("tensors larger than a buffer, by name, and stays usable", async () => {
    const { limits } = await gpuDevice();
    const most = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
    const before = await pg.realize(tensor([1, 2, 3]).mul(2));
    await expect(
      pg.realize(
        before
          .sum()
          .broadcastTo([most / 4 + 1])
          .exp(),
      ),
    ).rejects.toThrow(new RegExp(`\\[${most / 4 + 1}\\].*takes ${most + 4} bytes.*${most}`));
    expect(await before.array()).toEqual([2, 4, 6]);
  });

  it("an unknown back end", async () => {
    await expect(pg.setDevice("gpu", { backend: "metal" as never })).rejects.toThrow(
      /backend must be "webgpu" or "webgl2", got "metal"/,
    );
    await expect(pg.setDevice("gpu", { threads: 2 })).rejects.toThrow(
      /setDevice: gpu: has no option `threads`/,
    );
  });

  it("WebGL2 where there is none", async () => {
    await expect(pg.setDevice("gpu", { backend: "webgl2" })).rejects.toThrow(
      /no GPU can be used here\. WebGL2: .*setDevice\("wasm"\)/,
    );
    expect((await pg.deviceStatistics()).backend).toBe("webgpu");
  });
});

describe("more elements than float32 has integers", () => {
  const shape = [3, 17, 5, 70_001];
  const size = shape.reduce((a, b) => a * b, 1);

  it("are addressed exactly", async () => {
    expect(size).toBeGreaterThan(2 ** 24);
    const values = Float32Array.from({ length: size }, (_, i) => (i * 7919) % 1_000_003);
    const order = [2, 0, 3, 1];
    const found = await tensor(values, { shape }).transpose(order).add(1).data();
    const [a, b, c, d] = shape as [number, number, number, number];
    let at = 0;
    let wrong = 0;
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < a; i++) {
        for (let l = 0; l < d; l++) {
          for (let j = 0; j < b; j++) {
            if (found[at++] !== values[((i * b + j) * c + k) * d + l]! + 1) wrong++;
          }
        }
      }
    }
    expect(wrong).toBe(0);
  });
});

describe("long sums and scatters", () => {
  it("are shared among threads and stay accurate", async () => {
    const n = 3_000_000;
    expect((await pg.full([n], 0.1).sum().item()) / (0.1 * n)).toBeCloseTo(1, 5);
    const values = Float32Array.from({ length: n }, (_, i) => Math.sin(i));
    values[1_234_567] = 2;
    expect(await tensor(values).max().item()).toBe(2);
    expect(await tensor(values).neg().min().item()).toBe(-2);
  });

  it("into few elements", async () => {
    const n = 40_000;
    const indices = Int32Array.from({ length: n }, (_, i) => (i * i) % 7);
    const expected = new Array<number>(7).fill(0);
    for (const i of indices) expected[i]! += 0.5;
    const sums = pg.scatterAdd(pg.zeros([7]), tensor(indices), pg.full([n], 0.5));
    expect(await sums.array()).toEqual(expected);
  });
});

describe("faults", () => {
  it("a kernel that does not compile rejects, names its operations and spoils nothing", async () => {
    const before = await pg.realize(tensor([1, 2, 3]).mul(2));
    const device = await gpuDevice();
    vi.spyOn(device, "createShaderModule").mockReturnValueOnce({
      getCompilationInfo: async () => ({
        messages: [{ type: "error", message: "no such thing", lineNum: 1, linePos: 2 }],
      }),
    } as never);
    const broken = (): Tensor => before.mul(3).add(17).sqrt().mul(5);
    await expect(broken().data()).rejects.toThrow(
      /kernel of mul, add, sqrt, mul could not be compiled for this GPU: .*no such thing/s,
    );
    expect(await before.array()).toEqual([2, 4, 6]);
    expect((await broken().data())[0]).toBeCloseTo(5 * Math.sqrt(23), 5);
  });

  it("no memory left rejects after another try, and spoils nothing", async () => {
    const before = await pg.realize(tensor([1, 2, 3]).mul(2));
    const device = await gpuDevice();
    // Kernels are compiled with an error scope of their own.
    const large = (): Tensor => before.sum().broadcastTo([12_345]).add(1);
    (await pg.realize(large())).dispose();
    const filler = await pg.realize(large());
    const scope = vi
      .spyOn(device, "popErrorScope")
      .mockResolvedValueOnce({ message: "full" } as never)
      .mockResolvedValueOnce({ message: "full" } as never);
    await expect(large().data()).rejects.toThrow(/no memory left for .*12345.*dispose\(\)/);
    expect(scope).toHaveBeenCalledTimes(2);
    // Once more, but now the second try succeeds.
    scope.mockResolvedValueOnce({ message: "full" } as never);
    expect((await large().data())[1]).toBe(13);
    expect((await filler.data())[1]).toBe(13);
    expect(await before.array()).toEqual([2, 4, 6]);
  });

  it("no memory left to upload or to read rejects after another try, too", async () => {
    const device = await gpuDevice();
    // Of sizes no other buffer has.
    const large = (extra: number): Tensor => tensor(new Float32Array(76_543 + extra));
    const full = { message: "full" } as never;
    const scope = vi
      .spyOn(device, "popErrorScope")
      .mockResolvedValueOnce(full)
      .mockResolvedValueOnce(full);
    await expect(pg.realize(large(0))).rejects.toThrow(/no memory left for .*76543.*dispose\(\)/);
    expect(scope).toHaveBeenCalledTimes(2);
    scope.mockResolvedValueOnce(full);
    const x = await pg.realize(large(1));
    // For the buffer that is read through and for the copy into it, twice.
    for (let i = 0; i < 4; i++) scope.mockResolvedValueOnce(full);
    await expect(x.data()).rejects.toThrow(/no memory left to read 306176 bytes.*dispose\(\)/);
    scope.mockResolvedValueOnce(full).mockResolvedValueOnce(full);
    expect(await x.data()).toHaveLength(76_544);
  });

  it("a lost device rejects what waits and what follows; a new one works", async () => {
    const before = await pg.realize(tensor([1, 2, 3]).mul(2));
    (await gpuDevice()).destroy();
    const message = /device was lost.*setDevice\("gpu"\) makes a new one/;
    await expect(before.data()).rejects.toThrow(message);
    await expect(before.add(1).data()).rejects.toThrow(message);
    await expect(tensor([1]).add(1).data()).rejects.toThrow(message);
    await pg.setDevice("wasm");
    expect(await tensor([1]).add(1).array()).toEqual([2]);
    await expect(before.data()).rejects.toThrow(message);
    await pg.setDevice("gpu", { backend: "webgpu" });
    expect(await tensor([1]).add(1).array()).toEqual([2]);
    await expect(before.data()).rejects.toThrow(message);
  });

  it("a command the GPU does not take rejects its evaluation, and those that build on it", async () => {
    const before = await pg.realize(tensor([1, 2, 3]).mul(2));
    const device = await gpuDevice();
    // A bind group that lacks everything makes the submission invalid.
    vi.spyOn(device, "createBindGroup").mockImplementationOnce((descriptor) =>
      Object.getPrototypeOf(device).createBindGroup.call(device, { ...descriptor, entries: [] }),
    );
    const broken = before.add(1).mul(7);
    const issued = [pg.realize(broken), pg.realize(broken.sqrt())];
    for (const outcome of await Promise.allSettled(issued)) {
      expect(String((outcome as PromiseRejectedResult).reason)).toMatch(
        /a command failed on the GPU .*setDevice\("gpu"\) makes a new device/s,
      );
    }
    await expect(broken.data()).rejects.toThrow(/a command failed on the GPU/);
    await pg.setDevice("gpu", { backend: "webgpu" });
    expect(await tensor([1]).add(1).array()).toEqual([2]);
  });
});

describe("what is disposed of", () => {
  it("while it is needed rejects, and costs no other tensor", async () => {
    const other = await pg.realize(tensor([1, 2]).mul(2));
    const size = 2e6;
    for (let turns = 0; turns < 12; turns++) {
      const x = await pg.realize(other.sum().broadcastTo([size]).add(turns));
      const work = pg.realize(x.mul(2).sum()).then(
        () => "done",
        (error: Error) => error.message,
      );
      for (let i = 0; i < turns; i++) await null;
      x.dispose();
      expect(await work).toMatch(/^done$|used after dispose\(\)/);
    }
    expect(await other.array()).toEqual([2, 4]);
  });

  it("is given back to the GPU when it runs out of memory", async () => {
    const x = await pg.realize(tensor([1, 2]).mul(2));
    (await pg.realize(x.sum().broadcastTo([1e6]).add(1))).dispose();
    const device = await gpuDevice();
    const kept = await pg.realize(x.add(1));
    // Compiled before, and its block in use: the next one takes a new block.
    const large = (): Tensor => x.sum().broadcastTo([2e6]).add(1);
    const first = await pg.realize(large());
    const created = vi.spyOn(device, "createBuffer");
    const full = { message: "full" } as never;
    vi.spyOn(device, "popErrorScope").mockResolvedValueOnce(full);
    const again = await pg.realize(large());
    expect(await again.max().item()).toBe(7);
    // What was kept for later is gone: a buffer of a size that was free is made anew.
    created.mockClear();
    await pg.realize(x.sum().broadcastTo([1e6]).add(1));
    expect(created).toHaveBeenCalled();
    expect(await kept.array()).toEqual([3, 5]);
    expect(await first.max().item()).toBe(7);
  });
});

describe("memory and order", () => {
  /** One step of gradient descent on (x − 3)². */
  const step = (x: Tensor, rate: Tensor): Tensor =>
    x.sub(pg.gradients(x.sub(3).square().sum(), [x])[0]!.mul(rate));

  it("steps need not be awaited one by one", async () => {
    let x = pg.zeros([4]);
    const rate = tensor(0.1);
    const done: Promise<unknown>[] = [];
    for (let i = 0; i < 200; i++) {
      x = step(x, rate);
      if (i % 5 === 4) done.push(pg.realize(x));
    }
    expect((await x.data())[0]).toBeCloseTo(3 * (1 - 0.8 ** 200), 5);
    await Promise.all(done);
  });

  it("3,000 steps hold flat memory, their tensors left to garbage collection", async () => {
    let x = await pg.realize(pg.zeros([50_000]));
    const rate = await pg.realize(tensor(0.01));
    const held: number[] = [];
    for (let i = 0; i < 3000; i++) {
      x = await pg.realize(step(x, rate));
      if (i % 150 === 149) {
        const { bytes, scratchBytes } = await pg.deviceStatistics();
        held.push(bytes + scratchBytes);
      }
    }
    expect((await x.data())[0]).toBeCloseTo(3, 4);
    const late = held.slice(held.length / 2);
    const early = held.slice(0, held.length / 2);
    expect(Math.max(...late)).toBeLessThanOrEqual(1.25 * Math.max(...early));
    expect(Math.max(...held)).toBeLessThan(400e6);
  });

  it.each([[[300, 20, 300, 1, 40]], [[300]]])(
    "a loop that leaves tensors of sizes %j to garbage collection comes back to its bind groups",
    async (sizes) => {
      let tree = await pg.realize(sizes.map((size) => pg.zeros([size])));
      const rate = await pg.realize(tensor(0.01));
      const run = async (steps: number): Promise<void> => {
        for (let i = 0; i < steps; i++) tree = await pg.realize(tree.map((x) => step(x, rate)));
      };
      await run(2500);
      const bound = vi.spyOn(await gpuDevice(), "createBindGroup");
      await run(500);
      // When garbage is collected decides how often. Without coming back it would be all of them.
      expect(bound.mock.calls.length).toBeLessThan(0.3 * 500 * sizes.length);
    },
  );

  it("disposed tensors are freed at once, and their buffers serve the next step", async () => {
    let x = await pg.realize(pg.zeros([10_000]));
    const rate = await pg.realize(tensor(0.01));
    const device = await gpuDevice();
    const run = async (): Promise<void> => {
      const next = await pg.realize(step(x, rate));
      x.dispose();
      x = next;
    };
    for (let i = 0; i < 10; i++) await run();
    const before = await pg.deviceStatistics();
    const created = vi.spyOn(device, "createBuffer");
    const bound = vi.spyOn(device, "createBindGroup");
    for (let i = 0; i < 300; i++) await run();
    expect(created).not.toHaveBeenCalled();
    expect(bound).not.toHaveBeenCalled();
    const { bytes, buffers, plansCompiled } = await pg.deviceStatistics();
    // Less where garbage of other tests was collected meanwhile.
    expect(bytes).toBeLessThanOrEqual(before.bytes);
    expect(buffers).toBeLessThanOrEqual(before.buffers);
    expect(plansCompiled).toBe(before.plansCompiled);
  });

  it("steps of AdamW are a submission each, in which nothing is uploaded and nothing read", async () => {
    const { init, update } = pg.adamw({ learningRate: 0.1 });
    const x = await pg.realize(pg.randomNormal([16, 8], { seed: 1 }));
    const gradient = pg.grad(({ w, b }: { w: Tensor; b: Tensor }) =>
      pg.matmul(x, w).add(b).tanh().square().mean(),
    );
    let parameters = { w: pg.ones([8, 4]), b: pg.ones([4]) };
    let state = init(parameters);
    const run = async (steps: number): Promise<void> => {
      for (let i = 0; i < steps; i++) {
        [parameters, state] = update(gradient(parameters), state, parameters);
        await pg.realize(parameters, state.firstMoment, state.secondMoment);
      }
    };
    await run(2);
    const submitted = vi.spyOn(GPUQueue.prototype, "submit");
    const written = vi.spyOn(GPUQueue.prototype, "writeBuffer");
    const read = vi.spyOn(GPUBuffer.prototype, "mapAsync");
    await run(10);
    expect(submitted).toHaveBeenCalledTimes(10);
    // The constants that depend on the step.
    expect(written).toHaveBeenCalledTimes(10);
    expect(read).not.toHaveBeenCalled();
    expect((await parameters.w.data())[0]).toBeLessThan(1);
    expect(read).toHaveBeenCalledOnce();
  });

  it("what elements are read through is counted, and stays little", async () => {
    const device = await newDevice();
    const made = vi.spyOn(device, "createBuffer");
    const destroyed = vi.spyOn(GPUBuffer.prototype, "destroy");
    const tensors = Array.from({ length: 300 }, (_, i) =>
      tensor(new Float32Array(50 * (i + 1)).fill(i)),
    );
    await pg.realize(tensors);
    made.mockClear();
    const last = async (t: Tensor): Promise<number> => (await t.data()).at(-1)!;
    for (const [i, t] of tensors.entries()) expect(await last(t)).toBe(i);
    expect(made.mock.calls.length).toBeLessThan(20);
    expect((await pg.deviceStatistics()).scratchBytes).toBeLessThan(2 ** 17);
    const together = tensors.slice(-100);
    expect(await Promise.all(together.map(last))).toEqual(together.map((_, i) => 200 + i));
    const { scratchBytes } = await pg.deviceStatistics();
    expect(scratchBytes).toBeLessThan(2 ** 21);
    const bytes = (buffers: readonly unknown[]): number =>
      (buffers as GPUBuffer[]).reduce((sum, { size }) => sum + size, 0);
    const left =
      bytes(made.mock.results.map(({ value }) => value)) - bytes(destroyed.mock.contexts);
    expect(scratchBytes).toBe(left);
  });

  it("constants that change are no new plan", async () => {
    const x = await pg.realize(tensor([1, 2, 3]));
    await pg.realize(x.mul(2));
    const { plansCompiled } = await pg.deviceStatistics();
    const found: number[] = [];
    for (let i = 0; i < 5; i++) found.push((await x.mul(i + 0.5).data())[1]!);
    expect(found).toEqual([1, 3, 5, 7, 9]);
    expect((await pg.deviceStatistics()).plansCompiled).toBe(plansCompiled);
  });

  it("tensors move between devices", async () => {
    await pg.setDevice("wasm");
    const x = await pg.realize(tensor([1, 2, 3]).mul(2));
    await pg.setDevice("gpu", { backend: "webgpu" });
    const y = await pg.realize(x.add(1));
    await pg.setDevice("wasm");
    expect(await y.add(x).array()).toEqual([5, 9, 13]);
  });

  it("empty tensors", async () => {
    const empty = pg.zeros([0, 3]);
    expect(await empty.add(1).array()).toEqual([]);
    expect(await empty.sum(0).array()).toEqual([0, 0, 0]);
    expect(await pg.matmul(pg.zeros([2, 0]), empty).array()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });
});
