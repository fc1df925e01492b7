/**
 * The GPU device on WebGPU. gpu.js compiles the kernels; buffers, bind groups and commands are
 * handled here: elements stay on the GPU, a plan is submitted as a whole, and what was made for one
 * run is used again by the next.
 * @module
 */
/// <reference types="@webgpu/types" />

import type { DType, TypedArray } from "../../../kernels/dtype.js";
import type { Plan } from "../../../kernels/kernel.js";
import type { Device, DeviceBuffer, DeviceMemory, Executable } from "../../device.js";
import { outOfMemory, ResidentBuffer } from "../buffer.js";
import { fromFloats, toFloats } from "../elements.js";
import type { GpuJs, GpuJsInstance, GpuJsKernel } from "../gpujs.js";
import { CHEAP, type GpuStep } from "../plan.js";
import { rewrite } from "../rewrite.js";
import { type CompiledShader, createShader, shaderOf } from "../shaders/shader.js";
import { type Block, sizeInBytes, type WebGpuBuffer } from "./buffer.js";
import { WebGpuExecutable } from "./executable.js";
import { installTiledProduct, tiledProduct } from "./matmul.js";
import { type Slot, slotKey } from "./slots.js";

/** WebGPU's constants, which are globals in browsers only. */
const STORAGE = 0x80;
const COPY_SOURCE = 0x4;
const COPY_TARGET = 0x8;
const MAP_READ = 0x1;

/** Compiled kernels kept; plans hold on to those they use. */
const KERNELS_KEPT = 4096;
/** Every so many submissions the device looks how far the GPU is, … */
const BATCH = 8;
/** … and waits if it is more than so many of these behind. */
const BATCHES_BEHIND = 8;
/**
 * Tensors held beyond those that the last collection of garbage left, at most. Small ones are costly
 * too; and a loop that leaves its tensors to garbage collection comes back to the same blocks, and to
 * the bind groups that hold them, after each.
 */
const MOST_BUFFERS = 1024;
/** Buffers to read through are kept up to so many bytes, and so many of each size. */
const STAGING_BYTES = 65_536;
const STAGING_KEPT = 16;
/** Bytes of freed buffers kept for later ones, if more is not in use. */
const KEPT_BYTES = 64e6;

/** A kernel with its pipeline. */
export interface Pipeline {
  readonly shader: CompiledShader;
  readonly kernel: GpuJsKernel;
  readonly groups: readonly number[];
  /** Threads and the width of a row of workgroups, the head of the uniform block. */
  readonly head: readonly number[];
}

/** Creates the device. */
export async function createWebGpuDevice(gpujs: GpuJs): Promise<Device> {
  if (!(await navigator.gpu.requestAdapter())) {
    throw new Error(
      "there is the interface but no GPU behind it; a driver may be missing (on Linux: of Vulkan)",
    );
  }
  const { device } = await gpujs.WebGPUContext.acquire();
  return new WebGpuDevice(gpujs, device);
}

export class WebGpuDevice implements Device {
  readonly name = "gpu";
  readonly backend = "webgpu";
  readonly cheap = CHEAP;
  readonly mostBuffers = MOST_BUFFERS;
  private instance: GpuJsInstance<GpuJsKernel>;
  private readonly pipelines = new Map<string, Promise<Pipeline>>();
  private broken: Error | null = null;
  private readonly free = new Map<number, Block[]>();
  private readonly slots = new Map<string, Block>();
  /** Counts how often the slots were given back to the GPU. */
  generation = 0;
  /** Small buffers that elements are read through, by their sizes: powers of two. */
  private readonly staging = new Map<number, GPUBuffer[]>();
  private freeBytes = 0;
  private slotBytes = 0;
  private stagingBytes = 0;
  private bytes = 0;
  private buffers = 0;
  private blockCount = 0;
  private submissions = 0;
  /** Settles when the fate of the last submission is known. */
  private issued: Promise<void> = Promise.resolve();
  private readonly batches: Promise<unknown>[] = [];
  /** Bytes of a buffer, at most. */
  readonly largest: number;
  private readonly gone = new FinalizationRegistry<Block>((block) => this.reclaim(block));

  constructor(
    private readonly gpujs: GpuJs,
    private readonly gpu: GPUDevice,
  ) {
    this.instance = new gpujs.GPU({ mode: "webgpu" });
    this.largest = Math.min(gpu.limits.maxStorageBufferBindingSize, gpu.limits.maxBufferSize);
    gpu.lost.then(({ message }) => {
      this.fail(
        `the GPU device was lost${message ? ` (${message})` : ""}, and the tensors on it with it; ` +
          'setDevice("gpu") makes a new one',
      );
    });
    gpu.onuncapturederror = ({ error }) => this.refused(error);
  }

  get failure(): Error | null {
    return this.broken;
  }

  async upload(values: TypedArray, dtype: DType, what: string): Promise<DeviceBuffer> {
    this.check();
    const floats = toFloats(values, dtype, what);
    const [block] = await this.allocate([{ bytes: sizeInBytes(floats.length), what }]);
    this.gpu.queue.writeBuffer(block!.buffer, 0, floats);
    return this.own(dtype, values.length, block!);
  }

  async download(buffer: DeviceBuffer): Promise<TypedArray> {
    this.check();
    const { dtype, size } = buffer;
    const bytes = sizeInBytes(size);
    const staging = await this.takeStaging(bytes);
    try {
      const encoder = this.gpu.createCommandEncoder();
      encoder.copyBufferToBuffer((buffer as WebGpuBuffer).held.buffer, 0, staging, 0, bytes);
      this.gpu.queue.submit([encoder.finish()]);
      await staging.mapAsync(MAP_READ);
    } catch (error) {
      staging.destroy();
      // The reason arrives as an event of its own.
      await this.gpu.queue.onSubmittedWorkDone().catch(() => {});
      this.check();
      throw new Error(`a tensor could not be read from the GPU: ${(error as Error).message}`);
    }
    this.check();
    const floats = new Float32Array(staging.getMappedRange().slice(0, 4 * size));
    staging.unmap();
    this.keepStaging(staging);
    return fromFloats(floats, dtype);
  }

  private async takeStaging(bytes: number): Promise<GPUBuffer> {
    const size = bytes > STAGING_BYTES ? bytes : 2 ** Math.ceil(Math.log2(bytes));
    const kept = this.staging.get(size)?.pop();
    if (kept) {
      this.stagingBytes -= size;
      return kept;
    }
    const [buffer, error] = await this.create(() =>
      this.gpu.createBuffer({ size, usage: MAP_READ | COPY_TARGET }),
    );
    if (!error) return buffer;
    buffer.destroy();
    throw outOfMemory(`to read ${bytes} bytes`);
  }

  private keepStaging(buffer: GPUBuffer): void {
    const { size } = buffer;
    const kept = this.staging.get(size) ?? [];
    if (size > STAGING_BYTES || kept.length >= STAGING_KEPT) {
      buffer.destroy();
      return;
    }
    this.staging.set(size, [...kept, buffer]);
    this.stagingBytes += size;
  }

  /** Creates buffers; the error is that of running out of memory. */
  private async create<T>(make: () => T): Promise<[created: T, error: GPUError | null]> {
    this.gpu.pushErrorScope("out-of-memory");
    const created = make();
    try {
      return [created, await this.gpu.popErrorScope()];
    } catch (error) {
      // The device was lost; why arrives as an event of its own.
      await this.gpu.lost;
      this.check();
      throw error;
    }
  }

  /**
   * Issues commands. Whether the GPU takes them is known when the scope's result comes back, and
   * with it the fate of all that was issued before.
   */
  issue(commands: () => void): void {
    this.gpu.pushErrorScope("validation");
    try {
      commands();
    } finally {
      this.issued = this.gpu.popErrorScope().then(
        (error) => {
          if (error) this.refused(error);
        },
        // The device was lost.
        () => {},
      );
    }
  }

  async accepted(): Promise<void> {
    await this.issued;
    this.check();
  }

  memory(): DeviceMemory {
    const scratchBytes = this.slotBytes + this.freeBytes + this.stagingBytes;
    return { bytes: this.bytes, buffers: this.buffers, scratchBytes };
  }

  async prepare(plan: Plan): Promise<Executable> {
    this.check();
    const inputs = this.gpu.limits.maxStorageBuffersPerShaderStage - 1;
    const rewritten = rewrite(plan, { inputs, products: true });
    const pipelines = await Promise.all(rewritten.steps.map((step) => this.pipeline(step)));
    const [executable, error] = await this.create(
      () => new WebGpuExecutable(this, this.gpu, plan, rewritten, pipelines),
    );
    if (!error) return executable;
    throw outOfMemory("for the constants of a plan");
  }

  /** Throws if the device can no longer be used. */
  check(): void {
    if (this.broken) throw this.broken;
  }

  /** Takes blocks, from freed ones where sizes agree. All or none. */
  async allocate(requests: readonly { bytes: number; what: string }[]): Promise<Block[]> {
    for (const { bytes, what } of requests) {
      if (bytes > this.largest) {
        throw new RangeError(
          `${what} takes ${bytes} bytes, more than the ${this.largest} this GPU allows per tensor; ` +
            'split it, or use setDevice("wasm")',
        );
      }
    }
    const taken = requests.map(({ bytes }) => this.free.get(bytes)?.pop() ?? null);
    for (const block of taken) if (block) this.freeBytes -= block.bytes;
    if (taken.every((block) => block !== null)) return taken;
    const usage = STORAGE | COPY_SOURCE | COPY_TARGET;
    const [blocks, error] = await this.create(() =>
      taken.map((block, i): Block => {
        const { bytes } = requests[i]!;
        const made = () => this.gpu.createBuffer({ size: bytes, usage });
        return block ?? { buffer: made(), id: this.blockCount++, bytes };
      }),
    );
    if (!error) return blocks;
    blocks.forEach((block, i) => {
      if (taken[i]) this.keep(block);
      else block.buffer.destroy();
    });
    const bytes = requests.reduce((sum, request) => sum + request.bytes, 0);
    throw outOfMemory(`for ${requests.map(({ what }) => what).join(", ")} (${bytes} bytes)`);
  }

  /** A tensor's elements in a block. */
  own(dtype: DType, size: number, block: Block): WebGpuBuffer {
    const buffer = new ResidentBuffer(dtype, size, this, block);
    this.gone.register(buffer, block, buffer);
    this.bytes += block.bytes;
    this.buffers++;
    return buffer;
  }

  release(buffer: WebGpuBuffer, block: Block): void {
    this.gone.unregister(buffer);
    this.reclaim(block);
  }

  /** Makes sure that there are blocks for the slots. */
  async reserve(slots: readonly Slot[]): Promise<void> {
    const missing = slots.filter((slot) => !this.slots.has(slotKey(slot)));
    if (missing.length === 0) return;
    const requests = missing.map(({ bytes }) => ({ bytes, what: "the temporaries of a plan" }));
    const blocks = await this.allocate(requests);
    blocks.forEach((block, i) => {
      this.slots.set(slotKey(missing[i]!), block);
      this.slotBytes += block.bytes;
    });
  }

  slot(slot: Slot): Block {
    return this.slots.get(slotKey(slot))!;
  }

  /** Notes a submission, and waits while the GPU is too far behind. */
  async submitted(): Promise<void> {
    if (++this.submissions % BATCH !== 0) return;
    this.batches.push(this.gpu.queue.onSubmittedWorkDone().catch(() => {}));
    if (this.batches.length > BATCHES_BEHIND) await this.batches.shift();
  }

  trim(): void {
    for (const list of this.free.values()) for (const { buffer } of list) buffer.destroy();
    for (const { buffer } of this.slots.values()) buffer.destroy();
    for (const list of this.staging.values()) for (const buffer of list) buffer.destroy();
    for (const kept of [this.free, this.slots, this.staging]) kept.clear();
    this.freeBytes = 0;
    this.slotBytes = 0;
    this.stagingBytes = 0;
    this.generation++;
  }

  /** What was to be computed may be in use already: nothing on this device can be relied on. */
  private refused({ message }: GPUError): void {
    // gpu.js may have another device by now.
    if (this.broken) return;
    this.fail(
      `a command failed on the GPU (${message}); what it should have computed is not there. ` +
        'setDevice("gpu") makes a new device',
    );
    void this.gpujs.WebGPUContext.destroy();
  }

  private fail(message: string): void {
    this.broken ??= new Error(message);
  }

  private reclaim(block: Block): void {
    this.bytes -= block.bytes;
    this.buffers--;
    this.keep(block);
  }

  /** Keeps a block that nobody uses, for later or until memory runs out. */
  keep(block: Block): void {
    const most = Math.max(KEPT_BYTES, this.bytes);
    if (block.bytes > most) {
      block.buffer.destroy();
      return;
    }
    // The one with the lowest number is taken first, so that a loop comes back to the same blocks in
    // the same order, and to the bind groups that hold them.
    const list = this.free.get(block.bytes) ?? [];
    let at = list.length;
    while (at > 0 && list[at - 1]!.id < block.id) at--;
    list.splice(at, 0, block);
    this.freeBytes += block.bytes;
    // Sizes in the order of use: what is too much is taken from those not used for longest.
    this.free.delete(block.bytes);
    this.free.set(block.bytes, list);
    for (const [bytes, unused] of this.free) {
      while (this.freeBytes > most && unused.length > 0) {
        unused.shift()!.buffer.destroy();
        this.freeBytes -= bytes;
      }
      if (unused.length > 0) break;
      this.free.delete(bytes);
    }
  }

  private pipeline(step: GpuStep): Promise<Pipeline> {
    const shader = shaderOf(step.kernel);
    const key = JSON.stringify([shader, step.kernel.kind === "matmul" ? step.kernel : null]);
    let pipeline = this.pipelines.get(key);
    if (!pipeline) {
      if (this.pipelines.size >= KERNELS_KEPT) {
        this.pipelines.clear();
        this.instance = new this.gpujs.GPU({ mode: "webgpu" });
      }
      pipeline = this.build(shader, step);
      this.pipelines.set(key, pipeline);
      pipeline.catch(() => this.pipelines.delete(key));
    }
    return pipeline;
  }

  private async build(shader: CompiledShader, { kernel, operations }: GpuStep): Promise<Pipeline> {
    const run = createShader(this.instance, shader);
    const own = run.kernel;
    // Outputs and uniforms come from here.
    own._ensureOutputBuffer = () => {};
    if (kernel.kind === "matmul") {
      installTiledProduct(own, tiledProduct(kernel, shader.threads, this.gpu.limits));
    }
    try {
      const one = this.gpujs.input(new Float32Array(1), [1]);
      await run.build(...shader.buffers.map(() => one), ...shader.scalars.map(() => 0));
    } catch (error) {
      this.check();
      throw new Error(
        `the kernel of ${operations.join(", ")} could not be compiled for this GPU: ${(error as Error).message}`,
        { cause: error },
      );
    }
    own.paramsBuffer?.destroy();
    own.paramsBuffer = null;
    const { groups, dispatchWidth } = own._computeDispatch(own.threadDim);
    return { shader, kernel: own, groups, head: [...own.threadDim, dispatchWidth] };
  }
}
