/**
 * Where the temporaries of plans live on WebGPU.
 */

import { describe, expect, it } from "vitest";
import type { GpuPlan, GpuStep } from "../../../src/devices/gpu/plan.js";
import { assignSlots, type Slot } from "../../../src/devices/gpu/webgpu/slots.js";

const LARGEST = 2 ** 31 - 4;

/** Slots of a chain of kernels, each of which reads what the one before wrote. */
function slotsOf(...sizes: readonly number[]): (Slot | null)[] {
  const plan: GpuPlan = {
    buffers: sizes.map((size) => ({ dtype: "float32", size, role: "temporary" })),
    steps: sizes.map((_, i) => ({ buffers: i === 0 ? [0] : [i, i - 1] }) as unknown as GpuStep),
  };
  return assignSlots(plan, LARGEST);
}

describe("slots of temporaries", () => {
  it("are shared by those that are not alive together", () => {
    const [a, b, c] = slotsOf(1000, 1000, 1000);
    expect(b).not.toEqual(a);
    expect(c).toEqual(a);
  });

  it("come in few sizes: within a quarter of a power of two", () => {
    const [a, , c] = slotsOf(1000, 1, 1024);
    expect(c).toEqual(a);
    for (const [i, slot] of slotsOf(1, 65, 1000, 12_345, 9_999_999).entries()) {
      const bytes = 4 * [1, 65, 1000, 12_345, 9_999_999][i]!;
      expect(slot!.bytes).toBeGreaterThanOrEqual(bytes);
      expect(slot!.bytes).toBeLessThanOrEqual(Math.max(256, 1.25 * bytes));
    }
  });

  it("are no larger than a buffer may be, unless the temporary is", () => {
    const most = LARGEST / 4;
    const bytes = slotsOf(most, most - 1000, most + 1).map((slot) => slot!.bytes);
    expect(bytes).toEqual([LARGEST, LARGEST, LARGEST + 4]);
  });
});
