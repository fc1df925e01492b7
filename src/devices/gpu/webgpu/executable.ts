/// <reference types="@webgpu/types" />
/**
 * A plan made ready for WebGPU: what was made for one run is used again by the next.
 * @module
 */

import type { Plan } from "../../../kernels/kernel.js";
import type { DeviceBuffer, Executable } from "../../device.js";
import type { GpuPlan } from "../plan.js";
import { type Block, sizeInBytes, type WebGpuBuffer } from "./buffer.js";
import type { Pipeline, WebGpuDevice } from "./device.js";
import { assignSlots, type Slot, slotKey } from "./slots.js";

const UNIFORM = 0x40;
const COPY_TARGET = 0x8;

/** Bind groups kept per kernel of a plan: one for each set of buffers it was run with. */
const BIND_GROUPS_KEPT = 256;

/** A kernel of a plan. */
interface Command {
  readonly pipeline: Pipeline;
  /** Plan buffers by binding: what is read, then the output. */
  readonly buffers: readonly number[];
  readonly isFixed: boolean;
  readonly uniformOffset: number;
  readonly bindGroups: Map<string, GPUBindGroup>;
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
