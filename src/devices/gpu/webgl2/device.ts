/**
 * The GPU device on WebGL2, where there is no WebGPU: each kernel is a call of a gpu.js kernel whose
 * arguments and result are textures that stay on the GPU.
 * @module
 */

import type { DType, TypedArray } from "../../../kernels/dtype.js";
import type { Plan } from "../../../kernels/kernel.js";
import {
  type Device,
  type DeviceBuffer,
  type DeviceMemory,
  type Executable,
  OutOfMemoryError,
} from "../../device.js";
import { ResidentBuffer } from "../buffer.js";
import { fromFloats, toFloats } from "../elements.js";
import type { GpuJs, GpuJsInstance, KernelInput, RunnableKernel, TextureHandle } from "../gpujs.js";
import { CHEAP, type GpuStep } from "../plan.js";
import { rewrite } from "../rewrite.js";
import { createShader, type Shader, shaderOf } from "../shaders/shader.js";

/** Textures a kernel may read: what every WebGL2 has is 16; fewer keep shaders short. */
const INPUTS = 7;
const OUT_OF_MEMORY = 0x0505;
/** From an array to a texture. */
const COPY: Omit<Shader, "threads"> = {
  body: "return b1[this.thread.x];",
  buffers: [1],
  constants: [],
  special: [],
  functions: [],
};
/** Compiled kernels kept. */
const KERNELS_KEPT = 1024;

type WebGl2Buffer = ResidentBuffer<TextureHandle>;

interface Remains {
  readonly texture: TextureHandle;
  readonly bytes: number;
}

/** Creates the device. */
export function createWebGl2Device(gpujs: GpuJs): Device {
  if (typeof WebGL2RenderingContext === "undefined") {
    throw new Error("there is none outside browsers");
  }
  if (!gpujs.GPU.isWebGL2Supported) throw new Error("this browser has none");
  return new WebGl2Device(gpujs);
}

class WebGl2Device implements Device {
  readonly name = "gpu";
  readonly backend = "webgl2";
  readonly cheap = CHEAP;
  private readonly instance: GpuJsInstance;
  private readonly kernels = new Map<string, RunnableKernel>();
  private bytes = 0;
  private buffers = 0;
  private readonly gone = new FinalizationRegistry<Remains>((remains) => this.reclaim(remains));

  constructor(private readonly gpujs: GpuJs) {
    this.instance = new gpujs.GPU({ mode: "webgl2" });
  }

  get failure(): Error | null {
    if (!this.instance.context?.isContextLost()) return null;
    return new Error(
      "the WebGL2 context was lost, and the tensors on it with it; " +
        'setDevice("gpu") makes a new one',
    );
  }

  upload(values: TypedArray, dtype: DType, what: string): DeviceBuffer {
    this.check();
    const floats = values.length === 0 ? new Float32Array(1) : toFloats(values, dtype, what);
    const size = floats.length;
    const copy = this.kernel({ ...COPY, threads: [size] }, `upload ${size}`, []);
    const texture = this.call({ operations: [`uploading ${what}`] }, copy, [
      this.gpujs.input(floats, [size]),
    ]);
    this.checkErrors(what);
    return this.own(dtype, values.length, texture);
  }

  async download(buffer: DeviceBuffer): Promise<TypedArray> {
    this.check();
    const floats = flatten((buffer as WebGl2Buffer).held.toArray(), buffer.size);
    this.check();
    return fromFloats(floats, buffer.dtype);
  }

  memory(): DeviceMemory {
    return { bytes: this.bytes, buffers: this.buffers, scratchBytes: 0 };
  }

  async prepare(plan: Plan): Promise<Executable> {
    this.check();
    const { buffers, steps } = rewrite(plan, { inputs: INPUTS, products: false });
    const calls = steps.map((step) => {
      const shader = shaderOf(step.kernel);
      return { step, shader, key: JSON.stringify(shader) };
    });
    const lastUse = new Map<number, number>();
    steps.forEach((step, time) => {
      for (const buffer of step.buffers) lastUse.set(buffer, time);
    });
    const ends = steps.map((step, time) =>
      [...new Set(step.buffers)].filter(
        (buffer) => buffers[buffer]!.role === "temporary" && lastUse.get(buffer) === time,
      ),
    );
    const run = (inputs: readonly DeviceBuffer[], constants: Float64Array): DeviceBuffer[] => {
      this.check();
      const textures = new Map<number, TextureHandle>();
      plan.inputs.forEach((number, i) => {
        textures.set(number, (inputs[i] as WebGl2Buffer).held);
      });
      const given = new Set(plan.inputs);
      try {
        calls.forEach(({ step, shader, key }, time) => {
          const read = shader.buffers.map((number) => textures.get(step.buffers[number]!)!);
          const scalars = shader.scalars.map((scalar) =>
            typeof scalar === "number" ? scalar : constants[step.constants[scalar.slot]!]!,
          );
          const [output] = step.buffers as [number, ...number[]];
          textures.set(
            output,
            this.call(step, this.kernel(shader, key, read), [...read, ...scalars]),
          );
          for (const buffer of ends[time]!) {
            textures.get(buffer)!.delete();
            textures.delete(buffer);
          }
        });
        this.checkErrors(`the ${plan.outputs.length} results of a computation`);
      } catch (error) {
        for (const [number, texture] of textures) if (!given.has(number)) texture.delete();
        throw error;
      }
      return plan.outputs.map((number) => {
        const { dtype, size } = plan.buffers[number]!;
        const texture = textures.get(number);
        return texture
          ? this.own(dtype, size, texture)
          : this.upload(new Float32Array(0), dtype, "an empty tensor");
      });
    };
    return { run };
  }

  release(buffer: WebGl2Buffer, texture: TextureHandle): void {
    this.gone.unregister(buffer);
    this.reclaim({ texture, bytes: 4 * buffer.size });
  }

  private check(): void {
    const { failure } = this;
    if (failure) throw failure;
  }

  /** WebGL2 tells of errors when asked, and would go on with zeros. */
  private checkErrors(what: string): void {
    this.check();
    const code = this.instance.context.getError();
    if (code === 0) return;
    if (code === OUT_OF_MEMORY) {
      throw new OutOfMemoryError(
        `the GPU has no memory left for ${what}; dispose() tensors that are no longer needed, or use ` +
          "smaller batches",
      );
    }
    throw new Error(`a command failed on WebGL2 (error ${code}) while making ${what}`);
  }

  private call(
    { operations }: Pick<GpuStep, "operations">,
    kernel: RunnableKernel,
    inputs: readonly KernelInput[],
  ): TextureHandle {
    try {
      return kernel(...inputs);
    } catch (error) {
      this.check();
      throw new Error(
        `the kernel of ${operations.join(", ")} could not be run on WebGL2: ${(error as Error).message}; ` +
          'where a tensor is too large for a texture, split it or use setDevice("wasm")',
        { cause: error },
      );
    }
  }

  private own(dtype: DType, size: number, texture: TextureHandle): WebGl2Buffer {
    const buffer = new ResidentBuffer(dtype, size, this, texture);
    this.gone.register(buffer, { texture, bytes: 4 * size }, buffer);
    this.bytes += 4 * size;
    this.buffers++;
    return buffer;
  }

  private reclaim({ texture, bytes }: Remains): void {
    texture.delete();
    this.bytes -= bytes;
    this.buffers--;
  }

  /** A kernel serves one class of texture per argument, of which gpu.js has one for each rank. */
  private kernel(
    shader: Shader,
    shaderKey: string,
    read: readonly TextureHandle[],
  ): RunnableKernel {
    const key = `${read.map(({ output }) => output.length).join()} ${shaderKey}`;
    let kernel = this.kernels.get(key);
    if (!kernel) {
      if (this.kernels.size >= KERNELS_KEPT) this.kernels.clear();
      kernel = createShader(this.instance, shader);
      this.kernels.set(key, kernel);
    }
    return kernel;
  }
}

/** Elements that gpu.js gives as nested rows, in a row. */
function flatten(rows: unknown, size: number): Float32Array {
  if (rows instanceof Float32Array) return rows.slice(0, size);
  const values = new Float32Array(size);
  let at = 0;
  const visit = (part: unknown): void => {
    if (part instanceof Float32Array) {
      values.set(part.subarray(0, size - at), at);
      at += part.length;
    } else for (const row of part as unknown[]) visit(row);
  };
  visit(rows);
  return values;
}
