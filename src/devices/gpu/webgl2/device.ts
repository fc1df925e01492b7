/**
 * The GPU device on WebGL2, where there is no WebGPU: each kernel is a call of a gpu.js kernel whose
 * arguments and result are textures that stay on the GPU.
 * @module
 */

import type { StorageType, StoredArray, TypedArray } from "../../../kernels/dtype.js";
import type { Plan } from "../../../kernels/kernel.js";
import { ResidentBuffer } from "../../buffer.js";
import {
  type Device,
  type DeviceBuffer,
  type DeviceLimits,
  type DeviceMemory,
  type Executable,
  InterruptedError,
} from "../../device.js";
import { checkDType, constantsCheck, fromFloats, toFloats } from "../elements.js";
import type { GlKernel, GpuJs, GpuJsInstance, RunnableKernel } from "../gpujs.js";
import { outOfMemory } from "../outOfMemory.js";
import { type GpuStep, RECOMPUTE_LIMIT } from "../plan.js";
import { rewrite } from "../rewrite.js";
import { createShader, type Shader, shaderOf } from "../shaders/shader.js";
import { createTexture, downloadTexture, FloatTexture, writeTexture } from "./texture.js";
import { RunWriter } from "./write.js";

/** Textures a kernel may read. Every WebGL2 allows 16; with fewer, shaders are shorter. */
const INPUTS = 7;
const OUT_OF_MEMORY = 0x0505;
/** Compiled kernels that are kept. Beyond that the least recently used is destroyed. */
const KERNELS_KEPT = 512;

type WebGl2Buffer = ResidentBuffer<FloatTexture>;

/** Creates the device. */
export function createWebGl2Device(gpujs: GpuJs): Device {
  if (typeof WebGL2RenderingContext === "undefined") {
    throw new Error("there is none outside browsers");
  }
  if (!gpujs.GPU.isWebGL2Supported) throw new Error("this browser has none");
  // WebGL2 wants a canvas. The device never draws on it.
  const canvas =
    typeof document === "undefined"
      ? new OffscreenCanvas(1, 1)
      : Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const gl = canvas.getContext("webgl2", { alpha: false, depth: false, antialias: false });
  if (!gl) throw new Error("this browser has no context left");
  // gpu.js enables the extension with its first kernel. Tensors may be read before that.
  if (!gl.getExtension("EXT_color_buffer_float")) throw new Error("it computes no float32 here");
  return new WebGl2Device(gpujs, gl as WebGL2RenderingContext);
}

class WebGl2Device implements Device {
  readonly name = "gpu";
  readonly backend = "webgl2";
  readonly recomputeLimit = RECOMPUTE_LIMIT;
  private readonly instance: GpuJsInstance<GlKernel>;
  private readonly kernels = new Map<string, RunnableKernel<GlKernel>>();
  private writer: RunWriter | null = null;
  /** Most texels along a side of a texture. */
  private readonly side: number;
  /** Most elements of a tensor: gpu.js finds a texture's shape for every number up to this, not beyond. */
  private readonly largest: number;
  private bytes = 0;
  private buffers = 0;
  private isLost = false;
  private readonly gone = new FinalizationRegistry<FloatTexture>((texture) =>
    this.reclaim(texture),
  );

  constructor(
    gpujs: GpuJs,
    private readonly gl: WebGL2RenderingContext,
  ) {
    // A stand-in for the canvas: gpu.js would make it, and its drawing buffer, as large as the largest texture.
    const canvas = { width: 1, height: 1 };
    this.instance = new gpujs.GPU({ mode: "webgl2", context: gl, canvas });
    this.side = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this.largest = this.side * (this.side - 1);
  }

  get failure(): Error | null {
    if (!this.isLost && !this.gl.isContextLost()) return null;
    return new Error(
      "the WebGL2 context was lost, and the tensors on it with it; " +
        'setDevice("gpu") makes a new one',
    );
  }

  get limits(): DeviceLimits {
    return { tensor: 4 * this.largest, total: Number.POSITIVE_INFINITY };
  }

  create(dtype: StorageType, size: number, what: string): DeviceBuffer {
    this.check();
    checkDType(dtype, what);
    if (dtype === "bfloat16") {
      throw new TypeError(
        `textures on WebGL2 hold float32, and ${what} is kept as bfloat16: load it as float32, or use WebGPU or setDevice("wasm")`,
      );
    }
    this.checkSize(size, what);
    const texture = createTexture(this.gl, Math.max(1, size));
    try {
      this.checkErrors(what);
    } catch (error) {
      texture.delete();
      throw error;
    }
    return this.own(dtype, size, texture);
  }

  write(buffer: DeviceBuffer, from: number, values: StoredArray, what: string): void {
    this.check();
    writeTexture((buffer as WebGl2Buffer).held, from, toFloats(values, buffer.dtype, what));
    this.checkErrors(what);
  }

  async download(buffer: DeviceBuffer): Promise<TypedArray> {
    this.check();
    const floats = downloadTexture((buffer as WebGl2Buffer).held, buffer.size);
    this.checkErrors("a copy of a tensor");
    // After the GPU process has ended, a context reports no errors until it is told. Its reads give nothing.
    if (floats === null) {
      this.isLost = true;
      throw this.failure;
    }
    return fromFloats(floats, buffer.dtype);
  }

  memory(): DeviceMemory {
    return { bytes: this.bytes, buffers: this.buffers, scratchBytes: 0 };
  }

  async prepare(plan: Plan): Promise<Executable> {
    this.check();
    for (const { dtype, size, name } of plan.buffers) {
      this.checkSize(size, name ?? `a ${dtype} tensor`);
    }
    const { buffers, steps } = rewrite(plan, { inputs: INPUTS, products: false });
    const calls = steps.map((step) => {
      const { scalars, ...shader } = shaderOf(step.kernel);
      const folded = this.fold(shader);
      return { step, scalars, shader: folded, key: JSON.stringify(folded) };
    });
    const checkConstants = constantsCheck(plan);
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
      checkConstants(constants);
      const textures = new Map<number, FloatTexture>();
      plan.inputs.forEach((number, i) => {
        textures.set(number, (inputs[i] as WebGl2Buffer).held);
      });
      // Textures of inputs. A result in an input's place makes a texture of its own shape, and that one goes.
      const given = new Set(plan.inputs);
      let isInterrupted = false;
      // No kernel makes a tensor without elements; one texel stands for it where it is read.
      const textureOf = (number: number): FloatTexture => {
        const texture = textures.get(number) ?? createTexture(this.gl, 1);
        textures.set(number, texture);
        return texture;
      };
      try {
        calls.forEach(({ step, shader, scalars, key }, time) => {
          const read = shader.buffers.map((number) => textureOf(step.buffers[number]!));
          const numbers = scalars.map((scalar) =>
            typeof scalar === "number" ? scalar : constants[step.constants[scalar.slot]!]!,
          );
          const [output] = step.buffers as [number, ...number[]];
          const draw = () => this.call(step, this.kernel(shader, key), [...read, ...numbers]);
          isInterrupted ||= given.has(output);
          if (step.kernel.kind === "write") {
            const elements = draw();
            this.writer ??= new RunWriter(this.gl);
            this.writer.write(textureOf(output), elements, read.at(-1)!, step.kernel);
            elements.delete();
          } else {
            if (given.delete(output)) {
              textures.delete(output);
              inputs[plan.inputs.indexOf(output)]!.dispose();
            }
            textures.set(output, draw());
          }
          for (const buffer of ends[time]!) {
            textures.get(buffer)?.delete();
            textures.delete(buffer);
          }
        });
        this.checkErrors(`the ${plan.outputs.length} results of a computation`);
      } catch (error) {
        for (const [number, texture] of textures) if (!given.has(number)) texture.delete();
        if (!isInterrupted) throw error;
        throw new InterruptedError((error as Error).message, { cause: error });
      }
      return plan.outputs.map((number) => {
        if (given.has(number)) return inputs[plan.inputs.indexOf(number)]!;
        const { dtype, size } = plan.buffers[number]!;
        return this.own(dtype, size, textureOf(number));
      });
    };
    return { run };
  }

  release(buffer: WebGl2Buffer, texture: FloatTexture): void {
    this.gone.unregister(buffer);
    this.reclaim(texture);
  }

  private check(): void {
    const { failure } = this;
    if (failure) throw failure;
  }

  private checkSize(size: number, what: string): void {
    if (size <= this.largest) return;
    throw new RangeError(
      `${what} has ${size} elements, more than the ${this.largest} of a texture of this GPU; ` +
        'split it, or use setDevice("wasm")',
    );
  }

  /** Throws the errors of earlier commands. WebGL2 reports them only when asked, and computes on with zeros. */
  private checkErrors(what: string): void {
    this.check();
    const codes = new Set<number>();
    // Commands after a failed allocation report errors as well, so all are collected.
    for (let code = this.gl.getError(); code !== 0 && !codes.has(code); code = this.gl.getError()) {
      codes.add(code);
    }
    if (codes.size === 0) return;
    if (codes.has(OUT_OF_MEMORY)) throw outOfMemory(`for ${what}`);
    throw new Error(
      `a command failed on WebGL2 (error ${[...codes].join(", ")}) while making ${what}`,
    );
  }

  /**
   * Runs a kernel and takes its texture. gpu.js would hold the texture until the kernel's next run, and the
   * framebuffer would hold it even after it was deleted.
   */
  private call(
    { operations }: Pick<GpuStep, "operations">,
    run: RunnableKernel<GlKernel>,
    inputs: readonly (FloatTexture | number)[],
  ): FloatTexture {
    const { gl } = this;
    try {
      // A kernel makes its texture when it is compiled, in its first run. Later runs need a new one.
      if (run.kernel.built) run.kernel._setupOutputTexture();
      run(...inputs);
    } catch (error) {
      this.check();
      throw new Error(
        `the kernel of ${operations.join(", ")} could not be run on WebGL2: ${(error as Error).message}`,
        { cause: error },
      );
    }
    const { texture, size } = run.kernel.texture!;
    run.kernel.texture = null;
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, null, 0);
    return new FloatTexture(gl, texture, size);
  }

  private own(dtype: StorageType, size: number, texture: FloatTexture): WebGl2Buffer {
    const buffer = new ResidentBuffer(dtype, size, this, texture);
    this.gone.register(buffer, texture, buffer);
    this.bytes += texture.bytes;
    this.buffers++;
    return buffer;
  }

  private reclaim(texture: FloatTexture): void {
    texture.delete();
    this.bytes -= texture.bytes;
    this.buffers--;
  }

  /**
   * For two thread axes gpu.js makes a texture as wide and as high as they are long. If that exceeds a
   * texture's sides, a third axis is added, with which gpu.js folds the elements.
   */
  private fold(shader: Shader): Shader {
    if (shader.threads.length !== 2) return shader;
    const [x, y] = shader.threads as [number, number];
    if (x <= this.side && y <= this.side) return shader;
    const body = shader.body.replaceAll("this.thread.y", "this.thread.z");
    return { ...shader, body, threads: [x, 1, y] };
  }

  private kernel(shader: Shader, key: string): RunnableKernel<GlKernel> {
    let kernel = this.kernels.get(key);
    if (kernel) this.kernels.delete(key);
    else {
      kernel = createShader(this.instance, shader);
      if (this.kernels.size >= KERNELS_KEPT) {
        const [oldest, unused] = this.kernels.entries().next().value!;
        this.kernels.delete(oldest);
        unused.destroy();
      }
    }
    this.kernels.set(key, kernel);
    return kernel;
  }
}
