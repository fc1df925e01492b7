/**
 * Who takes part: prefgrad with one thread and with all, and its peers. A peer that cannot start is
 * reported, not left out in silence.
 */

import { availableParallelism } from "node:os";
import type { Contender } from "./case.js";

const THREADS = availableParallelism();

/** One thread, and all there are. */
const ENDS = [...new Set([1, THREADS])];

/** The contender that the others are compared with. */
export const BASELINE = "prefgrad, 1 thread";

/** All contenders. Modules load with their peer, so that one that is missing fails alone. */
export const CONTENDERS: readonly Contender[] = [
  ...threadCounts(THREADS).map((threads) => ({
    name: `prefgrad, ${threads} thread${threads > 1 ? "s" : ""}`,
    load: async () => (await import("../peers/prefgrad.js")).load(threads),
    ...(ENDS.includes(threads) ? {} : { curve: "threads" }),
  })),
  {
    name: "raw kernel, 1 thread",
    load: async () => (await import("../peers/rawKernel.js")).load(),
  },
  { name: "jax-js", load: async () => (await import("../peers/jax.js")).load() },
  { name: "tfjs", load: async () => (await import("../peers/tfjs.js")).load() },
  { name: "Math loop", load: async () => (await import("../peers/plain.js")).loadLoops() },
  { name: "memory copy", load: async () => (await import("../peers/plain.js")).loadCopy() },
  ...ENDS.map((threads) => ({
    name: `PyTorch, ${threads} thread${threads > 1 ? "s" : ""}`,
    load: async () => (await import("../peers/pytorch.js")).load(threads),
  })),
];

/** 1, 2, 4, … threads, and as many as there are cores. */
function threadCounts(cores: number): number[] {
  const counts: number[] = [];
  for (let n = 1; n < cores; n *= 2) counts.push(n);
  return [...counts, cores];
}
