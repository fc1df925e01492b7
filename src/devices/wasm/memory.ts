/**
 * Buffers of the WebAssembly device: blocks of its heap, given back when they are disposed of or
 * collected, and blocks kept from one run of a plan to the next.
 * @module
 */

import {
  bytesPerElement,
  type StorageType,
  type StoredArray,
  viewAs,
} from "../../kernels/dtype.js";
import { ResidentBuffer, type ResidentHome } from "../buffer.js";
import type { Heap } from "./heap.js";

/** A part of the heap. */
export interface Block {
  readonly address: number;
  readonly bytes: number;
}

const NOTHING: Block = { address: 0, bytes: 0 };

/** Elements of a tensor in a block of the heap. */
export type WasmBuffer = ResidentBuffer<Block>;

/** Creates buffers and counts what they hold. */
export class BufferMemory {
  bytes = 0;
  buffers = 0;
  private readonly gone = new FinalizationRegistry<Block>((block) => this.free(block));

  constructor(
    private readonly heap: Heap,
    private readonly home: ResidentHome<Block>,
  ) {}

  /** A buffer whose elements are not set. `what` names it in errors. */
  create(dtype: StorageType, size: number, what: string): WasmBuffer {
    const bytes = size * bytesPerElement(dtype);
    const block = { address: this.heap.allocate(bytes, what), bytes };
    const buffer = new ResidentBuffer(dtype, size, this.home, block);
    this.gone.register(buffer, block, buffer);
    this.bytes += bytes;
    this.buffers++;
    return buffer;
  }

  /** The elements, where they lie. The view is valid until the heap grows. */
  view({ dtype, held, size }: WasmBuffer): StoredArray {
    return viewAs(dtype, this.heap.memory.buffer, held.address, size);
  }

  /** Frees the block of a buffer that was disposed of. */
  release(buffer: WasmBuffer, block: Block): void {
    this.gone.unregister(buffer);
    this.free(block);
  }

  /** Never frees the blocks of these buffers: a worker may still write to them. */
  abandon(buffers: readonly WasmBuffer[]): void {
    for (const buffer of buffers) this.gone.unregister(buffer);
  }

  private free({ address, bytes }: Block): void {
    this.heap.release(address, bytes);
    this.bytes -= bytes;
    this.buffers--;
  }
}

/** A block that all plans use in turn, as large as the largest need so far. */
export class KeptBlock {
  private block = NOTHING;

  constructor(private readonly heap: Heap) {}

  get address(): number {
    return this.block.address;
  }

  get bytes(): number {
    return this.block.bytes;
  }

  /** Makes the block at least so large; its contents are lost. `what` names it in errors. */
  reserve(bytes: number, what: string): void {
    if (this.block.bytes >= bytes) return;
    this.release();
    this.block = { address: this.heap.allocate(bytes, what), bytes };
  }

  /** Gives the block back to the heap. */
  release(): void {
    if (this.block.bytes > 0) this.heap.release(this.block.address, this.block.bytes);
    this.block = NOTHING;
  }

  /** Never uses the block again: a worker may still write to it. */
  abandon(): void {
    this.block = NOTHING;
  }
}
