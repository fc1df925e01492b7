/**
 * Metrics of preference training.
 */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autograd/gradients.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { preferenceMetrics } from "../../src/losses/preferenceMetrics.js";
import { spoLoss } from "../../src/losses/spo.js";
import { tensor } from "../../src/tensor/create.js";
import { goldenPairs } from "./golden.js";

describe("preferenceMetrics", () => {
  it("reports batch means under TRL's names", async () => {
    const pairs = goldenPairs("float64");
    const metrics = preferenceMetrics(dpoLoss(pairs, { beta: 0.5 }), pairs);
    const found = Object.fromEntries(
      await Promise.all(
        Object.entries(metrics).map(async ([name, value]) => [name, await value.item()] as const),
      ),
    );
    // Rewards .5·(−.3, .4, −.4, .6) against .5·(−.4, .2, .5, −.7).
    const expected = {
      "rewards/chosen": 0.0375,
      "rewards/rejected": -0.05,
      "rewards/accuracies": 0.75,
      "rewards/margins": 0.0875,
      "logps/chosen": -2.75,
      "logps/rejected": -3.85,
    };
    expect(Object.keys(found)).toEqual(Object.keys(expected));
    for (const [name, value] of Object.entries(expected)) {
      expect(found[name]).toBeCloseTo(value, 12);
    }
  });

  it("counts a tie as wrong", async () => {
    const even = tensor([-1, -2]);
    const pairs = { chosen: even, rejected: even, referenceChosen: even, referenceRejected: even };
    const metrics = preferenceMetrics(dpoLoss(pairs), pairs);
    expect(await metrics["rewards/accuracies"].item()).toBe(0);
  });

  it("sends no gradient", async () => {
    const pairs = goldenPairs("float64");
    const metrics = preferenceMetrics(spoLoss(pairs), pairs);
    for (const metric of Object.values(metrics)) {
      const [gradient] = gradients(metric, [pairs.chosen]);
      expect(Array.from(await gradient!.data())).toEqual([0, 0, 0, 0]);
    }
  });
});
