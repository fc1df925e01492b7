/**
 * When to collect garbage, so that the buffers of forgotten tensors do not pile up. Tensors are small
 * JavaScript objects: the engine sees no reason to collect them, however large their buffers are. And it
 * calls finalizers in tasks of their own, which a loop that only awaits settled promises never lets run.
 * @module
 */

import type { Device } from "../devices/device.js";

/** No collection is due before this many new bytes. */
const LEAST_BYTES = 48e6;
/**
 * For each millisecond that the last collection took, this many new bytes may pile up before the next one,
 * if the device has them to spare. A loop that makes 2 MB a millisecond then spends a ninth of its time on
 * collections.
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

/** Bytes of an array whose allocation makes the engine look for garbage: it does count an array's memory. */
const DECOY_BYTES = 128e6;

/**
 * The engine's garbage collector, if it can be called: in Node, or in a browser that exposes it. Elsewhere
 * an array that is dropped at once brings a collection on. Its memory is never touched. Its length is
 * returned so that no minifier removes it.
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
  /** The least memory held since the last collection. */
  private kept = { bytes: 0, buffers: 0 };
  private turnStarted = performance.now();
  /** Milliseconds that the last collection took. */
  private duration = 0;

  /** @param collector Collects garbage. Default: {@link findCollector}'s, once it is needed. */
  constructor(
    private readonly device: Pick<Device, "memory" | "mostBuffers" | "spareBytes">,
    private collector?: () => unknown,
  ) {}

  /** Collects garbage and lets finalizers run. Without a collector to call, the engine does it soon. */
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
   * Called between evaluations. Collects garbage when the device holds twice the memory that the last
   * collection left, and at least {@link LEAST_BYTES} more; if collections take long, when it holds still
   * more; or when it holds very many buffers more. Gives other tasks a turn now and then.
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
