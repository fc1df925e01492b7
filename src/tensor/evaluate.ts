/**
 * Asking for values: evaluation, devices, and what can be seen of them.
 * @module
 */

import { checkFlag, checkOptions, describeValue } from "../checks.js";
import {
  type DebugOptions,
  type DeviceName,
  type DeviceOptions,
  type DeviceStatistics,
  type Explanation,
  runtime,
  runtimeIfLoaded,
} from "./runtime.js";
import { creation, type Tensor } from "./tensor.js";
import { treeLeaves } from "./tree.js";

/**
 * Evaluates all tensors of the trees together and makes them leaves: how they were computed is
 * forgotten, and the memory only their history held is given back. A training step ends with
 * `await realize(parameters, state)`; gradients through the step must be taken before.
 *
 * @returns the first tree, for convenience.
 */
export async function realize<T>(tree: T, ...trees: unknown[]): Promise<T> {
  const tensors = leavesOfAll("realize", [tree, ...trees]);
  await evaluateTogether(tensors);
  for (const t of tensors) t.detachHistory();
  return tree;
}

/**
 * Evaluates trees as {@link realize} does, and puts results into the memory of tensors that nobody needs afterwards:
 * a training step's old parameters and optimizer state, a cache before a row was written. JAX calls it donation.
 *
 * ```ts
 * [parameters, state] = await realizeInto([parameters, state], optimizer.update(gradients, state, parameters));
 * ```
 *
 * All tensors of `givenUp` lose their memory, whether or not a result could use it, except those that are themselves
 * results. To use one later is an error, also by way of tensors that were made of it and not evaluated. Numbers are the
 * same as `realize` gives, bit for bit.
 *
 * If the evaluation fails, nothing is given up. Only if it had begun to write (WebGL2 may run out of memory
 * then) the tensors are lost, and the error says so.
 *
 * @param givenUp A tree of tensors. A result takes the memory of one of its own dtype and size.
 * @returns the first tree of results, for convenience.
 */
export async function realizeInto<T>(givenUp: unknown, tree: T, ...trees: unknown[]): Promise<T> {
  const spare = leavesOfAll("realizeInto", [givenUp]);
  const tensors = leavesOfAll("realizeInto", [tree, ...trees]);
  await (await runtime()).evaluate(tensors, spare);
  for (const t of tensors) t.detachHistory();
  return tree;
}

function leavesOfAll(caller: string, trees: readonly unknown[]): Tensor[] {
  const leaves: Tensor[] = [];
  for (const part of trees) {
    if (typeof part !== "object" && part !== undefined)
      throw new TypeError(
        `${caller}: expected tensors or trees of them, got ${describeValue(part)}`,
      );
    for (const leaf of treeLeaves(part)) leaves.push(leaf);
  }
  return leaves;
}

/** Evaluates tensors, what they share once. Their history stays. */
export async function evaluateTogether(tensors: readonly Tensor[]): Promise<void> {
  if (tensors.length > 0) await (await runtime()).evaluate(tensors);
}

/**
 * The plan that evaluating the tensors would run, without running it: its kernels, what was fused
 * into each, and how much memory it takes. Print it with `String(await explain(t))`.
 */
export async function explain(...trees: unknown[]): Promise<Explanation> {
  return (await runtime()).explain(leavesOfAll("explain", trees), []);
}

/** The plan that {@link realizeInto} would run, as {@link explain} tells it. */
export async function explainInto(givenUp: unknown, ...trees: unknown[]): Promise<Explanation> {
  const spare = leavesOfAll("explainInto", [givenUp]);
  return (await runtime()).explain(leavesOfAll("explainInto", trees), spare);
}

/**
 * Chooses the device of evaluations from now on. Tensors move by themselves.
 *
 * - `"wasm"`: WebAssembly SIMD on the processor's cores; the default, everywhere.
 * - `"gpu"`: WebGPU where there is one (in Node: with the package `webgpu` installed), else WebGL2.
 *   float32 only, integers exact to 2²⁴. After the GPU was lost, calling this again makes a new device.
 * - `"interpreter"`: slow, one element at a time: the reference of the tests.
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
  checkOptions("setDebug", options, "checkFinite");
  checkFlag("setDebug", "checkFinite", options.checkFinite ?? false);
  creation.capture = options.checkFinite ?? false;
  (await runtime()).setDebug(options);
}
