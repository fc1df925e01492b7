/**
 * The one door from tensors to the compiler and the devices, opened at the first evaluation.
 * @module
 */

import type { DeviceLimits, DeviceName, DeviceOptions, GpuBackend } from "../devices/device.js";
import type { StorageType, StoredArray, TypedArray } from "../kernels/dtype.js";
import type { Tensor } from "./tensor.js";

export type {
  DeviceBuffer,
  DeviceLimits,
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
  readonly kind: "loop" | "reduce" | "matmul" | "scatter" | "write" | "sort";
  /** Operations fused into the kernel, inputs first. */
  readonly operations: readonly string[];
  /** Elements the kernel writes. */
  readonly outputSize: number;
  readonly outputBytes: number;
  /** Buffers it reads. */
  readonly reads: number;
  /** It writes into memory of a given-up tensor or of a temporary that it reads last, or replaces elements of a value where they are. */
  readonly takesOver: boolean;
}

/** A plan in words; `String(explanation)` is a table. */
export interface Explanation {
  readonly device: DeviceName;
  readonly kernels: readonly ExplainedKernel[];
  readonly inputBytes: number;
  readonly outputBytes: number;
  /** Sum of all temporaries. */
  readonly temporaryBytes: number;
  /** Bytes of outputs in memory of given-up tensors. */
  readonly reusedBytes: number;
  /** Scratch memory the temporaries share, by lifetime, plus the outputs in new memory. */
  readonly peakBytes: number;
  /** The kernels as a table. */
  toString(): string;
}

/** A tensor's elements on the device, which are written in pieces, each from a place on. */
export interface Unwritten {
  write(from: number, values: StoredArray): Promise<void>;
  /** Has `put` write so many elements: right where the device holds them if the host reaches that. */
  place(from: number, length: number, put: (into: StoredArray) => void): Promise<void>;
}

/** Writes all elements of a tensor. */
export type Fill = (elements: Unwritten) => Promise<void>;

/** An evaluation that can be done again on other tensors; only the runtime looks into it. */
export interface Recording {
  readonly inputs: unknown;
}

/** What tensors need of the floor below. */
export interface Runtime {
  /** Gives every tensor its elements. Those given up lose theirs, and results may have their memory. */
  evaluate(tensors: readonly Tensor[], givenUp?: readonly Tensor[]): Promise<void>;
  /**
   * Evaluates tensors as `evaluate` does, and returns a recording that repeats it with other tensors in the place of `own`;
   * null where it cannot be repeated: where an own tensor has no elements yet, or a result is given already. No tensor is
   * listed twice.
   */
  record(
    tensors: readonly Tensor[],
    own: readonly Tensor[],
    givenUp: readonly Tensor[],
  ): Promise<Recording | null>;
  /**
   * Does it again, for other `own` tensors of the same dtypes and shapes, and gives the results to `tensors`, which are
   * leaves without elements.
   * @returns false if nothing was done: the device is another one now, an own tensor has no elements, or values are looked at
   * (`checkFinite`).
   */
  replay(
    recording: Recording,
    tensors: readonly Tensor[],
    own: readonly Tensor[],
    givenUp: readonly Tensor[],
  ): Promise<boolean>;
  /** Evaluates a tensor and copies its elements: those it has now, whatever is evaluated meanwhile. */
  read(tensor: Tensor): Promise<TypedArray>;
  /** Gives a leaf its elements on the device. If that fails, it has none. */
  fill(tensor: Tensor, storage: StorageType, fill: Fill): Promise<void>;
  /** What tensors may take on the device. */
  limits(): Promise<DeviceLimits>;
  explain(tensors: readonly Tensor[], givenUp: readonly Tensor[]): Promise<Explanation>;
  setDevice(name: DeviceName, options: DeviceOptions): Promise<void>;
  currentDevice(): DeviceName;
  statistics(): DeviceStatistics;
  setDebug(options: DebugOptions): void;
  /** A tensor as text. */
  print(tensor: Tensor): string;
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
