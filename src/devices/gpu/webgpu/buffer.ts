/// <reference types="@webgpu/types" />
/**
 * Elements in a GPU buffer.
 * @module
 */

import { bytesPerElement, type StorageType } from "../../../kernels/dtype.js";
import type { ResidentBuffer } from "../../buffer.js";

/** A GPU buffer with a number that bind groups are found by. */
export interface Block {
  readonly buffer: GPUBuffer;
  readonly id: number;
  readonly bytes: number;
}

/** A tensor's elements in a block. */
export type WebGpuBuffer = ResidentBuffer<Block>;

/** Bytes of a buffer for this many elements: whole words, and at least 16, because an empty buffer cannot be bound. */
export function sizeInBytes(dtype: StorageType, elements: number): number {
  return Math.max(16, 4 * Math.ceil((bytesPerElement(dtype) * elements) / 4));
}
