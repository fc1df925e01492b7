/**
 * The linear memory: requests that it cannot hold, what it does with room that became free, and
 * platforms that grant less of it.
 */

import { afterEach, describe, expect, it, vi } from "vitest";
import { OutOfMemoryError } from "../../../src/devices/device.js";
import { Heap } from "../../../src/devices/wasm/heap.js";
import { concat, deviceStatistics, ones, realize, setDevice } from "../../../src/index.js";

const MEGABYTE = 2 ** 20;

async function heapInUse(): Promise<Heap> {
  await setDevice("wasm");
  const { buffer } = await realize(ones([1]));
  return (buffer!.home as unknown as { heap: Heap }).heap;
}

/** Bytes of the linear memory. */
async function linearBytes(): Promise<number> {
  return (await heapInUse()).memory.buffer.byteLength;
}

describe("more than 4 GiB", () => {
  it("for a result is an error that names it, and the memory does not grow", async () => {
    const before = await linearBytes();
    await expect(realize(ones([50_000, 40_000]))).rejects.toThrow(
      /out of memory: a float32 tensor of shape \[50000,40000\] \(.+\) needs 8\.00 GB; .* can have 4\.29 GB/,
    );
    expect(await linearBytes()).toBe(before);
  });

  it("for what an evaluation needs in between is an error that names the largest", async () => {
    const before = await linearBytes();
    const x = ones([40_000, 2]);
    await expect(realize(x.matmul(x.transpose()).softmax().matmul(x))).rejects.toThrow(
      /out of memory: .* the largest of them a float32 tensor of shape \[1,40000,40000\] .* needs [\d.]+ GB/,
    );
    expect(await linearBytes()).toBe(before);
  });

  it("leaves the device usable", async () => {
    expect(await ones([10]).sum().item()).toBe(10);
  });
});

describe("room that became free", () => {
  it("is used again: a second large tensor does not make the memory grow", async () => {
    const make = () => realize(ones([64 * MEGABYTE]));
    const first = await make();
    const grown = await linearBytes();
    first.dispose();
    const second = await make();
    expect(await linearBytes()).toBe(grown);
    second.dispose();
    // Two of half the size fit, and one of the whole size again.
    const halves = [await realize(ones([32 * MEGABYTE])), await realize(ones([32 * MEGABYTE]))];
    expect(await linearBytes()).toBe(grown);
    for (const half of halves) half.dispose();
    (await make()).dispose();
    expect(await linearBytes()).toBe(grown);
  });

  it("by temporaries is used again by tensors and other temporaries", async () => {
    const x = ones([2048, 1]);
    const large = () => realize(x.matmul(x.transpose()).softmax().matmul(x));
    await large();
    const grown = await linearBytes();
    const { scratchBytes } = await deviceStatistics();
    for (let i = 0; i < 3; i++) (await large()).dispose();
    await realize(concat([x, x]).matmul(x.transpose()).sum(0));
    expect(await linearBytes()).toBe(grown);
    expect((await deviceStatistics()).scratchBytes).toBeLessThanOrEqual(2 * scratchBytes);
  });
});

describe("room that is kept", () => {
  it("at the end of the memory is the beginning of a larger block", () => {
    const heap = new Heap(true);
    for (const gigabytes of [1, 2, 3]) {
      const bytes = gigabytes * 2 ** 30;
      heap.release(heap.allocate(bytes, "a tensor"), bytes);
      expect(heap.memory.buffer.byteLength).toBeLessThan(bytes + MEGABYTE);
    }
  });

  it("for temporaries is given back where there is no other", async () => {
    const x = ones([512, 1]);
    const sum = () => x.matmul(x.transpose()).softmax().matmul(x).sum().item();
    await sum();
    expect((await deviceStatistics()).scratchBytes).toBeGreaterThanOrEqual(MEGABYTE);
    vi.spyOn(await heapInUse(), "allocate").mockImplementationOnce(() => {
      throw new OutOfMemoryError("out of memory");
    });
    await realize(ones([1000]));
    expect((await deviceStatistics()).scratchBytes).toBe(0);
    expect(await sum()).toBe(512);
  });
});

describe("a platform", () => {
  const { Memory } = WebAssembly;

  afterEach(() => {
    WebAssembly.Memory = Memory;
  });

  /** Has the platform refuse some memories. */
  function refuse(when: (descriptor: WebAssembly.MemoryDescriptor) => boolean): void {
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        if (when(descriptor)) throw new RangeError("could not allocate memory");
        super(descriptor);
      }
    };
  }

  it("that refuses shared memories of 4 GiB gives a smaller one", () => {
    refuse(({ shared, maximum }) => shared === true && maximum! > 16384);
    const heap = new Heap(true);
    expect(heap.shared).toBe(true);
    expect(() => heap.allocate(2 ** 30 + 1, "a tensor")).toThrow(
      "out of memory: a tensor needs 1.07 GB; the wasm device holds 4.2 MB and can have 1.07 GB",
    );
  });

  it("that refuses every shared memory gives one that is not shared", () => {
    refuse(({ shared }) => shared === true);
    const heap = new Heap(true);
    expect(heap.shared).toBe(false);
    expect(heap.allocate(1000, "a tensor")).toBeGreaterThan(0);
  });
});
