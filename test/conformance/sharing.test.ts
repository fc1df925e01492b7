/**
 * Threads that really share every call that can be divided give the bits of one thread.
 */

import { beforeAll, describe, expect, it } from "vitest";
import type { WasmDevice } from "../../src/devices/wasm/device.js";
import { ones, realize, setDevice } from "../../src/index.js";
import { build, programs } from "../compiler/randomGraph.js";
import { forAll } from "../ops/reference.js";
import { CASES, exactCases } from "./cases.js";
import { type Elements, evaluateOn } from "./devices.js";

const on = (threads: number) => ({ name: "wasm", options: { threads } }) as const;

let device: WasmDevice;

beforeAll(async () => {
  await setDevice("wasm");
  device = (await realize(ones([1]))).buffer?.home as WasmDevice;
  device.sharesAll = true;
});

function bits(results: readonly Elements[]): string[] {
  return results.map(({ shape, values }) => {
    const { buffer, byteOffset, byteLength } = values as Float32Array;
    return `[${shape}] ${Buffer.from(buffer, byteOffset, byteLength).toString("hex")}`;
  });
}

/** Fails unless several threads compute the bits that one does. */
async function expectSame(threads: number, make: Parameters<typeof evaluateOn>[1]): Promise<void> {
  const alone = bits(await evaluateOn(on(1), make));
  expect(bits(await evaluateOn(on(threads), make))).toEqual(alone);
}

describe("calls that threads share", () => {
  for (const dtype of ["float32", "float64"] as const) {
    for (const { name, make } of CASES) {
      it(`${name}, ${dtype}`, () => expectSame(2, () => make(dtype)));
    }
  }

  for (const { name, make } of exactCases(32)) it(name, () => expectSame(2, make));

  // Another number of threads is another pool, which counts anew.
  it("were shared", () => {
    expect(device.helped).toBeGreaterThan(CASES.length);
  });

  it("random graphs", async () => {
    await forAll(
      [programs(14)],
      (program) => expectSame(3, () => build(program, { dtype: "float32", continuous: false })),
      100,
    );
    expect(device.helped).toBeGreaterThan(0);
  });
});
