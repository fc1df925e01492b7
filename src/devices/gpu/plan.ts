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

/** Device.cheap of GPUs, whose memory is slow beside their arithmetic. */
export const CHEAP = 96;

/** Part of a reduction or scatter: only points where the conditions hold are counted. */
export type Counted<K> = K & { readonly counted?: readonly Condition[] };

/** One pass of a merge sort: runs of `width` become runs of twice that. */
export interface MergePass extends Omit<SortKernel, "kind"> {
  readonly kind: "merge";
  readonly width: number;
}

/**
 * `output[k] = ` how many of the keys are less than k, for k < `count`: where the run of equal keys k
 * begins. Buffer 1 holds `length` keys, buffer 2 their ascending order.
 */
export interface RunStarts {
  readonly kind: "starts";
  readonly dtype: "int32";
  readonly length: number;
  readonly count: number;
}

/**
 * The points of a scatter, sorted by the one lookup of its target: the buffers of their order and of
 * where the run of each value starts. There are `pieces` outputs, one after the other; each sums
 * every so manieth point of a run.
 */
export interface SortedPoints {
  readonly order: number;
  readonly starts: number;
  readonly pieces: number;
}

/** A scatter, which searches all points, or takes those of a sorted run. */
export type GpuScatter = Counted<ScatterKernel> & { readonly sorted?: SortedPoints };

/** Kernels that compute expressions at points. */
export type PointKernel = Counted<LoopKernel> | GpuScatter;

/** What the GPU runs. */
export type GpuKernel = PointKernel | MatmulKernel | MergePass | RunStarts;

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

/** A kernel yet to be: what a {@link GpuStep} applies it to. */
export type Applied = Omit<GpuStep, "kernel">;
