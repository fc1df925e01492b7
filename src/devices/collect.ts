/**
 * Keeps memory that only garbage still refers to from piling up. Tensors are small JavaScript
 * objects, so the engine sees no reason to collect them, however large their buffers are; and what
 * it has collected is given back in a task of its own, which a loop that only awaits settled
 * promises never lets run.
 * @module
 */

import type { Device } from "./device.js";

/** New bytes after which a collection is due, at least. */
const LEAST_BYTES = 48e6;
/**
 * New bytes for each millisecond that a collection takes, as far as the device has them to spare: where 2 MB
 * are made in a millisecond, collections then take a ninth of the time.
 */
const BYTES_PER_MILLISECOND = 16e6;
/** Milliseconds after which other tasks get their turn. */
const TURN = 30;

/** Lets other tasks run: timers, signals, finalizers. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    // Unlike a timer, a message is not slowed down in a background tab, nor replaced by a test's fake.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** The size of an array that has the engine look for garbage, whose memory it does count. */
const DECOY_BYTES = 128e6;

/**
 * The engine's garbage collector where it can be had: Node, or a browser started with it exposed.
 * Elsewhere an array that is dropped at once, and whose memory is never touched, brings a collection
 * on. (Its length is returned so that no minifier finds it useless.)
 */
function findCollector(): () => unknown {
  const exposed = (globalThis as { gc?: () => void }).gc;
  if (typeof exposed === "function") return () => exposed();
  const decoy = () => new ArrayBuffer(DECOY_BYTES).byteLength;
  const node = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } })
    .process?.getBuiltinModule;
  if (!node) return decoy;
  const v8 = node("node:v8") as { setFlagsFromString(flags: string): void };
  const vm = node("node:vm") as { runInNewContext(code: string): unknown };
  v8.setFlagsFromString("--expose-gc");
  const collect = vm.runInNewContext("gc");
  return typeof collect === "function" ? () => collect() : decoy;
}

/** Decides when to collect a device's garbage. */
export class MemoryPressure {
  /** What was left by the last collection; less where more was given back since. */
  private kept = { bytes: 0, buffers: 0 };
  private turnStarted = performance.now();
  /** Milliseconds that the last collection took. */
  private duration = 0;

  /** @param collector Collects garbage. Default: {@link findCollector}'s, once it is needed. */
  constructor(
    private readonly device: Pick<Device, "memory" | "mostBuffers" | "spareBytes">,
    private collector?: () => unknown,
  ) {}

  /** Collects garbage now, or soon where that cannot be asked for, and lets finalizers run. */
  async collect(): Promise<void> {
    this.collector ??= findCollector();
    // Targets of weak references stay alive until the current task ends.
    await nextTask();
    const started = performance.now();
    this.collector();
    this.duration = performance.now() - started;
    await nextTask();
    await nextTask();
    this.kept = this.device.memory();
    this.turnStarted = performance.now();
  }

  /**
   * Called between evaluations: collects garbage when the device holds twice the memory that the last
   * collection left (but not before some tens of megabytes more, and some hundred where collections take
   * long) or very many buffers more, and gives other tasks a turn now and then.
   */
  async relieve(): Promise<void> {
    const { kept, device } = this;
    const { bytes, buffers } = device.memory();
    this.kept = {
      bytes: Math.min(kept.bytes, bytes),
      buffers: Math.min(kept.buffers, buffers),
    };
    const { mostBuffers = Number.POSITIVE_INFINITY, spareBytes = 0 } = device;
    const patience = Math.min(spareBytes, BYTES_PER_MILLISECOND * this.duration);
    const mostBytes = Math.max(LEAST_BYTES, this.kept.bytes, patience);
    if (bytes - this.kept.bytes > mostBytes || buffers - this.kept.buffers > mostBuffers) {
      await this.collect();
    } else if (performance.now() - this.turnStarted > TURN) {
      await nextTask();
      this.turnStarted = performance.now();
    }
  }
}
