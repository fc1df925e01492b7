/**
 * What the GPU runs: plans of kernels a shader can compute.
 * @module
 */

import type {
  Condition,
  LoopKernel,
  MatmulKernel,
  PlanBuffer,
  ScatterKernel,
  SortKernel,
} from "../../kernels/kernel.js";

/** `Device.recomputeLimit` of GPUs: their memory is slow beside their arithmetic. */
export const RECOMPUTE_LIMIT = 96;

/** Part of a reduction or scatter: only points where the conditions hold are counted. */
export type Counted<K> = K & { readonly counted?: readonly Condition[] };

/** One pass of a merge sort: pairs of sorted runs of `width` elements become runs of `2·width`. */
export interface MergePass extends Omit<SortKernel, "kind"> {
  readonly kind: "merge";
  readonly width: number;
}

/**
 * `output[k]` is the number of keys less than k, for k < `count`: in ascending order, the run of keys k begins
 * there. Buffer 1 holds `length` keys, buffer 2 their ascending order.
 */
export interface RunStarts {
  readonly kind: "starts";
  readonly dtype: "int32";
  readonly length: number;
  readonly count: number;
}

/**
 * The points of a scatter, sorted by the only lookup of its target. `order` and `starts` are the buffers of
 * the sorted points and of where each value's run starts. There are `pieces` outputs, one after the other:
 * output p sums the points p, p + pieces, p + 2·pieces, … of each run.
 */
export interface SortedPoints {
  readonly order: number;
  readonly starts: number;
  readonly pieces: number;
}

/** A scatter. Each element searches all points or, if they are sorted, reads its own run. */
export type GpuScatter = Counted<ScatterKernel> & { readonly sorted?: SortedPoints };

/** A kernel whose expressions are computed at every point of its axes. */
export type PointKernel = Counted<LoopKernel> | GpuScatter;

/**
 * A loop whose elements become a run of an output that has all its elements already. With s the element `at` of
 * buffer `start`, the run begins at `s · stride`; nothing is written unless 0 ≤ s < `count`.
 */
export interface WriteRun extends Omit<LoopKernel, "kind"> {
  readonly kind: "write";
  readonly start: number;
  readonly at: number;
  readonly stride: number;
  readonly count: number;
}

/** What the GPU runs. */
export type GpuKernel = PointKernel | MatmulKernel | MergePass | RunStarts | WriteRun;

/** A kernel with the buffers and constants it is applied to. */
export interface GpuStep {
  readonly kernel: GpuKernel;
  readonly buffers: readonly number[];
  readonly constants: readonly number[];
  readonly operations: readonly string[];
}

/** A plan in terms of {@link GpuKernel}s. */
export interface GpuPlan {
  readonly buffers: readonly Omit<PlanBuffer, "offset">[];
  readonly steps: readonly GpuStep[];
}

/** The buffers and constants of a kernel that is still being rewritten. */
export type Applied = Omit<GpuStep, "kernel">;
