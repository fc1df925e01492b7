/**
 * α-DPO's margins: the standardised gap and its running statistics.
 */

import { describe, expect, it } from "vitest";
import { type AlphaDpoLoss, alphaDpoLoss } from "../../src/losses/alphaDpo.js";
import { slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { goldenPairs } from "./golden.js";

const pairs = goldenPairs("float64");
/** (a_w − a_l) − the reference's, of the golden pairs: a = log π / n. */
const gaps = [-0.3 / 3 + 0.4 / 2, 0.4 / 2 - 0.2 / 4, -0.4 / 4 - 0.5 / 3, 0.6 + 0.7 / 2];
const mean = (values: readonly number[]): number =>
  values.reduce((sum, x) => sum + x, 0) / values.length;
const std = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, x) => sum + (x - mean(values)) ** 2, 0) / (values.length - 1));

describe("alphaDpoLoss", () => {
  it("is 1.541008 at β 2.5, ratio .6, α .2, a_w − a_l .3, z 1.1", async () => {
    const one = (x: number) => tensor([x], { dtype: "float64" });
    const { loss } = alphaDpoLoss(
      {
        chosen: one(-0.7),
        rejected: one(-1),
        chosenLength: one(1),
        rejectedLength: one(1),
      },
      { beta: 2.5, gammaBetaRatio: 0.6, alpha: 0.2, standardizedGap: one(1.1) },
    );
    expect(await loss.item()).toBeCloseTo(1.541008, 6);
  });

  it("standardises by the batch's own statistics at first", async () => {
    const z = gaps.map((gap) => (gap - mean(gaps)) / (std(gaps) + 1e-6));
    const standardizedGap = tensor(z, { dtype: "float64" });
    const found = await alphaDpoLoss(pairs).loss.item();
    expect(found).toBeCloseTo(await alphaDpoLoss(pairs, { standardizedGap }).loss.item(), 12);
  });

  it("averages over batches with decay .9, corrected for the start from zero", async () => {
    const first = alphaDpoLoss(pairs);
    const swapped = {
      ...pairs,
      chosen: pairs.referenceChosen,
      referenceChosen: pairs.chosen,
    };
    const second = alphaDpoLoss(swapped, { state: first.state! });
    const state = second.state!;
    const other = [0.3 / 3 + 0.4 / 2, -0.4 / 2 - 0.2 / 4, 0.4 / 4 - 0.5 / 3, -0.6 + 0.7 / 2];
    expect(state.count).toBe(2);
    expect(await state.mean.item()).toBeCloseTo(0.09 * mean(gaps) + 0.1 * mean(other), 12);
    expect(await state.std.item()).toBeCloseTo(0.09 * std(gaps) + 0.1 * std(other), 12);
    const [mu, s] = [(await state.mean.item()) / 0.19, (await state.std.item()) / 0.19];
    const standardizedGap = tensor(
      other.map((gap) => (gap - mu) / (s + 1e-6)),
      { dtype: "float64" },
    );
    expect(await second.loss.item()).toBeCloseTo(
      await alphaDpoLoss(swapped, { standardizedGap }).loss.item(),
      12,
    );
  });

  it("leaves the state alone in evaluation and for a batch of one pair", async () => {
    const { state } = alphaDpoLoss(pairs);
    const values = async (result: AlphaDpoLoss) => {
      const { mean: m, std: s, count } = result.state!;
      return [await m.item(), await s.item(), count];
    };
    const expected = await values(alphaDpoLoss(pairs));
    expect(await values(alphaDpoLoss(pairs, { state: state!, updateState: false }))).toEqual(
      expected,
    );
    const single = Object.fromEntries(
      Object.entries(pairs).map(([name, t]) => [name, slice(t, [0, 1])]),
    ) as typeof pairs;
    expect(await values(alphaDpoLoss(single, { state: state! }))).toEqual(expected);
    expect(() => alphaDpoLoss(single)).toThrow(
      "alphaDpoLoss: a batch of one pair has no standard deviation, so it needs the `state` of earlier batches",
    );
    expect(() => alphaDpoLoss(pairs, { updateState: false })).toThrow("updateState is false");
  });

  it("has z = 0 where policy = reference", async () => {
    const start = { ...pairs, chosen: pairs.referenceChosen, rejected: pairs.referenceRejected };
    const standardizedGap = tensor([0, 0, 0, 0], { dtype: "float64" });
    expect(await alphaDpoLoss(start).loss.item()).toBeCloseTo(
      await alphaDpoLoss(start, { standardizedGap }).loss.item(),
      6,
    );
  });
});
