/**
 * Threads of the wasm device: the same bits for any number, and a dead worker is an error and not a
 * wait.
 */

import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { assemble, control, FunctionBuilder } from "../../../src/devices/wasm/assembler.js";
import type { WasmDevice } from "../../../src/devices/wasm/device.js";
import { Heap, MAXIMUM_PAGES } from "../../../src/devices/wasm/heap.js";
import { type SharedCall, ThreadPool } from "../../../src/devices/wasm/threads.js";
import * as pg from "../../../src/index.js";

afterAll(() => pg.setDevice("wasm"));

/** Value and gradients of a model, with the shares that workers took. */
async function evaluate(threads: number): Promise<{ bits: string[]; helped: number }> {
  await pg.setDevice("wasm", { threads });
  const device = (await pg.realize(pg.ones([1]))).buffer?.home as WasmDevice;
  device.sharesAll = true;
  const before = device.helped;
  const model = pg.gpt({
    vocabularySize: 61,
    contextLength: 96,
    width: 64,
    layers: 2,
    heads: 4,
  });
  const ids = pg.randomUniform([8, 96], { seed: 3, high: 61, dtype: "int32" });
  const lossOf = (parameters: pg.GptParameters): pg.Tensor =>
    pg.sequenceLogProbs(model.apply(parameters, ids), ids, pg.ones([8, 96])).mean();
  const results = pg.treeLeaves(await pg.realize(pg.valueAndGrad(lossOf)(model.init(1))));
  const bits: string[] = [];
  for (const t of results) {
    bits.push(Buffer.from((await t.data()).buffer as ArrayBuffer).toString("hex"));
  }
  return { bits, helped: device.helped - before };
}

describe("threads", () => {
  it("give the same bits for any number of them", async () => {
    const alone = await evaluate(1);
    expect(alone.helped).toBe(0);
    for (const threads of [2, 3, 2]) {
      const { bits, helped } = await evaluate(threads);
      expect(helped).toBeGreaterThan(20);
      expect(bits).toEqual(alone.bits);
    }
  });

  it("are as many as the machine runs at once unless told otherwise", async () => {
    await pg.setDevice("wasm");
    const { home } = (await pg.realize(pg.ones([1]))).buffer!;
    expect(home).toMatchObject({ threads: availableParallelism() });
  });

  it("must be a positive integer", async () => {
    for (const threads of [0, -1, 1.5]) {
      await expect(pg.setDevice("wasm", { threads })).rejects.toThrow(/threads must be an integer/);
    }
    expect(pg.currentDevice()).toBe("wasm");
  });

  it("that cannot start leave the caller alone", async () => {
    const { getBuiltinModule } = process;
    const refuse = class {
      constructor() {
        throw new Error("no threads here");
      }
    };
    process.getBuiltinModule = ((name: string) =>
      name === "node:worker_threads" ? { Worker: refuse } : getBuiltinModule(name)) as never;
    try {
      const { helped } = await evaluate(4);
      expect(helped).toBe(0);
    } finally {
      process.getBuiltinModule = getBuiltinModule;
    }
    expect((await evaluate(2)).helped).toBeGreaterThan(20);
  });

  it("that end between calls leave the caller alone until they are asked for again", async () => {
    await evaluate(2);
    const device = (await pg.realize(pg.ones([1]))).buffer!.home as WasmDevice;
    const { pool } = device as unknown as { pool: { workers: Worker[] } };
    const [worker] = pool.workers;
    await worker!.terminate();
    const before = device.helped;
    expect(
      await pg
        .ones([300, 300])
        .matmul(pg.ones([300, 300]))
        .sum()
        .item(),
    ).toBe(27e6);
    expect(device.helped).toBe(before);
    expect((await evaluate(2)).helped).toBeGreaterThan(20);
  });

  it("that fail end in an error, and the caller goes on alone", () => {
    const { pool, call } = poolWith(Uint8Array.of(1, 2, 3, 4));
    expect(() => pool.share(call, () => {})).toThrow(/worker thread .* failed/);
    expect([pool.threads, pool.lost]).toEqual([1, false]);
  });

  it("that stop answering end in an error, and may still write", () => {
    const endless = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
    endless.body = control.loop(control.branch(0));
    const bytes = assemble({
      memory: { shared: true, maximumPages: MAXIMUM_PAGES },
      functions: [endless],
      exports: { kernel0: 0 },
    });
    const { pool, call } = poolWith(bytes, 300);
    expect(() => pool.share(call, () => {})).toThrow(/worker thread .* stopped answering/);
    expect([pool.threads, pool.lost]).toEqual([1, true]);
  });

  describe("are waited for", () => {
    let now = 0;

    afterEach(() => vi.restoreAllMocks());

    /** Waits until the clock was read so often, which then shows so many milliseconds more each time. */
    function wait(times: number, milliseconds: number, own = 0): void {
      const pool = new ThreadPool(new Heap(true).memory, 1);
      let reads = 0;
      vi.spyOn(performance, "now").mockImplementation(() => {
        reads++;
        now += milliseconds;
        return now;
      });
      pool.waitUntil(() => reads > times, own);
    }

    it("for half a minute", () => {
      wait(295, 100);
      expect(() => wait(305, 100)).toThrow("stopped answering");
    });

    it("ten times as long as the caller worked on its part, if that is more", () => {
      wait(395, 100, 4000);
      expect(() => wait(405, 100, 4000)).toThrow("stopped answering");
    });

    it("longer where the whole process was stopped for a while", () => {
      wait(10, 60_000);
    });
  });
});

/** Two threads, the worker told of a kernel in a module; its first share is left to the worker. */
function poolWith(bytes: Uint8Array, patience?: number): { pool: ThreadPool; call: SharedCall } {
  const { memory } = new Heap(true);
  const pool = new ThreadPool(memory, 2, patience);
  pool.waitsForHelp = true;
  const [message, code] = [1024, 2048];
  new Int32Array(memory.buffer, message, 6).set([4, 0, code, bytes.length, 0, 1]);
  new Uint8Array(memory.buffer, code, bytes.length).set(bytes);
  pool.tell(message);
  const nowhere = { buffers: 0, constants: 0, workspace: 0, workspaceBytes: 0 };
  return { pool, call: { kernel: 0, items: 8, grain: 1, least: 1, ...nowhere } };
}
