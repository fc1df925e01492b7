/// <reference types="@webgpu/types" />
/**
 * Elements in a GPU buffer.
 * @module
 */

import type { DType } from "../../../kernels/dtype.js";
import type { DeviceBuffer } from "../../device.js";
import type { WebGpuDevice } from "./device.js";

/** A GPU buffer with a number that bind groups are found by. */
export interface Block {
  readonly buffer: GPUBuffer;
  readonly id: number;
  readonly bytes: number;
}

export class WebGpuBuffer implements DeviceBuffer {
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

/** Bytes of a buffer of so many elements: an empty one cannot be bound. */
export function sizeInBytes(elements: number): number {
  return Math.max(16, 4 * elements);
}
