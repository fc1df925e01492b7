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

/** Part of a reduction or scatter: only points where the conditions hold are counted. */
export type Counted<K> = K & { readonly counted?: readonly Condition[] };

/** One pass of a merge sort: runs of `width` become runs of twice that. */
export interface MergePass extends Omit<SortKernel, "kind"> {
  readonly kind: "merge";
  readonly width: number;
}

/** Kernels that compute expressions at points. */
export type PointKernel = Counted<LoopKernel> | Counted<ScatterKernel>;

/** What the GPU runs. */
export type GpuKernel = PointKernel | MatmulKernel | MergePass;

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
