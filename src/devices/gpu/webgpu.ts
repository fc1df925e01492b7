/**
 * The GPU device on WebGPU. gpu.js compiles the kernels; buffers, bind groups and commands are
 * handled here: elements stay on the GPU, a plan is submitted as a whole, and what was made for one
 * run is used again by the next.
 * @module
 */
/// <reference types="@webgpu/types" />

import type { DType, TypedArray } from "../../kernels/dtype.js";
import type { Plan } from "../../kernels/kernel.js";
import {
  type Device,
  type DeviceBuffer,
  type DeviceMemory,
  type Executable,
  OutOfMemoryError,
} from "../device.js";
import { fromFloats, toFloats } from "./elements.js";
import type { GpuJs, GpuJsInstance, GpuJsKernel } from "./gpujs.js";
import { installTiledProduct, tiledProduct } from "./matmul.js";
import { type GpuPlan, type GpuStep, rewrite } from "./rewrite.js";
import { type CompiledShader, createShader, shaderOf } from "./shader.js";

/** WebGPU's constants, which are globals in browsers only. */
const UNIFORM = 0x40;
const STORAGE = 0x80;
const COPY_SOURCE = 0x4;
const COPY_TARGET = 0x8;
const MAP_READ = 0x1;

/** Compiled kernels kept; plans hold on to those they use. */
const KERNELS_KEPT = 4096;
/** Bind groups kept per kernel of a plan: one for each set of buffers it was run with. */
const BIND_GROUPS_KEPT = 256;
/** Submissions the GPU may be behind. */
const IN_FLIGHT = 64;
/** Bytes of freed buffers kept for later ones, if more is not in use. */
const KEPT_BYTES = 64e6;

/** A GPU buffer with a number that bind groups are found by. */
interface Block {
  readonly buffer: GPUBuffer;
  readonly id: number;
  readonly bytes: number;
}

class WebGpuBuffer implements DeviceBuffer {
  private held: Block | null;

  constructor(
    readonly dtype: DType,
    readonly size: number,
    readonly home: WebGpuDevice,
    block: Block,
  ) {
    this.held = block;
  }

  get block(): Block {
    if (!this.held) throw new Error("a tensor was used after dispose() gave its memory back");
    return this.held;
  }

  dispose(): void {
    if (!this.held) return;
    const block = this.held;
    this.held = null;
    this.home.release(this, block);
  }
}

/** A kernel with its pipeline. */
interface Pipeline {
  readonly shader: CompiledShader;
  readonly kernel: GpuJsKernel;
  readonly groups: readonly number[];
  /** Threads and the width of a row of workgroups, the head of the uniform block. */
  readonly head: readonly number[];
}

/** A kernel of a plan. */
interface Command {
  readonly pipeline: Pipeline;
  /** Plan buffers by binding: what is read, then the output. */
  readonly buffers: readonly number[];
  readonly isFixed: boolean;
  readonly uniformOffset: number;
  readonly bindGroups: Map<string, GPUBindGroup>;
}

/** Where a temporary lives: blocks of a size are numbered and shared by all plans. */
interface Slot {
  readonly bytes: number;
  readonly number: number;
}

/** Creates the device. */
export async function createWebGpuDevice(gpujs: GpuJs): Promise<Device> {
  const { device } = await gpujs.WebGPUContext.acquire();
  return new WebGpuDevice(gpujs, device);
}

class WebGpuDevice implements Device {
  readonly name = "gpu";
  readonly backend = "webgpu";
  private instance: GpuJsInstance;
  private readonly pipelines = new Map<string, Promise<Pipeline>>();
  private broken: Error | null = null;
  private readonly free = new Map<number, Block[]>();
  private readonly slots = new Map<string, Block>();
  private freeBytes = 0;
  private slotBytes = 0;
  private bytes = 0;
  private buffers = 0;
  private blockCount = 0;
  private readonly submissions: Promise<unknown>[] = [];
  private readonly largest: number;
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
    gpu.onuncapturederror = ({ error }) => {
      this.fail(
        `a command failed on the GPU (${error.message}); what it should have computed is not there. ` +
          'setDevice("gpu") makes a new device',
      );
      void gpujs.WebGPUContext.destroy();
    };
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
    const { block } = buffer as WebGpuBuffer;
    const bytes = sizeInBytes(size);
    const staging = this.gpu.createBuffer({ size: bytes, usage: MAP_READ | COPY_TARGET });
    try {
      const encoder = this.gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(block.buffer, 0, staging, 0, bytes);
      this.gpu.queue.submit([encoder.finish()]);
      await staging.mapAsync(MAP_READ);
    } catch (error) {
      // The reason arrives as an event of its own.
      await this.gpu.queue.onSubmittedWorkDone().catch(() => {});
      this.check();
      throw new Error(`a tensor could not be read from the GPU: ${(error as Error).message}`);
    }
    this.check();
    const floats = new Float32Array(staging.getMappedRange().slice(0, 4 * size));
    staging.unmap();
    staging.destroy();
    return fromFloats(floats, dtype);
  }

  memory(): DeviceMemory {
    const scratchBytes = this.slotBytes + this.freeBytes;
    return { bytes: this.bytes, buffers: this.buffers, scratchBytes };
  }

  async prepare(plan: Plan): Promise<Executable> {
    this.check();
    const inputs = this.gpu.limits.maxStorageBuffersPerShaderStage - 1;
    const rewritten = rewrite(plan, { inputs, products: true });
    const pipelines = await Promise.all(rewritten.steps.map((step) => this.pipeline(step)));
    return new WebGpuExecutable(this, this.gpu, plan, rewritten, pipelines);
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
    this.gpu.pushErrorScope("out-of-memory");
    const blocks = taken.map((block, i) => {
      const { bytes } = requests[i]!;
      const usage = STORAGE | COPY_SOURCE | COPY_TARGET;
      return (
        block ?? {
          buffer: this.gpu.createBuffer({ size: bytes, usage }),
          id: this.blockCount++,
          bytes,
        }
      );
    });
    const error = await this.gpu.popErrorScope();
    if (!error) return blocks;
    blocks.forEach((block, i) => {
      if (taken[i]) this.keep(block);
      else block.buffer.destroy();
    });
    const bytes = requests.reduce((sum, request) => sum + request.bytes, 0);
    throw new OutOfMemoryError(
      `the GPU has no memory left for ${requests.map(({ what }) => what).join(", ")} (${bytes} bytes); ` +
        "dispose() tensors that are no longer needed, or use smaller batches",
    );
  }

  /** A tensor's elements in a block. */
  own(dtype: DType, size: number, block: Block): WebGpuBuffer {
    const buffer = new WebGpuBuffer(dtype, size, this, block);
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

  /** Notes a submission, and waits while too many are not done. */
  async submitted(): Promise<void> {
    this.submissions.push(this.gpu.queue.onSubmittedWorkDone().catch(() => {}));
    if (this.submissions.length > IN_FLIGHT) await this.submissions.shift();
  }

  private fail(message: string): void {
    this.broken ??= new Error(message);
  }

  private reclaim(block: Block): void {
    this.bytes -= block.bytes;
    this.buffers--;
    this.keep(block);
  }

  private keep(block: Block): void {
    if (this.freeBytes + block.bytes > Math.max(KEPT_BYTES, this.bytes)) {
      block.buffer.destroy();
      return;
    }
    const list = this.free.get(block.bytes);
    if (list) list.push(block);
    else this.free.set(block.bytes, [block]);
    this.freeBytes += block.bytes;
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

/** A plan with its pipelines, uniform blocks and bind groups. */
class WebGpuExecutable implements Executable {
  private readonly commands: readonly Command[];
  /** Slot of each temporary. */
  private readonly places: readonly (Slot | null)[];
  private readonly slots: readonly Slot[];
  private readonly uniforms: GPUBuffer | null;
  private readonly uniformValues: Float32Array<ArrayBuffer>;
  /** Words of the uniform blocks that hold plan constants. */
  private readonly constantWords: readonly (readonly [word: number, constant: number])[];
  private isWritten = false;

  constructor(
    private readonly device: WebGpuDevice,
    private readonly gpu: GPUDevice,
    private readonly plan: Plan,
    rewritten: GpuPlan,
    pipelines: readonly Pipeline[],
  ) {
    this.places = assignSlots(rewritten);
    this.slots = [...new Map(this.places.flatMap((s) => (s ? [[slotKey(s), s]] : []))).values()];
    const alignment = gpu.limits.minUniformBufferOffsetAlignment;
    let end = 0;
    this.commands = rewritten.steps.map((step, i): Command => {
      const pipeline = pipelines[i]!;
      const uniformOffset = end;
      const { byteLength } = pipeline.kernel.paramsLayout;
      end += Math.ceil(byteLength / alignment) * alignment;
      const read = pipeline.shader.buffers.map((buffer) => step.buffers[buffer]!);
      const buffers = [...read, step.buffers[0]!];
      const isFixed = buffers.every((buffer) => this.places[buffer]);
      return { pipeline, buffers, isFixed, uniformOffset, bindGroups: new Map() };
    });
    this.uniformValues = new Float32Array(end / 4);
    const heads = new Uint32Array(this.uniformValues.buffer);
    const constantWords: [number, number][] = [];
    this.commands.forEach(({ pipeline, uniformOffset }, i) => {
      const first = uniformOffset / 4;
      heads.set(pipeline.head, first);
      pipeline.kernel.paramsLayout.scalarArgs.forEach(({ offset }, argument) => {
        const scalar = pipeline.shader.scalars[argument]!;
        const word = first + offset / 4;
        if (typeof scalar === "number") this.uniformValues[word] = scalar;
        else constantWords.push([word, rewritten.steps[i]!.constants[scalar.slot]!]);
      });
    });
    this.constantWords = constantWords;
    this.uniforms =
      end === 0 ? null : gpu.createBuffer({ size: end, usage: UNIFORM | COPY_TARGET });
  }

  async run(inputs: readonly DeviceBuffer[], constants: Float64Array): Promise<DeviceBuffer[]> {
    const { device, gpu, plan } = this;
    device.check();
    await device.reserve(this.slots);
    const requests = plan.outputs.map((number) => {
      const { dtype, size } = plan.buffers[number]!;
      return { bytes: sizeInBytes(size), what: `a ${dtype} tensor of ${size} elements` };
    });
    const outputs = await device.allocate(requests);
    this.writeUniforms(constants);
    const blocks = this.places.map((slot) => (slot ? device.slot(slot) : null));
    plan.inputs.forEach((number, i) => {
      blocks[number] = (inputs[i] as WebGpuBuffer).block;
    });
    plan.outputs.forEach((number, i) => {
      blocks[number] = outputs[i]!;
    });
    if (this.commands.length > 0) {
      const encoder = gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const command of this.commands) {
        const { kernel, groups } = command.pipeline;
        pass.setPipeline(kernel.computePipeline);
        pass.setBindGroup(0, this.bindGroup(command, blocks as Block[]));
        pass.dispatchWorkgroups(groups[0]!, groups[1], groups[2]);
      }
      pass.end();
      gpu.queue.submit([encoder.finish()]);
      await device.submitted();
    }
    return plan.outputs.map((number, i) => {
      const { dtype, size } = plan.buffers[number]!;
      return device.own(dtype, size, outputs[i]!);
    });
  }

  private writeUniforms(constants: Float64Array): void {
    const values = this.uniformValues;
    for (const [word, constant] of this.constantWords) {
      const value = Math.fround(constants[constant]!);
      if (Object.is(values[word], value)) continue;
      values[word] = value;
      this.isWritten = false;
    }
    if (this.isWritten || !this.uniforms) return;
    this.gpu.queue.writeBuffer(this.uniforms, 0, values);
    this.isWritten = true;
  }

  private bindGroup(command: Command, blocks: readonly Block[]): GPUBindGroup {
    const { buffers, bindGroups, isFixed, pipeline, uniformOffset } = command;
    const key = isFixed ? "" : buffers.map((number) => blocks[number]!.id).join();
    let group = bindGroups.get(key);
    if (!group) {
      const size = pipeline.kernel.paramsLayout.byteLength;
      const uniform = { buffer: this.uniforms!, offset: uniformOffset, size };
      group = this.gpu.createBindGroup({
        layout: pipeline.kernel.bindGroupLayout,
        entries: [
          { binding: 0, resource: uniform },
          ...buffers.map((number, i) => ({
            binding: i + 1,
            resource: { buffer: blocks[number]!.buffer },
          })),
        ],
      });
      if (bindGroups.size >= BIND_GROUPS_KEPT) bindGroups.clear();
      bindGroups.set(key, group);
    }
    return group;
  }
}

/** Bytes of a buffer of so many elements: an empty one cannot be bound. */
function sizeInBytes(elements: number): number {
  return Math.max(16, 4 * elements);
}

/** Temporaries come in few sizes, so that plans can share them: quarters of a power of two. */
function slotBytes(elements: number): number {
  const bytes = Math.max(256, 4 * elements);
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 2);
  return Math.ceil(bytes / step) * step;
}

function slotKey({ bytes, number }: Slot): string {
  return `${bytes}:${number}`;
}

/** Slots of the temporaries; those not alive together share one. A kernel never writes what it reads. */
function assignSlots({ buffers, steps }: GpuPlan): (Slot | null)[] {
  const lastUse = new Map<number, number>();
  steps.forEach((step, time) => {
    for (const buffer of step.buffers) lastUse.set(buffer, time);
  });
  const slots: (Slot | null)[] = buffers.map(() => null);
  const free = new Map<number, Slot[]>();
  const counts = new Map<number, number>();
  steps.forEach((step, time) => {
    for (const buffer of step.buffers) {
      // An output, or an empty temporary, which no kernel writes.
      if (slots[buffer] || buffers[buffer]!.role !== "temporary") continue;
      const bytes = slotBytes(buffers[buffer]!.size);
      let slot = free.get(bytes)?.pop();
      if (!slot) {
        const number = counts.get(bytes) ?? 0;
        counts.set(bytes, number + 1);
        slot = { bytes, number };
      }
      slots[buffer] = slot;
    }
    for (const buffer of new Set(step.buffers)) {
      const slot = slots[buffer];
      if (!slot || lastUse.get(buffer) !== time) continue;
      free.set(slot.bytes, [...(free.get(slot.bytes) ?? []), slot]);
    }
  });
  return slots;
}
