/**
 * Asking for values: evaluation, devices, and what can be seen of them.
 * @module
 */

import {
  type DebugOptions,
  type DeviceName,
  type DeviceOptions,
  type DeviceStatistics,
  type Explanation,
  runtime,
  runtimeIfLoaded,
} from "./runtime.js";
import { creation } from "./tensor.js";
import { treeLeaves } from "./tree.js";

/**
 * Evaluates all tensors of the trees together and makes them leaves: how they were computed is
 * forgotten, and the memory only their history held is given back. A training step ends with
 * `await realize(parameters, state)`; gradients through the step must be taken before.
 *
 * @returns the first tree, for convenience.
 */
export async function realize<T>(tree: T, ...trees: unknown[]): Promise<T> {
  const tensors = treeLeaves([tree, trees]);
  if (tensors.length > 0) {
    await (await runtime()).evaluate(tensors);
    for (const t of tensors) t.detachHistory();
  }
  return tree;
}

/**
 * The plan that evaluating the tensors would run, without running it: its kernels, what was fused
 * into each, and how much memory it takes. Print it with `String(await explain(t))`.
 */
export async function explain(...trees: unknown[]): Promise<Explanation> {
  return (await runtime()).explain(treeLeaves(trees));
}

/**
 * Chooses the device of evaluations from now on. Tensors move by themselves.
 *
 * - `"wasm"`: WebAssembly SIMD on the processor's cores; the default, everywhere.
 * - `"gpu"`: WebGPU where there is one (in Node: with the package `webgpu` installed), else WebGL2.
 *   float32 only, integers exact to 2²⁴. After the GPU was lost, calling this again makes a new device.
 * - `"interpreter"`: slow, float64 arithmetic: the reference of the tests.
 *
 * @throws for an unknown name or option, and where there is no GPU, saying what was tried; the device
 * stays what it was.
 */
export async function setDevice(name: DeviceName, options: DeviceOptions = {}): Promise<void> {
  await (await runtime()).setDevice(name, options);
}

/** The name of the device evaluations run on. */
export function currentDevice(): DeviceName {
  return runtimeIfLoaded()?.currentDevice() ?? "wasm";
}

/** Memory held on the current device, and how many plans were compiled or reused. */
export async function deviceStatistics(): Promise<DeviceStatistics> {
  return (await runtime()).statistics();
}

/** Switches debugging aids on or off. */
export async function setDebug(options: DebugOptions): Promise<void> {
  creation.capture = options.checkFinite ?? false;
  (await runtime()).setDebug(options);
}
