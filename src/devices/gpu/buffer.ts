/**
 * Elements that stay on the GPU, in whatever a back end holds them in.
 * @module
 */

import type { DType } from "../../kernels/dtype.js";
import { type BufferHome, type DeviceBuffer, OutOfMemoryError } from "../device.js";

/** A device that takes back what disposed buffers held. */
export interface ResidentHome<Held> extends BufferHome {
  release(buffer: ResidentBuffer<Held>, held: Held): void;
}

/** Elements on the GPU. */
export class ResidentBuffer<Held> implements DeviceBuffer {
  private holding: Held | null;

  constructor(
    readonly dtype: DType,
    readonly size: number,
    readonly home: ResidentHome<Held>,
    held: Held,
  ) {
    this.holding = held;
  }

  get held(): Held {
    if (this.holding === null) {
      throw new Error("a tensor was used after dispose() gave its memory back");
    }
    return this.holding;
  }

  dispose(): void {
    if (this.holding === null) return;
    const held = this.holding;
    this.holding = null;
    this.home.release(this, held);
  }
}

/** The error of a GPU that has no memory `for` something or `to` do something. */
export function outOfMemory(purpose: string): OutOfMemoryError {
  return new OutOfMemoryError(
    `the GPU has no memory left ${purpose}; dispose() tensors that are no longer needed, or use smaller batches`,
  );
}
