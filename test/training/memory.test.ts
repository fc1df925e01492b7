/**
 * A run of any length holds as much memory at its end as at its beginning, and compiles nothing on the way.
 */

import { expect, it } from "vitest";
import { deviceStatistics } from "../../src/tensor/evaluate.js";
import { fit } from "../../src/training/fit.js";
import { isFull } from "../conformance/devices.js";
import { rows, start, withStatistics } from "./problem.js";

const steps = isFull() ? 10_000 : 3000;

/** Memory when what nobody holds has been collected, and plans compiled so far. */
async function settled() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return deviceStatistics();
}

it(`${steps} steps of fit hold flat memory`, async () => {
  const found: Awaited<ReturnType<typeof settled>>[] = [];
  await fit({
    parameters: start(),
    objective: withStatistics,
    data: rows,
    learningRate: 0.01,
    batchSize: 4,
    gradientAccumulationSteps: 2,
    maxSteps: steps,
    logEvery: 100,
    evaluation: { data: rows, every: 1000 },
    observer: {
      step: async ({ step }) => {
        if (step === 1050 || step === steps) found.push(await settled());
      },
    },
  });
  const [early, late] = found;
  expect(late!.plansCompiled).toBe(early!.plansCompiled);
  // A few scalars may wait for the next collection.
  expect(late!.buffers).toBeLessThanOrEqual(early!.buffers + 8);
  expect(late!.bytes).toBeLessThanOrEqual(early!.bytes + 128);
});
