/**
 * The GPU device on WebGPU. gpu.js compiles the kernels. This file handles buffers, bind groups and
 * commands: elements stay on the GPU, a plan is submitted as a whole, and the next run uses what was made
 * for this one.
 * @module
 */
/// <reference types="@webgpu/types" />

import { bytesPerElement, type StorageType, type StoredArray } from "../../../kernels/dtype.js";
import type { Plan } from "../../../kernels/kernel.js";
import { ResidentBuffer } from "../../buffer.js";
import type { Device, DeviceBuffer, DeviceLimits, DeviceMemory, Executable } from "../../device.js";
import { checkDType, fromFloats, toFloats } from "../elements.js";
import type { GpuJs, GpuJsInstance, GpuJsKernel } from "../gpujs.js";
import { outOfMemory } from "../outOfMemory.js";
import { type GpuStep, RECOMPUTE_LIMIT } from "../plan.js";
import { rewrite } from "../rewrite.js";
import { type CompiledShader, createShader, shaderOf } from "../shaders/shader.js";
import { type Block, sizeInBytes, type WebGpuBuffer } from "./buffer.js";
import { WebGpuExecutable } from "./executable.js";
import { installTiledProduct, tiledProduct } from "./matmul.js";
import { installPacked, WordPacker } from "./packed.js";
import { type Slot, slotKey } from "./slots.js";
import { installWrite } from "./write.js";

/** Buffer usages. Browsers have them as the global `GPUBufferUsage`, Node does not. */
const STORAGE = 0x80;
const COPY_SOURCE = 0x4;
const COPY_TARGET = 0x8;
const MAP_READ = 0x1;

/** The device forgets its compiled kernels when it has this many. Plans keep those they use. */
const KERNELS_KEPT = 4096;
/** Submissions in a batch. After each batch the device asks the GPU to say when it has finished it. */
const BATCH = 8;
/** Batches that may be unfinished. With more the device waits, so that commands do not pile up. */
const BATCHES_BEHIND = 8;
/**
 * Tensors that may be made after a garbage collection before the device asks for the next one. Small tensors
 * count because each costs a bind group. After a collection, a loop uses the same blocks and their bind
 * groups again.
 */
const MOST_BUFFERS = 1024;
/** Largest staging buffer that is kept, in bytes. */
const STAGING_BYTES = 65_536;
/** How many are kept of each size. */
const STAGING_KEPT = 16;
/** Bytes that may be written before the device waits: the GPU's driver holds a copy of them until then. */
const WRITTEN_BYTES = 32e6;
/** Bytes of freed blocks that are kept. If tensors hold more than that, as many bytes as they hold are kept. */
const KEPT_BYTES = 64e6;

/** A kernel with its pipeline. */
export interface Pipeline {
  readonly shader: CompiledShader;
  readonly kernel: GpuJsKernel;
  readonly groups: readonly number[];
  /** The first words of the uniform block: threads along x, y and z, then workgroups in a row. */
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
  readonly recomputeLimit = RECOMPUTE_LIMIT;
  readonly mostBuffers = MOST_BUFFERS;
  private instance: GpuJsInstance<GpuJsKernel>;
  private readonly pipelines = new Map<string, Promise<Pipeline>>();
  private broken: Error | null = null;
  private readonly free = new Map<number, Block[]>();
  private readonly slots = new Map<string, Block>();
  /** How often the slots' blocks were given back to the GPU. Plans that hold older blocks must fetch new ones. */
  generation = 0;
  /** Staging buffers that elements are read through, by size: a power of two. */
  private readonly staging = new Map<number, GPUBuffer[]>();
  private freeBytes = 0;
  private slotBytes = 0;
  private stagingBytes = 0;
  private bytes = 0;
  private buffers = 0;
  private blockCount = 0;
  private submissions = 0;
  /** Bytes written since the device last waited for them. */
  private written = 0;
  /** Settles when the GPU process has accepted or refused the last submission. */
  private issued: Promise<void> = Promise.resolve();
  private readonly batches: Promise<unknown>[] = [];
  private readonly packer = new WordPacker();
  /** Most bytes a buffer may have. */
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

  get limits(): DeviceLimits {
    return { tensor: this.largest, total: Number.POSITIVE_INFINITY };
  }

  async create(dtype: StorageType, size: number, what: string): Promise<DeviceBuffer> {
    this.check();
    checkDType(dtype, what);
    const [block] = await this.allocate([{ bytes: sizeInBytes(dtype, size), what }]);
    return this.own(dtype, size, block!);
  }

  async write(
    buffer: DeviceBuffer,
    from: number,
    values: StoredArray,
    what: string,
  ): Promise<void> {
    this.check();
    const { dtype } = buffer;
    const [first, elements] =
      dtype === "bfloat16"
        ? this.packer.words(buffer, from, values)
        : [from, toFloats(values, dtype, what)];
    const { held } = buffer as WebGpuBuffer;
    this.gpu.queue.writeBuffer(held.buffer, bytesPerElement(dtype) * first, elements);
    this.written += elements.byteLength;
    if (this.written < WRITTEN_BYTES) return;
    this.written = 0;
    await this.gpu.queue.onSubmittedWorkDone().catch(() => {});
    this.check();
  }

  async download(buffer: DeviceBuffer): Promise<StoredArray> {
    this.check();
    const { dtype, size } = buffer;
    const bytes = sizeInBytes(dtype, size);
    const source = (buffer as WebGpuBuffer).held.buffer;
    const copyInto = (target: GPUBuffer): void => {
      const encoder = this.gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(source, 0, target, 0, bytes);
      this.gpu.queue.submit([encoder.finish()]);
    };
    const length = bytes > STAGING_BYTES ? bytes : 2 ** Math.ceil(Math.log2(bytes));
    let staging = this.staging.get(length)?.pop();
    if (staging) {
      this.stagingBytes -= length;
      copyInto(staging);
    } else staging = await this.newStaging(length, copyInto);
    try {
      await staging.mapAsync(MAP_READ);
    } catch (error) {
      staging.destroy();
      // If the device was lost, an event of its own brings the reason.
      await this.gpu.queue.onSubmittedWorkDone().catch(() => {});
      this.check();
      throw new Error(`a tensor could not be read from the GPU: ${(error as Error).message}`);
    }
    this.check();
    const elements = staging.getMappedRange().slice(0, bytesPerElement(dtype) * size);
    staging.unmap();
    this.keepStaging(staging);
    if (dtype === "bfloat16") return new Uint16Array(elements);
    return fromFloats(new Float32Array(elements), dtype);
  }

  /** A new staging buffer, and at once the command that fills it. */
  private async newStaging(
    size: number,
    copyInto: (target: GPUBuffer) => void,
  ): Promise<GPUBuffer> {
    // Where there is no memory for the buffer, the copy is refused as well. That breaks nothing.
    this.gpu.pushErrorScope("validation");
    const making = this.made(() => {
      const created = this.gpu.createBuffer({ size, usage: MAP_READ | COPY_TARGET });
      copyInto(created);
      return created;
    });
    const refusal = this.gpu.popErrorScope().catch(() => null);
    const [staging, missing] = await making;
    if (missing) {
      staging.destroy();
      throw outOfMemory(`to read ${size} bytes`);
    }
    const refused = await refusal;
    if (refused) this.refused(refused);
    return staging;
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

  /** Creates buffers. The error is not null if the GPU had no memory for them. */
  private async made<T>(make: () => T): Promise<[created: T, error: GPUError | null]> {
    this.gpu.pushErrorScope("out-of-memory");
    const created = make();
    try {
      return [created, await this.gpu.popErrorScope()];
    } catch (error) {
      // The device was lost. An event of its own brings the reason.
      await this.gpu.lost;
      this.check();
      throw error;
    }
  }

  /**
   * Issues commands. Whether the GPU accepts them is known when the error scope gives its result. By then
   * it is known of all earlier commands, too.
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
    const [executable, error] = await this.made(
      () => new WebGpuExecutable(this, this.gpu, plan, rewritten, pipelines),
    );
    if (!error) return executable;
    throw outOfMemory("for the constants of a plan");
  }

  /** Throws if the device can no longer be used. */
  check(): void {
    if (this.broken) throw this.broken;
  }

  /** Takes a block for each request: a freed one of the same size, or a new one. Takes all or none. */
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
    const [blocks, error] = await this.made(() =>
      taken.map((block, i): Block => {
        const { bytes } = requests[i]!;
        const buffer = () => this.gpu.createBuffer({ size: bytes, usage });
        return block ?? { buffer: buffer(), id: this.blockCount++, bytes };
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
  own(dtype: StorageType, size: number, block: Block): WebGpuBuffer {
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

  /** Allocates a block for each slot that has none. */
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

  /** Counts a submission. Waits while more than {@link BATCHES_BEHIND} batches are unfinished. */
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

  /** Gives the device up: later commands may already use the result of the one that was refused. */
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

  /** Keeps a freed block for later allocations, until memory runs out. */
  keep(block: Block): void {
    const most = Math.max(KEPT_BYTES, this.bytes);
    if (block.bytes > most) {
      block.buffer.destroy();
      return;
    }
    // Lists end with the lowest number, which is taken first. So a loop uses the same blocks in the same
    // order in each turn, and finds its bind groups again.
    const list = this.free.get(block.bytes) ?? [];
    let at = list.length;
    while (at > 0 && list[at - 1]!.id < block.id) at--;
    list.splice(at, 0, block);
    this.freeBytes += block.bytes;
    // The map lists sizes by last use. If too much is kept, blocks of the size unused for longest go first.
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
    const { kernel } = step;
    const hasEntryPoint = kernel.kind === "matmul" || kernel.kind === "write";
    const key = JSON.stringify([shader, hasEntryPoint ? kernel : null]);
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
    // The executable provides outputs and uniforms.
    own._ensureOutputBuffer = () => {};
    if (kernel.kind === "matmul") {
      installTiledProduct(own, tiledProduct(kernel, shader.threads, this.gpu.limits));
    } else if (kernel.kind === "write") installWrite(own, kernel);
    installPacked(own, shader.packed);
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
