/**
 * chesScore against its definition written out.
 */

import { describe, expect, it } from "vitest";
import { chesScore } from "../../src/dynamics/ches.js";
import { ones, tensor, zeros } from "../../src/tensor/create.js";

type States = readonly (readonly number[])[];

/** A deterministic sequence of hidden states. */
const states = (seed: number, length: number): number[][] =>
  Array.from({ length }, (_, t) => [0, 1, 2].map((d) => Math.sin(seed + 1.3 * t + 2.1 * d)));

/** From the definition: states of the positions before each completion token. */
function expected(chosen: States, rejected: States, normalize: boolean): number {
  const pooled = (h: States): number[] =>
    [0, 1, 2].map((d) => h.reduce((sum, x) => sum + x[d]!, 0) / (normalize ? h.length : 1));
  const [w, l] = [pooled(chosen), pooled(rejected)];
  return w.reduce((sum, x, d) => sum + x * l[d]! - x * x, 0);
}

/** Prompts of `prompt` tokens; the last sequence of the batch is padded on both sides. */
const chosenRows = [states(0.1, 6), [[Number.NaN, 0, 1e9], ...states(0.2, 4), [7, 7, 7]]];
const rejectedRows = [states(0.4, 5), states(0.5, 5)];
const chosen = {
  hidden: tensor(chosenRows, { dtype: "float64" }),
  mask: tensor([
    [0, 0, 1, 1, 1, 1],
    [0, 0, 0, 1, 1, 0],
  ]),
};
const rejected = {
  hidden: tensor(rejectedRows, { dtype: "float64" }),
  mask: tensor([
    [0, 0, 1, 1, 1],
    [0, 0, 1, 0, 0],
  ]).notEqual(0),
};

describe("chesScore", () => {
  it("is the definition's, as a sum and length-normalised, whatever the padding", async () => {
    const found = chesScore(chosen, rejected);
    const used: [States, States][] = [
      [chosenRows[0]!.slice(1, 5), rejectedRows[0]!.slice(1, 4)],
      [chosenRows[1]!.slice(2, 4), rejectedRows[1]!.slice(1, 2)],
    ];
    const [sums, means] = [await found.sum.data(), await found.normalized.data()];
    used.forEach(([w, l], i) => {
      expect(sums[i]!).toBeCloseTo(expected(w, l, false), 12);
      expect(means[i]!).toBeCloseTo(expected(w, l, true), 12);
    });
  });

  it("is 0 for a pair of equal states, and lower the further apart they are", async () => {
    const hidden = tensor([states(0.3, 4)], { dtype: "float64" });
    const mask = ones([1, 4]);
    const same = chesScore({ hidden, mask }, { hidden, mask });
    expect(await same.sum.item()).toBe(0);
    const opposite = chesScore({ hidden, mask }, { hidden: hidden.neg(), mask });
    expect(await opposite.sum.item()).toBeLessThan(0);
  });

  it("takes an empty completion as the state 0", async () => {
    const empty = { hidden: ones([1, 3, 2]), mask: zeros([1, 3]) };
    const full = { hidden: ones([1, 3, 2]), mask: ones([1, 3]) };
    expect(await chesScore(empty, full).normalized.item()).toBe(0);
    expect(await chesScore(full, empty).sum.item()).toBe(-8);
  });

  it("names what does not fit", () => {
    expect(() => chesScore({ ...chosen, mask: ones([2, 5]) }, rejected)).toThrow(
      "chesScore: chosen.mask must have shape [2,6], got [2,5]",
    );
    expect(() => chesScore(chosen, { ...rejected, hidden: ones([2, 5]) })).toThrow(
      "chesScore: rejected.hidden must have shape [B,T,D] with T ≥ 1, got [2,5]",
    );
    expect(() => chesScore(chosen, { hidden: ones([2, 5, 4]), mask: ones([2, 5]) })).toThrow(
      "chesScore: hidden states of [2,6,3] and [2,5,4] differ in batch or width",
    );
    expect(() =>
      chesScore({ hidden: zeros([1, 2, 3], { dtype: "int32" }), mask: ones([1, 2]) }, rejected),
    ).toThrow("chesScore: chosen.hidden must be floating point, got int32");
  });
});
