/**
 * The built library in processes of its own: they end by themselves, whatever threads it started,
 * and copies of it work side by side, also in a worker.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";

const directory = mkdtempSync(join(tmpdir(), "prefgrad-processes-"));

beforeAll(async () => {
  for (const [format, extension] of [
    ["esm", ".mjs"],
    ["cjs", ".cjs"],
  ] as const) {
    await build({
      entryPoints: [fileURLToPath(new URL("../../../src/index.ts", import.meta.url))],
      bundle: true,
      platform: "node",
      format,
      outfile: join(directory, `prefgrad${extension}`),
    });
  }
});

afterAll(() => rmSync(directory, { recursive: true }));

/** What a script prints that imports the library. */
function output(source: string): string {
  const script = join(directory, "script.mjs");
  writeFileSync(script, source);
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [script], {
    encoding: "utf8",
    timeout: 600_000,
  });
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: "" });
  return stdout;
}

/** Makes workers take part, and returns whether they did. */
const WORK = `
async function work({ ones, matmul, realize, setDevice }) {
  await setDevice("wasm", { threads: 2 });
  const device = (await realize(ones([1]))).buffer.home;
  device.sharesAll = true;
  const sum = await matmul(ones([64, 128]), ones([128, 64])).sum().item();
  return [sum, device.helped > 0].join();
}`;

it("a process ends when its work is done", () => {
  const source = `import * as pg from "./prefgrad.mjs"; ${WORK} console.log(await work(pg));`;
  expect(output(source)).toBe("524288,true\n");
});

it("a process that ends while work is going on ends", () => {
  const source = `import * as pg from "./prefgrad.mjs"; ${WORK}
    setTimeout(() => { console.log("end"); process.exit(); }, 200);
    for (;;) await work(pg);`;
  expect(output(source)).toBe("end\n");
});

it("two copies of the library work side by side", () => {
  const source = `import * as esm from "./prefgrad.mjs"; import cjs from "./prefgrad.cjs"; ${WORK}
    console.log((await Promise.all([esm, cjs].map(work))).join(" "));`;
  expect(output(source)).toBe("524288,true 524288,true\n");
});

it("the library works in a worker, with threads of its own", () => {
  const source = `import { isMainThread, parentPort, Worker } from "node:worker_threads";
    import * as pg from "./prefgrad.mjs"; ${WORK}
    if (isMainThread) {
      for (let i = 0; i < 2; i++) new Worker(new URL(import.meta.url)).on("message", console.log);
    } else parentPort.postMessage(await work(pg));`;
  expect(output(source)).toBe("524288,true\n524288,true\n");
});

it("without WebAssembly, the error says what does without", () => {
  const source = `
    delete globalThis.WebAssembly;
    const { ones, setDevice } = await import("./prefgrad.mjs");
    const error = await ones([2]).data().catch((e) => e);
    await setDevice("interpreter");
    console.log(error.message, ...(await ones([2]).data()));`;
  const message = 'the wasm device needs WebAssembly; setDevice("interpreter") does without';
  expect(output(source)).toBe(`${message} 1 1\n`);
});
