/**
 * Memory of the WebAssembly device: blocks of one linear memory, best fit, neighbours merged when
 * they are given back.
 * @module
 */

import { OutOfMemoryError } from "../device.js";

/** Blocks start and end at multiples of this many bytes. */
const ALIGNMENT = 64;
const PAGE = 65536;
/** Pages a 32-bit memory can have: 4 GiB. */
export const MAXIMUM_PAGES = 65536;
const INITIAL_PAGES = 64;
/**
 * A memory that threads share may grow to at least this (256 MiB). If the platform grants less, a larger
 * memory without threads is worth more.
 */
const LEAST_MAXIMUM_PAGES = 4096;
/** Bytes kept free at both ends, because a vector that is loaded may reach beyond the edge of a buffer. */
const MARGIN = 1024;

interface Block {
  address: number;
  bytes: number;
}

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

/** `1234567890` as `1.23 GB`. */
function formatBytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/**
 * A memory as large as the platform grants. Some platforms reserve the whole maximum of a memory that
 * threads share. If even a small maximum is refused, the memory is one that threads cannot share.
 */
function createMemory(shared: boolean): { memory: WebAssembly.Memory; maximum: number } {
  for (let maximum = MAXIMUM_PAGES; ; maximum /= 2) {
    try {
      const memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum, shared });
      return { memory, maximum };
    } catch (error) {
      if (maximum > LEAST_MAXIMUM_PAGES) continue;
      if (!shared) throw error;
      return createMemory(false);
    }
  }
}

/** Allocates in a WebAssembly memory. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  private readonly maximumPages: number;
  /** Free blocks by address; no two touch. */
  private readonly free: Block[] = [];

  /** @param shared Whether threads are to share the memory. */
  constructor(shared: boolean) {
    ({ memory: this.memory, maximum: this.maximumPages } = createMemory(shared));
    this.free.push({ address: MARGIN, bytes: INITIAL_PAGES * PAGE - 2 * MARGIN });
  }

  /** Most bytes there can be. */
  get most(): number {
    return this.maximumPages * PAGE;
  }

  /** Whether threads can share the memory. The platform may have refused that. */
  get shared(): boolean {
    return !(this.memory.buffer instanceof ArrayBuffer);
  }

  /**
   * The address of a block of at least `bytes`.
   * @throws if the memory cannot grow enough; `what` names what the memory was for.
   */
  allocate(bytes: number, what: string): number {
    const needed = Math.max(ALIGNMENT, roundUp(bytes, ALIGNMENT));
    let best = this.bestFit(needed);
    if (best === null) {
      this.grow(needed, what);
      best = this.bestFit(needed)!;
    }
    const { address } = best;
    best.address += needed;
    best.bytes -= needed;
    if (best.bytes === 0) this.free.splice(this.free.indexOf(best), 1);
    return address;
  }

  /** Gives a block back. `bytes` is what {@link Heap.allocate} was asked for. */
  release(address: number, bytes: number): void {
    this.insert({ address, bytes: Math.max(ALIGNMENT, roundUp(bytes, ALIGNMENT)) });
  }

  private bestFit(bytes: number): Block | null {
    let best: Block | null = null;
    for (const block of this.free) {
      if (block.bytes >= bytes && (best === null || block.bytes < best.bytes)) best = block;
    }
    return best;
  }

  private insert(block: Block): void {
    const { free } = this;
    let low = 0;
    let high = free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (free[middle]!.address < block.address) low = middle + 1;
      else high = middle;
    }
    const before = free[low - 1];
    const after = free[low];
    const joinsBefore = before !== undefined && before.address + before.bytes === block.address;
    const joinsAfter = after !== undefined && block.address + block.bytes === after.address;
    if (joinsBefore) {
      before.bytes += block.bytes + (joinsAfter ? after.bytes : 0);
      if (joinsAfter) free.splice(low, 1);
    } else if (joinsAfter) {
      after.address = block.address;
      after.bytes += block.bytes;
    } else {
      free.splice(low, 0, block);
    }
  }

  private grow(bytes: number, what: string): void {
    const held = this.memory.buffer.byteLength;
    // The new block starts with the free block at the end, if there is one.
    const last = this.free.at(-1);
    const reaches = last !== undefined && last.address + last.bytes === held - MARGIN;
    const least = Math.ceil((bytes - (reaches ? last.bytes : 0)) / PAGE);
    // Grow by at least a quarter, so that growing is rare.
    const wanted = Math.max(least, Math.ceil(held / PAGE / 4));
    for (const pages of [Math.min(wanted, this.maximumPages - held / PAGE), least]) {
      try {
        this.memory.grow(Math.max(pages, least));
        this.insert({
          address: held - MARGIN,
          bytes: this.memory.buffer.byteLength - held,
        });
        return;
      } catch {
        // Try the smaller size.
      }
    }
    throw new OutOfMemoryError(
      `out of memory: ${what} needs ${formatBytes(bytes)}; the wasm device holds ` +
        `${formatBytes(held)} and can have ${formatBytes(this.most)} in all`,
    );
  }
}
