/**
 * How the steps of a plan are divided among threads.
 * @module
 */

import type { Kernel, SortKernel } from "../../kernels/kernel.js";
import { loopGrain, loopWorkItems } from "./loops/schedule.js";
import { matmulWorkItems, matmulWorkspaceBytes, packsAnew } from "./matmul/schedule.js";

/** Shares of a product at most: few where each packs the same operand anew. */
const SHARES = 32;
const PACKED_SHARES = 8;

/** A kernel that is compiled to a function. */
export type FunctionKernel = Exclude<Kernel, SortKernel>;

/** The work of a kernel, as threads divide it. */
export interface Work {
  /**
   * Roughly the time it takes, in units of 16 multiplications and additions of a product: about a
   * nanosecond. 0 where it cannot be divided.
   */
  readonly weight: number;
  readonly items: number;
  /** Shares start at multiples of it. */
  readonly grain: number;
  /** Items that a share has at least. */
  readonly least: number;
  /** Bytes of workspace that each thread needs. */
  readonly workspaceBytes: number;
}

const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);

/** Divides the work of a kernel into shares of at least some weight. */
export function divide(kernel: FunctionKernel, leastShare: number): Work {
  const work = (weight: number, items: number, grain: number, least: number): Work => ({
    weight: items > grain ? weight : 0,
    items,
    grain,
    least: Math.max(1, least, (items * leastShare) / weight),
    workspaceBytes:
      kernel.kind === "matmul" ? Math.ceil(matmulWorkspaceBytes(kernel) / 64) * 64 : 0,
  });
  if (kernel.kind !== "matmul") {
    const weight = (product(kernel.axes) * Math.max(4, kernel.expressions.length)) / 4;
    return work(weight, loopWorkItems(kernel), loopGrain(kernel), 1);
  }
  const { batch, m, n, k } = kernel;
  const items = matmulWorkItems(kernel);
  // Panels are packed for each share and matrix: whole matrices where there are many.
  const matrices = product(batch);
  const grain = items % matrices === 0 && matrices >= PACKED_SHARES ? items / matrices : 1;
  const shares = packsAnew(kernel) ? PACKED_SHARES : SHARES;
  return work(product([...batch, ...m, ...n, ...k]) / 16, items, grain, items / shares);
}
