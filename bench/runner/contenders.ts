/**
 * Who takes part: prefgrad with one thread and with all, and its peers. A peer that cannot start is
 * reported, not left out in silence.
 */

import { availableParallelism } from "node:os";
import type { Peer } from "../problem.js";

/** A peer that may or may not start. */
export interface Contender {
  readonly name: string;
  readonly load: () => Promise<Peer>;
}

export const THREADS = availableParallelism();

/** The contender that the others are compared with. */
export const BASELINE = "prefgrad, 1 thread";

/** All contenders. Modules load with their peer, so that one that is missing fails alone. */
export const CONTENDERS: readonly Contender[] = [
  ...counts().map((threads) => ({
    name: `prefgrad, ${threads} thread${threads > 1 ? "s" : ""}`,
    load: async () => (await import("../peers/prefgrad.js")).load(threads),
  })),
  {
    name: "raw kernel, 1 thread",
    load: async () => (await import("../peers/rawKernel.js")).load(),
  },
  { name: "jax-js", load: async () => (await import("../peers/jax.js")).load() },
  { name: "tfjs", load: async () => (await import("../peers/tfjs.js")).load() },
  { name: "Math loop", load: async () => (await import("../peers/plain.js")).loadLoops() },
  { name: "memory copy", load: async () => (await import("../peers/plain.js")).loadCopy() },
  ...counts().map((threads) => ({
    name: `PyTorch, ${threads} thread${threads > 1 ? "s" : ""}`,
    load: async () => (await import("../peers/pytorch.js")).load(threads),
  })),
];

/** One thread, and all there are. */
function counts(): number[] {
  return THREADS > 1 ? [1, THREADS] : [1];
}
