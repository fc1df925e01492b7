/**
 * When garbage is collected: by what memory grew to since the last time, and by how long it took.
 */

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MemoryPressure } from "../../src/compiler/memoryPressure.js";

const MEGABYTE = 1e6;
let now = 0;
let collections = 0;
/** Milliseconds that a collection takes. */
let duration = 0;
let memory = { bytes: 0, buffers: 0, scratchBytes: 0 };
/** What a collection leaves. */
let live = 0;
let pressure: MemoryPressure;

function pressureOf(device: { mostBuffers?: number; spareBytes?: number }): MemoryPressure {
  return new MemoryPressure({ memory: () => memory, ...device }, () => {
    collections++;
    now += duration;
    hold(live);
  });
}

const hold = (megabytes: number, buffers = 1): void => {
  memory = { bytes: megabytes * MEGABYTE, buffers, scratchBytes: 0 };
};

beforeEach(() => {
  [now, collections, duration, live] = [0, 0, 0, 0];
  hold(0);
  vi.spyOn(performance, "now").mockImplementation(() => now);
  pressure = pressureOf({ mostBuffers: 1000 });
});

afterEach(() => vi.restoreAllMocks());

/** Megabytes that a loop takes, one after the other, until a collection. */
async function grown(): Promise<number> {
  const [before, start] = [collections, memory.bytes / MEGABYTE];
  for (let taken = 1; ; taken++) {
    hold(start + taken);
    await pressure.relieve();
    if (collections > before) return taken;
  }
}

it("when as much was taken as was left, but not before some tens of megabytes", async () => {
  live = 100;
  expect(await grown()).toBe(49);
  expect(await grown()).toBe(101);
});

it("not where what was taken is given back", async () => {
  for (let i = 0; i < 1000; i++) {
    hold(i % 2 === 0 ? 40 : 0);
    await pressure.relieve();
  }
  expect(collections).toBe(0);
});

it("by what was left at least: what is given back by hand counts", async () => {
  live = 200;
  await grown();
  hold(10);
  await pressure.relieve();
  live = 10;
  expect(await grown()).toBe(49);
});

it("after so many buffers as the device says", async () => {
  hold(1, 1000);
  await pressure.relieve();
  expect(collections).toBe(0);
  hold(1, 1001);
  await pressure.relieve();
  expect(collections).toBe(1);
});

it("more rarely where it takes long, while the device has bytes to spare", async () => {
  pressure = pressureOf({ spareBytes: 192 * MEGABYTE });
  const found: number[] = [];
  for (duration of [3, 5, 10, 20, 1, 1]) found.push(await grown());
  // 16 MB for each millisecond that the last one took.
  expect(found).toEqual([49, 49, 81, 161, 193, 49]);
  pressure = pressureOf({});
  expect([await grown(), await grown()]).toEqual([49, 49]);
});
