/**
 * Who takes part on the GPU. prefgrad comes first: in Node it is what makes WebGPU available.
 */

import type { Contender } from "../runner/case.js";

/** The contender that the others are compared with. */
export const GPU_BASELINE = "prefgrad";

export const GPU_CONTENDERS: readonly Contender[] = [
  { name: GPU_BASELINE, load: async () => (await import("../peers/prefgrad.js")).loadGpu() },
  {
    name: "prefgrad, dispose()",
    load: async () => (await import("../peers/prefgrad.js")).loadGpu({ disposes: true }),
  },
  { name: "jax-js", load: async () => (await import("../peers/jax.js")).load("webgpu") },
  { name: "naive gpu.js", load: async () => (await import("../peers/gpujs.js")).load() },
];
