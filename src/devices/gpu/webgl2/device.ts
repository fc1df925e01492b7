/**
 * The GPU device on WebGL2, where there is no WebGPU: each kernel is a call of a gpu.js kernel whose
 * arguments and result are textures that stay on the GPU.
 * @module
 */

import type { DType, TypedArray } from "../../../kernels/dtype.js";
import type { Plan } from "../../../kernels/kernel.js";
import type { Device, DeviceBuffer, DeviceMemory, Executable } from "../../device.js";
import { outOfMemory, ResidentBuffer } from "../buffer.js";
import { constantsCheck, fromFloats, toFloats } from "../elements.js";
import type { GlKernel, GpuJs, GpuJsInstance, RunnableKernel } from "../gpujs.js";
import { CHEAP, type GpuStep } from "../plan.js";
import { rewrite } from "../rewrite.js";
import { createShader, type Shader, shaderOf } from "../shaders/shader.js";
import { downloadTexture, FloatTexture, uploadTexture } from "./texture.js";

/** Textures a kernel may read: what every WebGL2 has is 16; fewer keep shaders short. */
const INPUTS = 7;
const OUT_OF_MEMORY = 0x0505;
/** Compiled kernels kept; the least recently used goes first. */
const KERNELS_KEPT = 512;

type WebGl2Buffer = ResidentBuffer<FloatTexture>;

/** Creates the device. */
export function createWebGl2Device(gpujs: GpuJs): Device {
  if (typeof WebGL2RenderingContext === "undefined") {
    throw new Error("there is none outside browsers");
  }
  if (!gpujs.GPU.isWebGL2Supported) throw new Error("this browser has none");
  // Nothing is drawn on the canvas.
  const canvas =
    typeof document === "undefined"
      ? new OffscreenCanvas(1, 1)
      : Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const gl = canvas.getContext("webgl2", { alpha: false, depth: false, antialias: false });
  if (!gl) throw new Error("this browser has no context left");
  // gpu.js asks for it with the first kernel; textures are read before.
  if (!gl.getExtension("EXT_color_buffer_float")) throw new Error("it computes no float32 here");
  return new WebGl2Device(gpujs, gl as WebGL2RenderingContext);
}

class WebGl2Device implements Device {
  readonly name = "gpu";
  readonly backend = "webgl2";
  readonly cheap = CHEAP;
  private readonly instance: GpuJsInstance<GlKernel>;
  private readonly kernels = new Map<string, RunnableKernel<GlKernel>>();
  /** Texels along a side of a texture, at most. */
  private readonly side: number;
  /** Elements of a tensor, at most: gpu.js finds a texture for so many, but not for each number beyond. */
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
    // gpu.js would make the canvas, and so its drawing buffer, as large as the largest texture.
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

  upload(values: TypedArray, dtype: DType, what: string): DeviceBuffer {
    this.check();
    this.checkSize(values.length, what);
    const floats = values.length === 0 ? new Float32Array(1) : toFloats(values, dtype, what);
    const texture = uploadTexture(this.gl, floats);
    try {
      this.checkErrors(what);
    } catch (error) {
      texture.delete();
      throw error;
    }
    return this.own(dtype, values.length, texture);
  }

  async download(buffer: DeviceBuffer): Promise<TypedArray> {
    this.check();
    const floats = downloadTexture((buffer as WebGl2Buffer).held, buffer.size);
    this.checkErrors("a copy of a tensor");
    // A context whose process has ended takes commands without an error until it hears of it.
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
      const given = new Set(plan.inputs);
      try {
        calls.forEach(({ step, shader, scalars, key }, time) => {
          const read = shader.buffers.map((number) => textures.get(step.buffers[number]!)!);
          const numbers = scalars.map((scalar) =>
            typeof scalar === "number" ? scalar : constants[step.constants[scalar.slot]!]!,
          );
          const [output] = step.buffers as [number, ...number[]];
          textures.set(output, this.call(step, this.kernel(shader, key), [...read, ...numbers]));
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

  /** WebGL2 tells of errors when asked, and would go on with zeros. */
  private checkErrors(what: string): void {
    this.check();
    const codes = new Set<number>();
    // What follows an allocation that failed is an error, too.
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
   * Runs a kernel and takes the texture from it. The kernel would keep it until its next run, and its
   * framebuffer even after that it was deleted.
   */
  private call(
    { operations }: Pick<GpuStep, "operations">,
    run: RunnableKernel<GlKernel>,
    inputs: readonly (FloatTexture | number)[],
  ): FloatTexture {
    const { gl } = this;
    try {
      // The first run makes the texture when it compiles the kernel.
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

  private own(dtype: DType, size: number, texture: FloatTexture): WebGl2Buffer {
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
   * gpu.js gives two thread axes a texture as wide and as high as they are long. Where that is too
   * much, a third one has it fold the elements.
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
