/**
 * What is shown of a run: which evaluation is called the best, and a bar where the width is not known.
 */

import { afterEach, expect, it, vi } from "vitest";
import { runProgress } from "../../src/cli/progress.js";
import type { FitPlan } from "../../src/training/observer.js";

afterEach(() => vi.unstubAllEnvs());

const PLAN = {
  step: 0,
  steps: 20,
  stepsPerEpoch: 10,
  settings: { batchSize: 4, gradientAccumulationSteps: 1 },
} as FitPlan;

/** What is shown on a stream, begun with a plan. */
function shown(own: { readonly isTTY?: boolean; readonly columns?: number } = {}) {
  const written: string[] = [];
  const write = (text: string) => written.push(text);
  const progress = runProgress({ ...own, write } as unknown as NodeJS.WriteStream);
  progress.start?.(PLAN);
  return { progress, written };
}

it("no evaluation is the best whose loss is above that before training", () => {
  const { progress, written } = shown();
  progress.evaluation?.({ step: 0, eval_loss: 0.69 }, false);
  progress.evaluation?.({ step: 10, eval_loss: 0.7 }, true);
  progress.evaluation?.({ step: 20, eval_loss: 0.6 }, true);
  expect(written.slice(1)).toEqual([
    "step 0/20  eval_loss 0.69\n",
    "step 10/20  eval_loss 0.7\n",
    "step 20/20  eval_loss 0.6  (best)\n",
  ]);
});

it("a terminal that does not know its width has a bar of 79 characters at most", () => {
  vi.stubEnv("NO_COLOR", undefined);
  const { progress, written } = shown({ isTTY: true, columns: 0 });
  progress.log?.({ step: 5, loss: 0.5, "rewards/margins": 1.5, "spo/gap": 0.25, grad_norm: 2.5 });
  progress.step?.({ step: 5, epoch: 0.5, loss: 0.5, gradNorm: 1 });
  const [bar] = /█.*$/.exec(written.at(-1)!)!;
  expect(bar).toMatch(/^█{6}░{18} 5\/20 .* left .*loss 0\.5/);
  expect(bar.length).toBe(79);
});
