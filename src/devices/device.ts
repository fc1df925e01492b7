/**
 * What a device is: something that holds buffers and runs plans.
 * @module
 */

import type { DType, TypedArray } from "../kernels/dtype.js";
import type { Plan } from "../kernels/kernel.js";

/** Where a buffer lives. */
export interface BufferHome {
  /** A copy of a buffer's elements. */
  download(buffer: DeviceBuffer): Promise<TypedArray>;
}

/** Elements of a tensor on a device. */
export interface DeviceBuffer {
  readonly home: BufferHome;
  readonly dtype: DType;
  readonly size: number;
  /** Gives the memory back at once. Without it, garbage collection does. */
  dispose(): void;
}

/** Names of the devices. */
export type DeviceName = "wasm" | "gpu" | "interpreter";

/** What the gpu device runs on. */
export type GpuBackend = "webgpu" | "webgl2";

/** Options of {@link setDevice}. */
export interface DeviceOptions {
  /**
   * `wasm`: threads to compute with, the calling one included. Default: as many as the machine runs
   * at once; in a browser, one unless the page is cross-origin isolated. Results do not depend on it.
   */
  readonly threads?: number;
  /** `gpu`: what it must run on. Default: WebGPU where there is one, else WebGL2. */
  readonly backend?: GpuBackend;
}

/** An allocation failed; after a garbage collection it may succeed. */
export class OutOfMemoryError extends RangeError {}

/** Memory a device holds. */
export interface DeviceMemory {
  /** Bytes held by tensors. */
  readonly bytes: number;
  /** Buffers held by tensors. */
  readonly buffers: number;
  /** Bytes kept for the temporaries of plans. */
  readonly scratchBytes: number;
}

/** A plan made ready to run on a device. */
export interface Executable {
  /** Runs the plan: its inputs in order, the value of each constant. Returns its outputs in order. */
  run(
    inputs: readonly DeviceBuffer[],
    constants: Float64Array,
  ): readonly DeviceBuffer[] | Promise<readonly DeviceBuffer[]>;
}

/** Holds buffers and runs plans. */
export interface Device extends BufferHome {
  readonly name: DeviceName;
  /** What computes. */
  readonly backend: "interpreter" | "wasm" | GpuBackend;
  /**
   * Work, in a processor's instructions per element, up to which a value that several kernels need is
   * computed in each of them: about what writing and reading it costs.
   */
  readonly cheap: number;
  /** Buffers beyond those left last time for which garbage is looked for, however small. Default: any number. */
  readonly mostBuffers?: number;
  /** Bytes of garbage that may wait where collections take long. Default: 0. */
  readonly spareBytes?: number;
  /** Why the device can no longer be used, if so. */
  readonly failure?: Error | null;
  /** Takes the options of {@link setDevice}, again each time it is called. */
  configure?(options: DeviceOptions): void;
  /** Copies elements to the device. `what` names the tensor in errors. */
  upload(values: TypedArray, dtype: DType, what: string): DeviceBuffer | Promise<DeviceBuffer>;
  prepare(plan: Plan): Promise<Executable>;
  /** Resolves when all that was issued so far is known to be accepted; rejects where it was not. */
  accepted?(): Promise<void>;
  memory(): DeviceMemory;
  /** Gives back what is kept for later: memory has run out, and is asked for again. */
  trim?(): void;
}
