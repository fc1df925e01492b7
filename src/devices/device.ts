/**
 * What a device is: something that holds buffers and runs plans.
 * @module
 */

import type { StorageType, StoredArray, TypedArray } from "../kernels/dtype.js";
import type { Plan } from "../kernels/kernel.js";

/** Where a buffer lives. */
export interface BufferHome {
  /** A copy of a buffer's elements as they are when this is called: it is issued before anything is awaited. */
  download(buffer: DeviceBuffer): Promise<StoredArray>;
  /** The elements where they lie, if their dtype's array can be read at once; valid until the next evaluation. */
  peek?(buffer: DeviceBuffer): TypedArray | undefined;
}

/** Elements of a tensor on a device. */
export interface DeviceBuffer {
  readonly home: BufferHome;
  readonly dtype: StorageType;
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

/** An evaluation failed when it had begun to write into inputs that were given up. */
export class InterruptedError extends Error {}

/** Memory a device holds. */
export interface DeviceMemory {
  /** Bytes held by tensors. */
  readonly bytes: number;
  /** Buffers held by tensors. */
  readonly buffers: number;
  /** Bytes kept for the temporaries of plans. */
  readonly scratchBytes: number;
}

/** Bytes that tensors may take. */
export interface DeviceLimits {
  /** One of them. */
  readonly tensor: number;
  /** All of them together. */
  readonly total: number;
}

/** A plan made ready to run on a device. */
export interface Executable {
  /**
   * Runs the plan: its inputs in order, the value of each constant. Returns its outputs in order. An output that
   * the plan has in an input is that input's buffer, or takes its place: that is disposed of then.
   * @throws if the inputs are no longer what they were: {@link InterruptedError}.
   */
  run(
    inputs: readonly DeviceBuffer[],
    constants: Float64Array,
  ): readonly DeviceBuffer[] | Promise<readonly DeviceBuffer[]>;
}

/** The inputs that a plan writes into, by place. */
export function overwrittenBy({ steps, inputs }: Plan): number[] {
  const written = new Set(steps.map(({ buffers }) => buffers[0]));
  return [...inputs.keys()].filter((i) => written.has(inputs[i]));
}

/** Holds buffers and runs plans. */
export interface Device extends BufferHome {
  readonly name: DeviceName;
  /** What computes. */
  readonly backend: "interpreter" | "wasm" | GpuBackend;
  /**
   * A value that several kernels need is computed in each of them if that takes at most this much work,
   * in a processor's instructions per element. Writing and reading it costs about as much.
   */
  readonly recomputeLimit: number;
  /** Whether a kernel may write into a buffer that it reads at the same place only. Default: no. */
  readonly canOverwrite?: boolean;
  /**
   * Garbage is collected when there are this many buffers more than the last collection left, however
   * small they are. Default: never for that reason.
   */
  readonly mostBuffers?: number;
  /** Bytes of garbage that may wait if collections take long. Default: 0. */
  readonly spareBytes?: number;
  /** Why the device can no longer be used, if so. */
  readonly failure?: Error | null;
  /** Takes the options of each call of {@link setDevice}. */
  configure?(options: DeviceOptions): void;
  /** What tensors may take, where that is known beforehand. */
  readonly limits?: DeviceLimits;
  /**
   * A buffer whose elements are to be written. `what` names the tensor in errors, here and below.
   * @throws for a storage type that the device does not have.
   */
  create(dtype: StorageType, size: number, what: string): DeviceBuffer | Promise<DeviceBuffer>;
  /** Writes numbers as a buffer's elements, from one of those on. All are written before a plan reads them. */
  write(
    buffer: DeviceBuffer,
    from: number,
    values: StoredArray,
    what: string,
  ): void | Promise<void>;
  /** The elements where they lie, if the host reaches that; valid until memory is allocated. */
  view?(buffer: DeviceBuffer): StoredArray;
  prepare(plan: Plan): Promise<Executable>;
  /** Resolves when the device has accepted all work issued so far. Rejects if it refused any. */
  accepted?(): Promise<void>;
  memory(): DeviceMemory;
  /** Gives back memory that is kept for later. It is called after an allocation failed, before it is tried again. */
  trim?(): void;
}
