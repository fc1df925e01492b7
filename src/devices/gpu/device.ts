/**
 * The GPU device: WebGPU where there is one, else WebGL2.
 * @module
 */

import type { Device, GpuBackend } from "../device.js";
import { loadGpuJs } from "./gpujs.js";
import { provideWebGpu } from "./navigator.js";
import { createWebGl2Device } from "./webgl2/device.js";
import { createWebGpuDevice } from "./webgpu/device.js";

/**
 * Creates the GPU device.
 * @param backend What it must run on; default: WebGPU, else WebGL2.
 * @throws if there is none; the message says what was tried.
 */
export async function createGpuDevice(backend?: GpuBackend): Promise<Device> {
  if (backend !== undefined && backend !== "webgpu" && backend !== "webgl2") {
    throw new RangeError(
      `setDevice: backend must be "webgpu" or "webgl2", got ${JSON.stringify(backend)}`,
    );
  }
  const obstacles: string[] = [];
  if (backend !== "webgl2") {
    const missing = await provideWebGpu();
    if (missing !== null) obstacles.push(`WebGPU: ${missing}`);
    else {
      try {
        return await createWebGpuDevice(await loadGpuJs());
      } catch (error) {
        obstacles.push(`WebGPU: ${(error as Error).message}`);
      }
    }
  }
  if (backend !== "webgpu") {
    try {
      return createWebGl2Device(await loadGpuJs());
    } catch (error) {
      obstacles.push(`WebGL2: ${(error as Error).message}`);
    }
  }
  throw new Error(
    `setDevice: no GPU can be used here. ${obstacles.join(". ")}. setDevice("wasm") runs on any processor.`,
  );
}
