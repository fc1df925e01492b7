/**
 * The dynamics of a language model's responses: products and velocities as its own gradients have them.
 */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autograd/gradients.js";
import { chesScore } from "../../src/dynamics/ches.js";
import { pairDynamics } from "../../src/dynamics/pairDynamics.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { chunkedSequenceLogProbs, sequenceLogProbs } from "../../src/losses/index.js";
import type { PairLogProbs } from "../../src/losses/types.js";
import { type GptParameters, gpt } from "../../src/models/gpt.js";
import { slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import { treeLeaves } from "../../src/tensor/tree.js";

const model = gpt({ vocabularySize: 7, contextLength: 6, width: 8, layers: 2, heads: 2 });
/** One prompt, `1 2`, with four completions; the last is shorter. */
const ids = tensor(
  [
    [1, 2, 3, 4, 5],
    [1, 2, 3, 4, 6],
    [1, 2, 6, 0, 3],
    [1, 2, 5, 0, 0],
  ],
  { dtype: "int32" },
);
const mask = tensor([
  [0, 0, 1, 1, 1],
  [0, 0, 1, 1, 1],
  [0, 0, 1, 1, 1],
  [0, 0, 1, 0, 0],
]);
const policy = (parameters: GptParameters) =>
  sequenceLogProbs(model.apply(parameters, ids), ids, mask);
const chunked = (parameters: GptParameters) =>
  chunkedSequenceLogProbs(
    model.hidden(parameters, ids),
    model.headWeight(parameters),
    ids,
    mask,
    3,
  );
const loss = (pairs: PairLogProbs) => dpoLoss(pairs, { beta: 0.5 });
const start = (seed: number) => model.init(seed, { std: 0.4, dtype: "float64" });

describe("a transformer's responses", () => {
  it("have the products and velocities of their own gradients, with chunked logits too", async () => {
    const parameters = start(1);
    const logProbs = policy(parameters);
    const own = await Promise.all(
      [0, 1, 2, 3].map(async (z) => {
        const parts = gradients(slice(logProbs, z).reshape([]), treeLeaves(parameters));
        return (await Promise.all(parts.map((part) => part.data()))).flatMap((part) => [...part]);
      }),
    );
    const product = (y: number, z: number): number =>
      own[y]!.reduce((sum, g, i) => sum + g * own[z]![i]!, 0);
    for (const of of [policy, chunked]) {
      const found = pairDynamics(of, parameters, { loss, reference: policy(parameters) });
      const [chosen, rejected, velocities] = [
        await found.products.chosen.data(),
        await found.products.rejected.data(),
        await found.velocities.data(),
      ];
      for (const z of [0, 1, 2, 3]) {
        expect(chosen[z]! / product(z, 0)).toBeCloseTo(1, 10);
        expect(rejected[z]! / product(z, 1)).toBeCloseTo(1, 10);
        expect(velocities[z]).toBeCloseTo(0.25 * (product(z, 0) - product(z, 1)), 9);
      }
    }
  });

  it("take one plan, whatever the parameters", async () => {
    const at = async (seed: number) => {
      const { velocities, products, overlap, leavingShare } = pairDynamics(policy, start(seed), {
        loss,
        reference: tensor([-6, -7], { dtype: "float64" }),
      });
      return realize({ velocities, products, overlap, leavingShare });
    };
    await at(2);
    const { plansCompiled } = await deviceStatistics();
    await at(3);
    expect((await deviceStatistics()).plansCompiled).toBe(plansCompiled);
  });

  it("are scored by the states their tokens are predicted from", async () => {
    const hidden = model.hidden(start(1), ids);
    const states = (row: number) => ({
      hidden: slice(hidden, [row, row + 1]),
      mask: slice(mask, [row, row + 1]),
    });
    // Response 1 differs from 0 in its last token, from which nothing is predicted.
    expect(await chesScore(states(0), states(1)).sum.item()).toBe(0);
    const pooled = (row: number, from: number, to: number) =>
      slice(hidden, row, [from, to]).reshape([to - from, 8]);
    const w = pooled(0, 1, 4).sum(0);
    for (const [row, end] of [
      [2, 4],
      [3, 2],
    ] as const) {
      const found = chesScore(states(0), states(row));
      const l = pooled(row, 1, end).sum(0);
      const sum = await w.mul(l).sum().sub(w.square().sum()).item();
      expect(await found.sum.item()).toBeCloseTo(sum, 10);
      const tokens = end - 1;
      const mean = w
        .mul(l)
        .sum()
        .div(3 * tokens)
        .sub(w.square().sum().div(9));
      expect(await found.normalized.item()).toBeCloseTo(await mean.item(), 10);
    }
  });
});
