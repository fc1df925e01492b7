/**
 * Threads that really share every call that can be divided, held against one thread, bit by bit.
 * @module
 */

import { beforeAll, expect } from "vitest";
import type { WasmDevice } from "../../src/devices/wasm/device.js";
import { ones, realize, setDevice } from "../../src/index.js";
import { type Elements, evaluateOn } from "./devices.js";

const on = (threads: number) => ({ name: "wasm", options: { threads } }) as const;

/** Has the tests of a file share all that can be; how many calls were since the number of threads changed. */
export function shareAll(): { readonly helped: () => number } {
  let device: WasmDevice;
  beforeAll(async () => {
    await setDevice("wasm");
    device = (await realize(ones([1]))).buffer?.home as WasmDevice;
    device.sharesAll = true;
  });
  return { helped: () => device.helped };
}

function bits(results: readonly Elements[]): string[] {
  return results.map(({ shape, values }) => {
    const { buffer, byteOffset, byteLength } = values as Float32Array;
    return `[${shape}] ${Buffer.from(buffer, byteOffset, byteLength).toString("hex")}`;
  });
}

/** Fails unless several threads compute the bits that one does. */
export async function expectSame(
  threads: number,
  make: Parameters<typeof evaluateOn>[1],
): Promise<void> {
  const alone = bits(await evaluateOn(on(1), make));
  expect(bits(await evaluateOn(on(threads), make))).toEqual(alone);
}
