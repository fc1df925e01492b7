/**
 * Scratch memory: temporaries that are not alive together share it.
 * @module
 */

import { bytesPerElement } from "../kernels/dtype.js";
import { type Load, loadIn } from "../kernels/expressions.js";
import type { Kernel, PlanBuffer, Step } from "../kernels/kernel.js";
import { stridesOf } from "../kernels/layout.js";

/** Buffers start at multiples of this many bytes. */
const ALIGNMENT = 64;

/** A block of memory that grows at its end, and the gaps in it. */
class Scratch {
  bytes = 0;
  private readonly gaps: { offset: number; bytes: number }[] = [];

  /** Takes the smallest gap that is large enough. */
  allocate(bytes: number): number {
    const { gaps } = this;
    let best = -1;
    gaps.forEach((gap, i) => {
      if (gap.bytes >= bytes && (best < 0 || gap.bytes < gaps[best]!.bytes)) best = i;
    });
    if (best < 0) return this.extend(bytes);
    const gap = gaps[best]!;
    if (gap.bytes === bytes) gaps.splice(best, 1);
    else gaps[best] = { offset: gap.offset + bytes, bytes: gap.bytes - bytes };
    return gap.offset;
  }

  /** Takes the end, and the gap before it if there is one. */
  private extend(bytes: number): number {
    const last = this.gaps.findIndex((gap) => gap.offset + gap.bytes === this.bytes);
    const offset = last >= 0 ? this.gaps.splice(last, 1)[0]!.offset : this.bytes;
    this.bytes = offset + bytes;
    return offset;
  }

  /** Gives memory back; neighbouring gaps become one. */
  release(offset: number, bytes: number): void {
    const freed = { offset, bytes };
    for (let i = this.gaps.length - 1; i >= 0; i--) {
      const gap = this.gaps[i]!;
      if (gap.offset + gap.bytes === freed.offset) freed.offset = gap.offset;
      else if (freed.offset + freed.bytes !== gap.offset) continue;
      freed.bytes += gap.bytes;
      this.gaps.splice(i, 1);
    }
    this.gaps.push(freed);
  }
}

/** Byte offsets of the temporaries, by buffer, and the bytes they take together. */
export function assignScratch(
  buffers: readonly Omit<PlanBuffer, "offset">[],
  steps: readonly Step[],
): { offsets: readonly number[]; scratchBytes: number } {
  const lastUse = new Int32Array(buffers.length).fill(-1);
  steps.forEach((step, time) => {
    for (const buffer of step.buffers) lastUse[buffer] = time;
  });
  const bytes = buffers.map(({ size, dtype }) => align(size * bytesPerElement(dtype)));
  const takesScratch = (buffer: number): boolean =>
    buffers[buffer]!.role === "temporary" && bytes[buffer]! > 0;
  const offsets: number[] = new Array(buffers.length).fill(0);
  const placed = new Set<number>();
  const scratch = new Scratch();
  steps.forEach(({ kernel, buffers: used }, time) => {
    const [output, ...reads] = used as [number, ...number[]];
    const ends = new Set(reads.filter((b) => takesScratch(b) && lastUse[b] === time));
    // A kernel that replaces elements of a temporary writes where it is.
    if (takesScratch(output) && !placed.has(output)) {
      placed.add(output);
      const inPlace = [...ends].find(
        (b) => bytes[b] === bytes[output] && overwritable(kernel, used.indexOf(b)),
      );
      if (inPlace === undefined) offsets[output] = scratch.allocate(bytes[output]!);
      else {
        offsets[output] = offsets[inPlace]!;
        ends.delete(inPlace);
      }
    }
    // A value nobody reads ends with the step that makes it.
    if (takesScratch(output) && lastUse[output] === time) ends.add(output);
    for (const b of ends) scratch.release(offsets[b]!, bytes[b]!);
  });
  return { offsets, scratchBytes: scratch.bytes };
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Whether each element of a read buffer is needed only for the output element at the same place. */
export function overwritable(kernel: Kernel, buffer: number): boolean {
  if (kernel.kind !== "loop" || kernel.reduce !== null) return false;
  const strides = stridesOf(kernel.axes);
  const isSamePlace = ({ dtype, index, conditions }: Load): boolean =>
    conditions.length === 0 &&
    bytesPerElement(dtype) === bytesPerElement(kernel.dtype) &&
    index.offset === 0 &&
    index.strides.every((s, d) => s === (strides[d] ?? 0));
  return kernel.expressions.every((e) => {
    const load = loadIn(e);
    return load?.buffer !== buffer || isSamePlace(load);
  });
}
