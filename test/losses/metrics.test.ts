/**
 * Metrics of preference training, and losses by name.
 */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autograd/gradients.js";
import { lossByName } from "../../src/losses/byName.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { preferenceMetrics } from "../../src/losses/metrics.js";
import { sftLoss } from "../../src/losses/sft.js";
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

describe("lossByName", () => {
  it("maps TRL's names and the papers' to the losses", async () => {
    const pairs = goldenPairs("float64");
    expect(lossByName("sigmoid")).toBe(dpoLoss);
    expect(lossByName("sft")).toBe(sftLoss);
    for (const name of ["hinge", "ipo", "dpop", "rdpo", "simpo", "cpo", "alphadpo"]) {
      expect(Number.isFinite(await lossByName(name)(pairs).loss.item())).toBe(true);
    }
  });

  it("passes the options of a configuration on, to be checked by the loss", async () => {
    const pairs = goldenPairs("float64");
    const name: string = "sigmoid";
    const configured = { beta: 0.5, labelSmoothing: 0.1 };
    const { loss } = lossByName(name)(pairs, configured);
    expect(await loss.item()).toBe(await dpoLoss(pairs, configured).loss.item());
    expect(() => lossByName(name)(pairs, { betta: 0.5 })).toThrow("dpoLoss: has no option `betta`");
  });

  it("lists the names it knows when given another", () => {
    expect(() => lossByName("ppo")).toThrow(
      'lossByName: no loss "ppo"; there are sigmoid, dpo, hinge, ipo, dpop, rdpo, simpo, cpo, alphadpo, sft',
    );
    expect(() => lossByName("toString")).toThrow('no loss "toString"');
  });
});
