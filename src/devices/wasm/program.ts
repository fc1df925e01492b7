/**
 * A plan as a list of calls that several threads run together: which calls every thread takes a
 * share of, which one thread makes alone, and before which ones all must have finished what came
 * before.
 * @module
 */

import { bytesPerElement } from "../../kernels/dtype.js";
import type { Kernel, Plan, Step } from "../../kernels/kernel.js";
import { loopWorkItems } from "./loops.js";
import { matmulWorkItems } from "./matmul.js";

/** Elements touched below which a call is not worth sharing. */
const SHARED_FROM = 65536;

/** The owner of calls in which every thread has a share. */
export const EVERYONE = -1;

/** One call of a kernel. */
export interface Call {
  readonly step: Step;
  readonly items: number;
  /** {@link EVERYONE}, or the number of the thread (modulo their count) that makes the call. */
  readonly owner: number;
  /** All threads wait for each other first. */
  readonly barrier: boolean;
}

/** Memory a step touches: a plan buffer, or a part of the scratch memory. */
interface Region {
  /** −1 for scratch memory. */
  readonly buffer: number;
  readonly from: number;
  readonly to: number;
}

function regionOf(plan: Plan, number: number): Region {
  const { role, offset, size, dtype } = plan.buffers[number]!;
  if (role !== "temporary") return { buffer: number, from: 0, to: 1 };
  return { buffer: -1, from: offset, to: offset + size * bytesPerElement(dtype) };
}

function overlap(a: Region, b: Region): boolean {
  return a.buffer === b.buffer && a.from < b.to && b.from < a.to;
}

function workItems(kernel: Kernel): number {
  if (kernel.kind === "matmul") return matmulWorkItems(kernel);
  return kernel.kind === "sort" ? 1 : loopWorkItems(kernel);
}

/** Elements a kernel touches, roughly. */
function weight(kernel: Kernel): number {
  const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
  switch (kernel.kind) {
    case "matmul":
      return product([...kernel.batch, ...kernel.m, ...kernel.n, ...kernel.k]) / 8;
    case "sort":
      return kernel.rows * kernel.length;
    default:
      return product(kernel.axes);
  }
}

/** Divides a plan's steps among threads. */
export function divide(plan: Plan): Call[] {
  // What was read and written since all threads last waited for each other.
  let reads: Region[] = [];
  let writes: Region[] = [];
  let next = 0;
  return plan.steps.map((step): Call => {
    const [output, ...inputs] = step.buffers.map((number) => regionOf(plan, number)) as [
      Region,
      ...Region[],
    ];
    const waits =
      writes.some((w) => overlap(w, output) || inputs.some((input) => overlap(w, input))) ||
      reads.some((r) => overlap(r, output));
    if (waits) [reads, writes] = [[], []];
    reads.push(...inputs);
    writes.push(output);
    const items = workItems(step.kernel);
    const isShared = step.kernel.kind !== "sort" && items > 1 && weight(step.kernel) >= SHARED_FROM;
    // The first thread is the only one that can sort.
    const owner = isShared ? EVERYONE : step.kernel.kind === "sort" ? 0 : next++;
    return { step, items, owner, barrier: waits };
  });
}
