/**
 * WebGPU underneath the library: its device, and whether it really computed.
 * @module
 */

import { afterAll, expect } from "vitest";
import { loadGpuJs } from "../../src/devices/gpu/gpujs.js";
import { provideWebGpu } from "../../src/devices/gpu/navigator.js";
import { setDevice } from "../../src/index.js";

/** Fails the tests of a file that had no kernel run on WebGPU, whatever the library says. */
export async function expectWebGpu(): Promise<void> {
  expect(await provideWebGpu()).toBeNull();
  const passes = GPUComputePassEncoder.prototype;
  const { dispatchWorkgroups } = passes;
  let kernels = 0;
  passes.dispatchWorkgroups = function (...groups) {
    kernels++;
    return dispatchWorkgroups.apply(this, groups);
  };
  afterAll(() => expect(kernels, "kernels run on WebGPU").toBeGreaterThan(0));
}

/** The device in use. */
export async function gpuDevice(): Promise<GPUDevice> {
  return (await (await loadGpuJs()).WebGPUContext.acquire()).device;
}

/** Has the library use a device that holds nothing yet. */
export async function newDevice(): Promise<GPUDevice> {
  const old = await gpuDevice();
  old.destroy();
  await old.lost;
  await setDevice("gpu", { backend: "webgpu" });
  return gpuDevice();
}
