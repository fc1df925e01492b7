/// <reference types="@webgpu/types" />
/**
 * A plan made ready for WebGPU. Its pipelines, uniform blocks and bind groups serve every run.
 * @module
 */

import type { Plan } from "../../../kernels/kernel.js";
import type { DeviceBuffer, Executable } from "../../device.js";
import { constantsCheck } from "../elements.js";
import type { GpuPlan } from "../plan.js";
import { type Block, sizeInBytes, type WebGpuBuffer } from "./buffer.js";
import type { Pipeline, WebGpuDevice } from "./device.js";
import { assignSlots, type Slot, slotKey } from "./slots.js";

const UNIFORM = 0x40;
const COPY_TARGET = 0x8;

/**
 * Bind groups kept per plan. Each kernel has one for each set of buffers it has run with. A loop whose
 * tensors wait for garbage collection uses new buffers in each turn until the collection.
 */
const BIND_GROUPS_KEPT = 8192;

/** A kernel of a plan, ready to be dispatched. */
interface Command {
  readonly pipeline: Pipeline;
  /** Plan buffers in the order of bindings: those read, then the output. */
  readonly buffers: readonly number[];
  readonly uniformOffset: number;
  /** The operations it computes. */
  readonly label: string;
  /** Keys are the numbers of the blocks that are bound. */
  readonly bindGroups: Map<string, BoundBlocks>;
  /** The bind group of the last run: usually the next run needs it again. */
  bound: BoundBlocks | null;
}

/** A bind group and the blocks in it. */
interface BoundBlocks {
  readonly blocks: readonly Block[];
  readonly group: GPUBindGroup;
}

/** A plan with its pipelines, uniform blocks and bind groups. */
export class WebGpuExecutable implements Executable {
  private readonly commands: readonly Command[];
  /** Slot of each temporary. */
  private readonly places: readonly (Slot | null)[];
  private readonly slots: readonly Slot[];
  private readonly uniforms: GPUBuffer | null;
  private readonly uniformValues: Float32Array<ArrayBuffer>;
  /** Words of the uniform blocks that hold plan constants. */
  private readonly constantWords: readonly (readonly [word: number, constant: number])[];
  private readonly checkConstants: (constants: Float64Array) => void;
  private isWritten = false;
  private bindGroupCount = 0;
  /** The block of each temporary. */
  private temporaries: readonly (Block | null)[] = [];
  /** The device's generation when these blocks were fetched. In a later one they are no longer valid. */
  private generation = -1;

  constructor(
    private readonly device: WebGpuDevice,
    private readonly gpu: GPUDevice,
    private readonly plan: Plan,
    rewritten: GpuPlan,
    pipelines: readonly Pipeline[],
  ) {
    this.checkConstants = constantsCheck(plan);
    this.places = assignSlots(rewritten, device.largest);
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
      const label = step.operations.join(" ");
      return { pipeline, buffers, uniformOffset, label, bindGroups: new Map(), bound: null };
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
    const { device, plan } = this;
    device.check();
    this.checkConstants(constants);
    const created = plan.outputs.filter((number) => plan.buffers[number]!.role === "output");
    const requests = created.map((number) => {
      const { dtype, size, name } = plan.buffers[number]!;
      return {
        bytes: sizeInBytes(dtype, size),
        what: name ?? `a ${dtype} tensor of ${size} elements`,
      };
    });
    const allocated = await device.allocate(requests);
    const outputs = new Map(created.map((number, i) => [number, allocated[i]!]));
    try {
      while (this.generation !== device.generation) {
        const { generation } = device;
        await device.reserve(this.slots);
        if (generation !== device.generation) continue;
        this.temporaries = this.places.map((slot) => (slot ? device.slot(slot) : null));
        this.generation = generation;
      }
      // Nothing is awaited from here to the submission, so that no block gets another owner meanwhile.
      this.submit(inputs, outputs, constants);
    } catch (error) {
      for (const block of allocated) device.keep(block);
      throw error;
    }
    const results = plan.outputs.map((number) => {
      const { dtype, size } = plan.buffers[number]!;
      const block = outputs.get(number);
      return block ? device.own(dtype, size, block) : inputs[plan.inputs.indexOf(number)]!;
    });
    await device.submitted();
    return results;
  }

  private submit(
    inputs: readonly DeviceBuffer[],
    outputs: ReadonlyMap<number, Block>,
    constants: Float64Array,
  ): void {
    const { device, gpu, plan } = this;
    const blocks = [...this.temporaries];
    plan.inputs.forEach((number, i) => {
      blocks[number] = (inputs[i] as WebGpuBuffer).held;
    });
    for (const [number, block] of outputs) blocks[number] = block;
    if (this.commands.length === 0) return;
    device.issue(() => {
      this.writeUniforms(constants);
      const encoder = gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      let current: Pipeline | null = null;
      for (const command of this.commands) {
        const { pipeline } = command;
        const { kernel, groups } = pipeline;
        if (pipeline !== current) pass.setPipeline(kernel.computePipeline);
        current = pipeline;
        pass.setBindGroup(0, this.bindGroup(command, blocks as Block[]));
        pass.dispatchWorkgroups(groups[0]!, groups[1], groups[2]);
      }
      pass.end();
      gpu.queue.submit([encoder.finish()]);
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
    const { buffers, bindGroups, bound } = command;
    if (bound && buffers.every((number, i) => bound.blocks[i] === blocks[number])) {
      return bound.group;
    }
    const key = buffers.map((number) => blocks[number]!.id).join();
    let found = bindGroups.get(key);
    if (!found) {
      found = this.bind(
        command,
        buffers.map((number) => blocks[number]!),
      );
      if (++this.bindGroupCount > BIND_GROUPS_KEPT) {
        for (const { bindGroups } of this.commands) bindGroups.clear();
        this.bindGroupCount = 1;
      }
      bindGroups.set(key, found);
    }
    command.bound = found;
    return found.group;
  }

  private bind({ pipeline, uniformOffset, label }: Command, blocks: readonly Block[]): BoundBlocks {
    const { bindGroupLayout, paramsLayout } = pipeline.kernel;
    const uniform = {
      buffer: this.uniforms!,
      offset: uniformOffset,
      size: paramsLayout.byteLength,
    };
    const group = this.gpu.createBindGroup({
      label,
      layout: bindGroupLayout,
      entries: [
        { binding: 0, resource: uniform },
        ...blocks.map(({ buffer }, i) => ({ binding: i + 1, resource: { buffer } })),
      ],
    });
    return { blocks, group };
  }
}
