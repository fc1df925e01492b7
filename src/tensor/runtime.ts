/**
 * The one door from tensors to the compiler and the devices, opened at the first evaluation.
 * @module
 */

import type { DeviceName, DeviceOptions, GpuBackend } from "../devices/device.js";
import type { TypedArray } from "../kernels/dtype.js";
import type { Tensor } from "./tensor.js";

export type {
  BufferHome,
  DeviceBuffer,
  DeviceName,
  DeviceOptions,
  GpuBackend,
} from "../devices/device.js";

/** Memory and work of the current device. */
export interface DeviceStatistics {
  readonly device: DeviceName;
  /** What it computes with: the gpu device runs on `"webgpu"` or `"webgl2"`. */
  readonly backend: "interpreter" | "wasm" | GpuBackend;
  /** Bytes held by tensors. */
  readonly bytes: number;
  /** Buffers held by tensors. */
  readonly buffers: number;
  /** Bytes of scratch memory kept for the temporaries of plans. */
  readonly scratchBytes: number;
  /** Plans compiled since the start. */
  readonly plansCompiled: number;
  /** Evaluations that found their plan in the cache. */
  readonly planCacheHits: number;
}

/** One kernel of an {@link Explanation}. */
export interface ExplainedKernel {
  readonly kind: "loop" | "reduce" | "matmul" | "scatter" | "sort";
  /** Operations fused into the kernel, inputs first. */
  readonly operations: readonly string[];
  /** Elements the kernel writes. */
  readonly outputSize: number;
  readonly outputBytes: number;
  /** Buffers it reads. */
  readonly reads: number;
}

/** A plan in words; `String(explanation)` is a table. */
export interface Explanation {
  readonly device: DeviceName;
  readonly kernels: readonly ExplainedKernel[];
  readonly inputBytes: number;
  readonly outputBytes: number;
  /** Sum of all temporaries. */
  readonly temporaryBytes: number;
  /** Scratch memory the temporaries share, by lifetime, plus the outputs. */
  readonly peakBytes: number;
  /** The kernels as a table. */
  toString(): string;
}

/** What tensors need of the floor below. */
export interface Runtime {
  /** Gives every tensor its elements. */
  evaluate(tensors: readonly Tensor[]): Promise<void>;
  /** A copy of an evaluated tensor's elements. */
  read(tensor: Tensor): Promise<TypedArray>;
  explain(tensors: readonly Tensor[]): Promise<Explanation>;
  setDevice(name: DeviceName, options: DeviceOptions): Promise<void>;
  currentDevice(): DeviceName;
  statistics(): DeviceStatistics;
  setDebug(options: DebugOptions): void;
}

/** Options of {@link setDebug}. */
export interface DebugOptions {
  /**
   * After each evaluation, look for NaN and ±∞; where there are any, evaluate operation by operation
   * and throw an error that names the first operation whose result is not finite though its inputs
   * are. Slow. Default false.
   */
  readonly checkFinite?: boolean;
}

let loading: Promise<Runtime> | undefined;
let loaded: Runtime | undefined;

async function load(): Promise<Runtime> {
  const { createRuntime } = await import("../compiler/runtime.js");
  loaded = createRuntime();
  return loaded;
}

/** The runtime, loaded once. */
export function runtime(): Promise<Runtime> {
  loading ??= load();
  return loading;
}

/** The runtime if anything was evaluated yet. */
export function runtimeIfLoaded(): Runtime | undefined {
  return loaded;
}
