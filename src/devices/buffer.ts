/**
 * Tensors' elements on a device. What holds them is the device's choice: an array, a buffer or a texture.
 * @module
 */

import type { StorageType } from "../kernels/dtype.js";
import type { BufferHome, DeviceBuffer } from "./device.js";

/** A device that takes back what disposed buffers held. */
export interface ResidentHome<Held> extends BufferHome {
  release(buffer: ResidentBuffer<Held>, held: Held): void;
}

/** A buffer of a device, which holds something until it is disposed of. */
export class ResidentBuffer<Held> implements DeviceBuffer {
  private holding: Held | null;

  constructor(
    readonly dtype: StorageType,
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
