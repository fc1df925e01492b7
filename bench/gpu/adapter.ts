/// <reference types="@webgpu/types" />
/**
 * What the GPU is, and how fast it copies memory: the measure of what bandwidth there is.
 */

/** A GPU. */
export interface Adapter {
  readonly name: string;
  /** Runs on the processor: its times say nothing about GPUs. */
  readonly isSoftware: boolean;
  /** Bytes read and written per nanosecond by `copyBufferToBuffer`. */
  readonly copyRate: number;
  /** Size of the buffers that were copied. */
  readonly copyBytes: number;
}

/** `GPUAdapterInfo`, which older type definitions lack. */
interface Info extends Record<"vendor" | "architecture" | "device" | "description", string> {
  readonly isFallbackAdapter?: boolean;
}

const COPY_SOURCE = 0x4;
const COPY_TARGET = 0x8;

/** Copies take at least this long, if buffers of the largest size can. */
const LEAST_MS = 5;
const SMALLEST_BYTES = 2 ** 24;
const LARGEST_BYTES = 2 ** 29;

/** Describes the adapter that libraries get when they ask for none in particular. */
export async function describeAdapter(): Promise<Adapter> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error("WebGPU has no adapter here");
  const { info } = adapter as unknown as { readonly info: Info };
  const { vendor, architecture, device, description } = info;
  const parts = [vendor, architecture, device, description].filter((part) => part !== "");
  const isSoftware =
    info.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(parts.join(" "));
  const { maxBufferSize } = adapter.limits;
  const gpu = await adapter.requestDevice({ requiredLimits: { maxBufferSize } });
  try {
    return { name: parts.join(", ") || "unnamed", isSoftware, ...(await copying(gpu)) };
  } finally {
    gpu.destroy();
  }
}

/** Copies ever larger buffers until a copy takes long enough to measure, and takes the best time. */
async function copying(gpu: GPUDevice): Promise<Pick<Adapter, "copyRate" | "copyBytes">> {
  for (let bytes = SMALLEST_BYTES; ; bytes *= 2) {
    const usage = COPY_SOURCE | COPY_TARGET;
    const [from, to] = [
      gpu.createBuffer({ size: bytes, usage }),
      gpu.createBuffer({ size: bytes, usage }),
    ];
    const copy = async (times: number): Promise<number> => {
      const start = performance.now();
      const encoder = gpu.createCommandEncoder();
      for (let i = 0; i < times; i++) encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
      gpu.queue.submit([encoder.finish()]);
      await gpu.queue.onSubmittedWorkDone();
      return (performance.now() - start) / times;
    };
    await copy(1);
    const once = await copy(2);
    const isEnough =
      once > LEAST_MS || 2 * bytes > Math.min(LARGEST_BYTES, gpu.limits.maxBufferSize / 2);
    let best = once;
    if (isEnough) {
      const times = Math.max(2, Math.ceil((4 * LEAST_MS) / once));
      for (let i = 0; i < 7; i++) best = Math.min(best, await copy(times));
    }
    from.destroy();
    to.destroy();
    if (isEnough) return { copyRate: (2 * bytes) / best / 1e6, copyBytes: bytes };
  }
}
