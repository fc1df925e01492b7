import { describe, expect, test } from "vitest";
import type { Figures } from "../../bench/demo/evaluate.js";
import { verdict } from "../../bench/demo/verdict.js";

const SETTINGS = { base: "dpo" };

function figures(own: Partial<Figures>): Figures {
  return {
    chosenPerToken: -0.7,
    rejectedPerToken: -1.6,
    margin: 3,
    preferenceAccuracy: 0.9,
    rewardAccuracy: null,
    leftBoth: 0,
    greedyAccuracy: 0.75,
    sampledAccuracy: 0.14,
    ...own,
  };
}

const run = (chosen: Partial<Figures>, dpo: Partial<Figures>, spo: Partial<Figures>) =>
  verdict(
    SETTINGS,
    new Map([
      ["sft", figures({})],
      ["sft-chosen", figures(chosen)],
      ["dpo", figures(dpo)],
      ["dpo+spo", figures(spo)],
    ]),
  );

describe("the verdict", () => {
  test("says what the figures say where SPO helps", () => {
    const sentences = run(
      { sampledAccuracy: 0.515 },
      { greedyAccuracy: 0.575, sampledAccuracy: 0.391, chosenPerToken: -1.08, margin: 10.5 },
      { greedyAccuracy: 0.932, sampledAccuracy: 0.592, chosenPerToken: -0.49, margin: 6.7 },
    );
    expect(sentences).toEqual([
      "DPO answers 57% of the held-out problems right, less than the 75% of the SFT model it " +
        "started from; DPO+SPO answers 93%, more than that model.",
      "When answers are sampled, DPO+SPO is right in 59%, more than SFT on chosen with 52% and " +
        "more than DPO with 39%.",
      "Under DPO the chosen responses lose 0.38 nats of log-probability per token, under DPO+SPO " +
        "they gain 0.21 nats; the margin over the rejected ones changes by +7.5 and +3.7 nats.",
    ]);
  });

  test("says so just as well where SPO does not help, or nothing changes", () => {
    const sentences = run(
      { sampledAccuracy: 0.6 },
      { greedyAccuracy: 0.8, sampledAccuracy: 0.5, margin: 1 },
      { greedyAccuracy: 0.7, sampledAccuracy: 0.5, margin: 2 },
    );
    expect(sentences[0]).toContain("more than the 75% of the SFT model");
    expect(sentences[0]).toContain("DPO+SPO answers 70%, less than that model");
    expect(sentences[1]).toContain("less than SFT on chosen with 60% and as much as DPO with 50%");
    expect(sentences[2]).toContain("gain 0.00 nats");
    expect(sentences[2]).toContain("changes by −2.0 and −1.0 nats");
  });

  test("is about probabilities alone where no answer is right or wrong", () => {
    const none = { greedyAccuracy: null, sampledAccuracy: null };
    const all = ["sft", "sft-chosen", "dpo", "dpo+spo"].map(
      (phase) => [phase, figures(none)] as const,
    );
    expect(verdict(SETTINGS, new Map(all)).length).toBe(1);
  });

  test("waits until every phase has figures", () => {
    expect(verdict(SETTINGS, new Map([["sft", figures({})]]))).toEqual([]);
  });
});
