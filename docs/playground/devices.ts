/**
 * The devices a page can compute on, and whether this browser has them.
 * @module
 */

import { deviceStatistics, setDevice } from "../../src/index.js";

/** A device, by what really runs. */
export type PageDevice = "wasm" | "webgpu" | "webgl2";

/** For each device null, or why it is not there. */
export type Obstacles = Readonly<Record<PageDevice, string | null>>;

/** To a worker. */
export interface DeviceQuestion {
  readonly kind: "find devices";
}

/** From a worker. */
export interface DeviceAnswer {
  readonly kind: "devices";
  readonly obstacles: Obstacles;
}

/** Has a worker compute on a device, and gives what the library calls it. */
export async function useDevice(device: PageDevice): Promise<string> {
  if (device === "wasm") await setDevice("wasm");
  else await setDevice("gpu", { backend: device });
  return (await deviceStatistics()).backend;
}

/** `v128.const` in an otherwise empty function. */
const SIMD_MODULE = Uint8Array.from([
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0],
  ...[10, 23, 1, 21, 0, 253, 12, ...new Array<number>(16).fill(0), 26, 11],
]);

/** Looks for the devices where it is called: a worker has other ways to them than a page. */
export async function findDevices(): Promise<Obstacles> {
  return { wasm: withoutWasm(), webgpu: await withoutWebGpu(), webgl2: withoutWebGl2() };
}

function withoutWasm(): string | null {
  if (typeof WebAssembly === "undefined") return "this browser has no WebAssembly";
  return WebAssembly.validate(SIMD_MODULE) ? null : "this browser's WebAssembly has no SIMD";
}

async function withoutWebGpu(): Promise<string | null> {
  if (!isSecureContext) return "WebGPU needs a secure page: https or localhost";
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<unknown> } }).gpu;
  if (!gpu) return "this browser has no WebGPU";
  return (await gpu.requestAdapter()) ? null : "WebGPU finds no graphics adapter here";
}

function withoutWebGl2(): string | null {
  const missing = "this browser has no WebGL2 in workers";
  if (typeof OffscreenCanvas === "undefined") return missing;
  const context = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!context) return missing;
  const floats = context.getExtension("EXT_color_buffer_float");
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return floats ? null : "this WebGL2 cannot compute with floating-point numbers";
}
