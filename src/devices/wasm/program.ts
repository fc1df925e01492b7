/**
 * How kernels are computed, decided once for each, and how threads divide the work.
 * @module
 */

import type { LoopKernel, MatmulKernel, ScatterKernel } from "../../kernels/kernel.js";
import { sizeOf } from "../../kernels/layout.js";
import type { Chain } from "./bands.js";
import { loopItems, type Traversal, traversalOf, VECTOR_GRAIN } from "./loops/traversal.js";
import {
  type Blocking,
  blockingOf,
  packsAnew,
  workItemsOf,
  workspaceBytesOf,
} from "./matmul/blocking.js";

/** Shares of a product, at most. */
const SHARES = 32;
/** Multiplications and additions in a nanosecond: of tiles, and of a product with a vector, which waits for memory. */
const TILES_RATE = 16;
const VECTOR_RATE = 4;
/** Shares of a product, at most, if each packs an operand that the others pack as well. */
const PACKED_SHARES = 8;

/** A kernel that becomes a function, or kernels that do together, and how they are computed. */
export type FunctionKernel =
  | Chain
  | { readonly kernel: LoopKernel | ScatterKernel; readonly traversal: Traversal }
  | { readonly kernel: MatmulKernel; readonly blocking: Blocking };

/** Decides how a kernel is computed. */
export function decide(kernel: LoopKernel | ScatterKernel | MatmulKernel | Chain): FunctionKernel {
  if (kernel.kind === "chain") return kernel;
  return kernel.kind === "matmul"
    ? { kernel, blocking: blockingOf(kernel) }
    : { kernel, traversal: traversalOf(kernel) };
}

/** The work of a kernel, as threads divide it. */
export interface Work {
  /** Roughly the nanoseconds it takes. 0 where it cannot be divided. */
  readonly weight: number;
  readonly items: number;
  /** Shares start at multiples of it. */
  readonly grain: number;
  /** Items that a share has at least. */
  readonly least: number;
  /** Bytes of workspace that each thread needs, or that all need together if the kernel is completed afterwards. */
  readonly workspaceBytes: number;
}

/** Divides the work of a kernel into shares of at least some weight. */
export function divide(decided: FunctionKernel, leastShare: number): Work {
  const { weight, items, grain, shares, workspaceBytes } = workOf(decided);
  return {
    weight: items > grain ? weight : 0,
    items,
    grain,
    least: Math.max(1, items / shares, (items * leastShare) / weight),
    workspaceBytes: Math.ceil(workspaceBytes / 64) * 64,
  };
}

/** Work that is not divided yet; `shares` is how many there may be. */
interface Whole extends Omit<Work, "least"> {
  readonly shares: number;
}

function workOf(decided: FunctionKernel): Whole {
  if ("blocking" in decided) return workOfProduct(decided.kernel, decided.blocking);
  if ("traversal" in decided) return workOfLoop(decided.kernel, decided.traversal);
  const { rows, grain, parts } = decided;
  const weight = parts.reduce(
    (sum, part) => sum + workOfLoop(part.kernel, part.traversal).weight,
    0,
  );
  return { weight, items: rows, grain, shares: rows, workspaceBytes: 0 };
}

function workOfLoop(kernel: LoopKernel | ScatterKernel, traversal: Traversal): Whole {
  const items = loopItems(kernel, traversal);
  return {
    weight: (sizeOf(kernel.axes) * Math.max(4, kernel.expressions.length)) / 4,
    items,
    grain: traversal.rows.length === 0 ? VECTOR_GRAIN : 1,
    shares: items,
    workspaceBytes: 0,
  };
}

function workOfProduct({ batch, m, n, k }: MatmulKernel, blocking: Blocking): Whole {
  const items = workItemsOf(blocking);
  // Each share packs panels of each matrix it touches. If there are many matrices, a share takes whole ones.
  const matrices = sizeOf(batch);
  const rate = blocking.method === "tiles" ? TILES_RATE : VECTOR_RATE;
  return {
    weight: sizeOf([...batch, ...m, ...n, ...k]) / rate,
    items,
    grain: items % matrices === 0 && matrices >= PACKED_SHARES ? items / matrices : 1,
    shares: packsAnew(blocking) ? PACKED_SHARES : SHARES,
    workspaceBytes: workspaceBytesOf(blocking),
  };
}
