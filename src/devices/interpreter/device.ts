/**
 * The interpreter: runs kernels one element at a time in float64 and rounds each float32 value, sums when
 * they are complete. Slow and obvious: what it computes is what the other devices are held to.
 * @module
 */

import {
  allocate,
  type DType,
  type StorageType,
  type StoredArray,
  type TypedArray,
  widened,
} from "../../kernels/dtype.js";
import type { Plan, Step } from "../../kernels/kernel.js";
import { ResidentBuffer, type ResidentHome } from "../buffer.js";
import type { Device, DeviceBuffer, DeviceMemory, Executable } from "../device.js";
import { runKernel } from "./kernels.js";

/** A buffer holds a typed array. */
type InterpreterBuffer = ResidentBuffer<StoredArray>;

class InterpreterDevice implements Device, ResidentHome<StoredArray> {
  readonly name = "interpreter";
  readonly backend = "interpreter";
  readonly recomputeLimit = 24;
  readonly canOverwrite = true;
  private bytes = 0;
  private buffers = 0;
  private readonly gone = new FinalizationRegistry<number>((bytes) => this.account(-bytes, -1));

  private account(bytes: number, buffers: number): void {
    this.bytes += bytes;
    this.buffers += buffers;
  }

  private bufferOf(values: StoredArray, dtype: StorageType): DeviceBuffer {
    const buffer = new ResidentBuffer(dtype, values.length, this, values);
    this.account(values.byteLength, 1);
    this.gone.register(buffer, values.byteLength, buffer);
    return buffer;
  }

  release(buffer: InterpreterBuffer, values: StoredArray): void {
    this.gone.unregister(buffer);
    this.account(-values.byteLength, -1);
  }

  create(dtype: StorageType, size: number): DeviceBuffer {
    const values = dtype === "bfloat16" ? new Uint16Array(size) : allocate(dtype, size);
    return this.bufferOf(values, dtype);
  }

  write(buffer: DeviceBuffer, from: number, values: StoredArray): void {
    (buffer as InterpreterBuffer).held.set(values, from);
  }

  async download(buffer: DeviceBuffer): Promise<StoredArray> {
    return (buffer as InterpreterBuffer).held.slice();
  }

  peek(buffer: DeviceBuffer): TypedArray | undefined {
    const { held } = buffer as InterpreterBuffer;
    return held instanceof Uint16Array ? undefined : held;
  }

  memory(): DeviceMemory {
    return { bytes: this.bytes, buffers: this.buffers, scratchBytes: 0 };
  }

  async prepare(plan: Plan): Promise<Executable> {
    return { run: (inputs, constants) => this.run(plan, inputs, constants) };
  }

  private run(
    plan: Plan,
    inputs: readonly DeviceBuffer[],
    constants: Float64Array,
  ): DeviceBuffer[] {
    const arrays = plan.buffers.map(({ dtype, size, role }) =>
      role === "input" ? null : allocate(dtype as DType, size),
    );
    plan.inputs.forEach((buffer, i) => {
      arrays[buffer] = widened((inputs[i] as InterpreterBuffer).held);
    });
    for (const step of plan.steps) runStep(step, arrays, constants);
    return plan.outputs.map((buffer) => {
      const { dtype, role } = plan.buffers[buffer]!;
      return role === "input"
        ? inputs[plan.inputs.indexOf(buffer)]!
        : this.bufferOf(arrays[buffer]!, dtype);
    });
  }
}

function runStep(
  step: Step,
  arrays: readonly (TypedArray | null)[],
  constants: Float64Array,
): void {
  runKernel(
    step.kernel,
    step.buffers.map((buffer) => arrays[buffer]!),
    step.constants.map((constant) => constants[constant]!),
  );
}

/** Creates the interpreter. */
export function createInterpreterDevice(): Device {
  return new InterpreterDevice();
}
