/**
 * Threads of the wasm device: the same bits for any number, no process kept alive, and a dead worker
 * is an error and not a wait.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { Heap } from "../../../src/devices/wasm/heap.js";
import { ThreadPool } from "../../../src/devices/wasm/threads.js";
import * as pg from "../../../src/index.js";

afterAll(() => pg.setDevice("wasm"));

/** Values and gradients of a model large enough that its kernels are shared. */
async function evaluate(threads: number): Promise<Float32Array[]> {
  await pg.setDevice("wasm", { threads });
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
  const results: Float32Array[] = [];
  // Workers start while the first evaluations run; later ones are shared.
  for (let round = 0; round < 3; round++) {
    const [value, gradient] = pg.valueAndGrad(lossOf)(model.init(1));
    results.length = 0;
    for (const t of [value, ...pg.treeLeaves(gradient)]) {
      results.push((await t.data()) as Float32Array);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return results;
}

describe("threads", () => {
  it("give the same bits for any number of them", async () => {
    const alone = await evaluate(1);
    for (const threads of [2, 3]) {
      for (const [i, values] of (await evaluate(threads)).entries()) {
        expect(Buffer.compare(Buffer.from(values.buffer), Buffer.from(alone[i]!.buffer))).toBe(0);
      }
    }
  });

  it("must be a positive integer", async () => {
    for (const threads of [0, -1, 1.5]) {
      await expect(pg.setDevice("wasm", { threads })).rejects.toThrow(/threads must be an integer/);
    }
    expect(pg.currentDevice()).toBe("wasm");
  });

  it("do not keep the process alive", () => {
    const directory = mkdtempSync(join(tmpdir(), "prefgrad-threads-"));
    const library = fileURLToPath(new URL("../../../src/index.ts", import.meta.url));
    const script = join(directory, "script.mts");
    writeFileSync(
      script,
      `import { matmul, ones, setDevice } from ${JSON.stringify(library)};
       await setDevice("wasm", { threads: 2 });
       for (let i = 0; i < 20; i++) await matmul(ones([128, 256]), ones([256, 128])).sum().item();
       console.log("done");`,
    );
    const tsx = fileURLToPath(new URL("../../../node_modules/.bin/tsx", import.meta.url));
    const { status, stdout, signal } = spawnSync(tsx, [script], {
      encoding: "utf8",
      timeout: 25_000,
    });
    rmSync(directory, { recursive: true });
    expect({ status, signal, stdout }).toEqual({ status: 0, signal: null, stdout: "done\n" });
  });

  it("that fail end in an error, and the caller goes on alone", async () => {
    const heap = new Heap(true);
    const pool = new ThreadPool(heap.memory, 2);
    pool.start([]);
    while (pool.size < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    // A program that calls a kernel nobody has.
    const address = heap.allocate(64, "a program");
    new Int32Array(heap.memory.buffer, address, 6).set([7, 0, 0, 2, -1, 0]);
    const run = (): void => pool.run({ address, calls: 1 }, { address: 0, bytes: 0 }, () => {});
    expect(run).toThrow(/worker thread .* failed/);
    expect(pool.size).toBe(1);
  });
});
