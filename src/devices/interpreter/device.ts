/**
 * The interpreter: runs kernels one element at a time in float64 and rounds when it stores. Slow and
 * obvious: what it computes is what the other devices are held to.
 * @module
 */

import { allocate, bytesPerElement, type DType, type TypedArray } from "../../kernels/dtype.js";
import type { Plan, Step } from "../../kernels/kernel.js";
import type { Device, DeviceBuffer, DeviceMemory, Executable } from "../device.js";
import { runKernel } from "./kernels.js";

/** A buffer is a typed array. */
class InterpreterBuffer implements DeviceBuffer {
  values: TypedArray | null;

  constructor(
    readonly dtype: DType,
    readonly size: number,
    readonly home: InterpreterDevice,
    values: TypedArray,
  ) {
    this.values = values;
    const bytes = size * bytesPerElement(dtype);
    home.account(bytes, 1);
    home.registry.register(this, bytes, this);
  }

  dispose(): void {
    if (!this.values) return;
    this.values = null;
    this.home.registry.unregister(this);
    this.home.account(-this.size * bytesPerElement(this.dtype), -1);
  }
}

class InterpreterDevice implements Device {
  readonly name = "interpreter";
  readonly backend = "interpreter";
  readonly cheap = 24;
  private bytes = 0;
  private buffers = 0;
  readonly registry = new FinalizationRegistry<number>((bytes) => this.account(-bytes, -1));

  account(bytes: number, buffers: number): void {
    this.bytes += bytes;
    this.buffers += buffers;
  }

  upload(values: TypedArray, dtype: DType): DeviceBuffer {
    const own = allocate(dtype, values.length);
    own.set(values);
    return new InterpreterBuffer(dtype, values.length, this, own);
  }

  async download(buffer: DeviceBuffer): Promise<TypedArray> {
    return valuesOf(buffer).slice();
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
      role === "input" ? null : allocate(dtype, size),
    );
    plan.inputs.forEach((buffer, i) => {
      arrays[buffer] = valuesOf(inputs[i]!);
    });
    for (const step of plan.steps) runStep(step, arrays, constants);
    return plan.outputs.map((buffer) => {
      const { dtype, size } = plan.buffers[buffer]!;
      return new InterpreterBuffer(dtype, size, this, arrays[buffer]!);
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

function valuesOf(buffer: DeviceBuffer): TypedArray {
  const { values } = buffer as InterpreterBuffer;
  if (!values) throw new Error("a tensor was used after dispose() gave its memory back");
  return values;
}

/** Creates the interpreter. */
export function createInterpreterDevice(): Device {
  return new InterpreterDevice();
}
