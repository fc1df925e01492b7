/**
 * What workers are told about kernels: which modules to load, and which kernels to forget.
 * @module
 */

import type { Heap } from "./heap.js";
import type { Block } from "./memory.js";
import type { KernelModule, ThreadPool } from "./threads.js";

/** A module and the workers that were told of it. */
export interface SharedModule extends KernelModule {
  toldTo: ThreadPool | null;
}

/** Collects messages to the workers, and sends one when the last was read. */
export class Messages {
  private readonly unsent = new Set<SharedModule>();
  /** Pairs of numbers: a first kernel, and how many follow from it. */
  private forgotten: number[] = [];
  /** The last message, which workers may still read. */
  private sent: Block | null = null;

  constructor(private readonly heap: Heap) {}

  /** Kernels `first … first + count − 1` are not called any more. */
  forget(first: number, count: number): void {
    this.forgotten.push(first, count);
  }

  /** New workers know no kernels, so they have none to forget. */
  forgetNothing(): void {
    this.forgotten = [];
  }

  /** The workers need a module. */
  add(module: SharedModule, pool: ThreadPool): void {
    if (module.toldTo === pool) return;
    module.toldTo = pool;
    this.unsent.add(module);
  }

  /** Sends what is new, unless a worker has not read the last message: then it waits for the next time. */
  send(pool: ThreadPool): void {
    if (!pool.isRead) return;
    if (this.sent) this.heap.release(this.sent.address, this.sent.bytes);
    this.sent = null;
    if (this.unsent.size > 0) pool.tell(this.write());
  }

  /** Never uses the memory of the last message again: a worker may still read it. */
  abandon(): void {
    this.sent = null;
  }

  /**
   * Writes a message into the heap: how many words the lists have, how many of these are of kernels to
   * forget, both lists, the modules' bytes.
   * @returns its address.
   */
  private write(): number {
    const modules = [...this.unsent];
    const words = this.forgotten.length + 4 * modules.length;
    const bytes = modules.reduce((sum, module) => sum + module.bytes.length, 4 * (2 + words));
    const address = this.heap.allocate(bytes, "the code of kernels");
    this.sent = { address, bytes };
    const { buffer } = this.heap.memory;
    const message = new Int32Array(buffer, address, 2 + words);
    message.set([words, this.forgotten.length]);
    message.set(this.forgotten, 2);
    let place = 2 + this.forgotten.length;
    let at = address + 4 * (2 + words);
    for (const module of modules) {
      new Uint8Array(buffer, at, module.bytes.length).set(module.bytes);
      message.set([at, module.bytes.length, module.first, module.count], place);
      at += module.bytes.length;
      place += 4;
    }
    this.unsent.clear();
    this.forgotten = [];
    return address;
  }
}
