/**
 * Where the temporaries of plans live: blocks of few sizes, numbered, and shared by all plans.
 * @module
 */

import type { GpuPlan } from "../plan.js";

/** The place of a temporary: the `number`-th block of a size. All plans share these blocks. */
export interface Slot {
  readonly bytes: number;
  readonly number: number;
}

/**
 * Size of the slot for a temporary. Sizes are rounded up to a quarter of a power of two, at most to the largest
 * buffer, so that there are few and plans share their slots.
 */
function slotBytes(elements: number, largest: number): number {
  const bytes = Math.max(256, 4 * elements);
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 2);
  const rounded = Math.ceil(bytes / step) * step;
  return Math.max(bytes, Math.min(rounded, largest));
}

export function slotKey({ bytes, number }: Slot): string {
  return `${bytes}:${number}`;
}

/**
 * A slot for each temporary. Temporaries that are not alive together share one. A kernel never writes to a slot
 * that it reads.
 * @param largest Bytes of a buffer, at most.
 */
export function assignSlots({ buffers, steps }: GpuPlan, largest: number): (Slot | null)[] {
  const lastUse = new Map<number, number>();
  steps.forEach((step, time) => {
    for (const buffer of step.buffers) lastUse.set(buffer, time);
  });
  const slots: (Slot | null)[] = buffers.map(() => null);
  const free = new Map<number, Slot[]>();
  const counts = new Map<number, number>();
  steps.forEach((step, time) => {
    for (const buffer of step.buffers) {
      // An output, or an empty temporary, which no kernel writes.
      if (slots[buffer] || buffers[buffer]!.role !== "temporary") continue;
      const bytes = slotBytes(buffers[buffer]!.size, largest);
      let slot = free.get(bytes)?.pop();
      if (!slot) {
        const number = counts.get(bytes) ?? 0;
        counts.set(bytes, number + 1);
        slot = { bytes, number };
      }
      slots[buffer] = slot;
    }
    for (const buffer of new Set(step.buffers)) {
      const slot = slots[buffer];
      if (!slot || lastUse.get(buffer) !== time) continue;
      free.set(slot.bytes, [...(free.get(slot.bytes) ?? []), slot]);
    }
  });
  return slots;
}
