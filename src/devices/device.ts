/**
 * What a device is: something that holds buffers and runs plans.
 * @module
 */

import type { DType, TypedArray } from "../kernels/dtype.js";
import type { Plan } from "../kernels/kernel.js";
import type { BufferHome, DeviceBuffer, DeviceName } from "../tensor/runtime.js";

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
  run(inputs: readonly DeviceBuffer[], constants: Float64Array): readonly DeviceBuffer[];
}

/** Holds buffers and runs plans. */
export interface Device extends BufferHome {
  readonly name: DeviceName;
  /** Copies elements to the device. `what` names the tensor in errors. */
  upload(values: TypedArray, dtype: DType, what: string): DeviceBuffer;
  prepare(plan: Plan): Promise<Executable>;
  memory(): DeviceMemory;
}
