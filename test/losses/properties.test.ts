/**
 * What holds for every preference loss of the family.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { gradients } from "../../src/autograd/gradients.js";
import { alphaDpoLoss } from "../../src/losses/alphaDpo.js";
import { cpoLoss } from "../../src/losses/cpo.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { dpopLoss, lengthRegularizedDpoLoss } from "../../src/losses/dpoVariants.js";
import { hingeLoss, ipoLoss } from "../../src/losses/margin.js";
import { sftLoss } from "../../src/losses/sft.js";
import { simpoLoss } from "../../src/losses/simpo.js";
import { spoLoss } from "../../src/losses/spo.js";
import type { PairLogProbs, PreferenceLoss } from "../../src/losses/types.js";
import { slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { goldenPairs } from "./golden.js";

const standardizedGap = (pairs: PairLogProbs): Tensor =>
  pairs.chosen.mul(0).add(tensor(0.7, { dtype: "float64" }));

type Case = readonly [name: string, loss: (pairs: PairLogProbs) => PreferenceLoss];

const divergences = ["forward_kl", "js_divergence", "alpha_divergence"] as const;

/** Smooth where the tests look; and the sum over pairs of a function of the pair alone. */
const LOSSES: readonly Case[] = [
  ["dpoLoss", (pairs) => dpoLoss(pairs)],
  ["dpoLoss with smoothing", (pairs) => dpoLoss(pairs, { beta: 0.5, labelSmoothing: 0.2 })],
  ...divergences.map(
    (fDivergence): Case => [
      `dpoLoss with ${fDivergence}`,
      (pairs) => dpoLoss(pairs, { beta: 0.5, fDivergence }),
    ],
  ),
  ["hingeLoss", (pairs) => hingeLoss(pairs)],
  ["ipoLoss", (pairs) => ipoLoss(pairs)],
  ["dpopLoss", (pairs) => dpopLoss(pairs, { lambda: 5 })],
  ["lengthRegularizedDpoLoss", (pairs) => lengthRegularizedDpoLoss(pairs)],
  ["simpoLoss", (pairs) => simpoLoss(pairs)],
  ["cpoLoss", (pairs) => cpoLoss(pairs)],
  ["alphaDpoLoss", (pairs) => alphaDpoLoss(pairs, { standardizedGap: standardizedGap(pairs) })],
  ["spoLoss", (pairs) => spoLoss(pairs, { gamma: 0.5, epsilon: 0.1 })],
  ["spoLoss per sequence", (pairs) => spoLoss(pairs, { base: simpoLoss, per: "sequence" })],
];

const take = (pairs: ReturnType<typeof goldenPairs>, from: number, to: number) =>
  Object.fromEntries(
    Object.entries(pairs).map(([name, t]) => [name, slice(t, [from, to])]),
  ) as unknown as PairLogProbs;

describe.each([...LOSSES, ["sftLoss", (pairs) => sftLoss(pairs)] as Case])("%s", (_, loss) => {
  it("has right gradients of first and second order", async () => {
    const { chosen, rejected, referenceChosen, referenceRejected, ...lengths } =
      goldenPairs("float64");
    const rest = { referenceChosen, referenceRejected, ...lengths };
    await checkGradients(
      (c, r) => loss({ chosen: c!, rejected: r!, ...rest }).loss,
      [chosen, rejected],
      { order: 2 },
    );
  });

  it("is the mean of its pairs' losses", async () => {
    const result = loss(goldenPairs("float64"));
    expect(result.perPair.shape).toEqual([4]);
    expect(result.loss.shape).toEqual([]);
    expect(await result.loss.item()).toBeCloseTo(await result.perPair.mean().item(), 12);
  });

  it("gives rewards without gradient", async () => {
    const pairs = goldenPairs("float64");
    const { rewards } = loss(pairs);
    const all = rewards.chosen.add(rewards.rejected).sum();
    const zero = gradients(all, [pairs.chosen, pairs.rejected]);
    for (const g of zero) expect(Array.from(await g.data())).toEqual([0, 0, 0, 0]);
    expect(rewards.chosen.shape).toEqual([4]);
  });

  it("stays finite, gradients too, at log-probabilities of ±1e4 and margins of ±1e3", async () => {
    for (const dtype of ["float32", "float64"] as const) {
      const pairs = {
        chosen: tensor([-10_000, -9_000, -10_000, 0], { dtype }),
        rejected: tensor([-9_000, -10_000, -10_000, -10_000], { dtype }),
        referenceChosen: tensor([-9_500, -9_500, 0, -10_000], { dtype }),
        referenceRejected: tensor([-9_500, -9_500, -10_000, 0], { dtype }),
        chosenLength: tensor([1, 500, 10, 1]),
        rejectedLength: tensor([1, 400, 20, 1]),
      };
      const result = loss(pairs);
      const found = [result.perPair, ...gradients(result.loss, [pairs.chosen, pairs.rejected])];
      await realize(found);
      for (const t of found) {
        const values = Array.from(await t.data());
        expect(values.every(Number.isFinite), `${dtype} ${values}`).toBe(true);
      }
    }
  });

  it("names the input it lacks and the input that does not fit", () => {
    const pairs = goldenPairs("float64");
    expect(() => loss({ ...pairs, rejected: undefined as never })).toThrow("needs `rejected`");
    expect(() => loss({ ...pairs, rejected: slice(pairs.rejected, [0, 3]) })).toThrow(
      "`rejected` has shape [3], `chosen` has [4]",
    );
    expect(() => loss({ ...pairs, chosen: pairs.chosen.reshape([2, 2]) })).toThrow(
      "`chosen` must have shape [batch], got [2,2]",
    );
    expect(() => loss({ ...pairs, chosen: pairs.chosen.cast("int32") })).toThrow(
      "`chosen` must be floating point, got int32",
    );
    expect(() => loss({ ...pairs, chosenLength: pairs.chosen.greater(0) })).toThrow(
      "`chosenLength` must be int32 or floating point, got bool",
    );
    expect(() => loss({ ...pairs, rejected: [1, 2, 3, 4] as never })).toThrow(
      "`rejected` must be a tensor",
    );
    expect(() => loss(take(pairs, 0, 0))).toThrow("the batch is empty");
  });
});

describe.each(LOSSES)("%s", (_, loss) => {
  it("has, on a batch, the gradient that its pairs' own batches add up to", async () => {
    const pairs = goldenPairs("float64");
    const whole = gradients(loss(pairs).loss, [pairs.chosen, pairs.rejected]);
    for (let i = 0; i < 4; i++) {
      const one = take(pairs, i, i + 1);
      const single = gradients(loss(one).loss, [one.chosen, one.rejected]);
      for (const side of [0, 1]) {
        const share = (await whole[side]!.data())[i]!;
        expect((await single[side]!.item()) / 4).toBeCloseTo(share, 14);
      }
    }
  });
});

const logProb = fc.double({ min: -50, max: 0, noNaN: true });
const pairOf = fc.array(fc.tuple(logProb, logProb, logProb, logProb), {
  minLength: 1,
  maxLength: 8,
});
const pairsFrom = (rows: readonly (readonly number[])[]) => {
  const column = (i: number) =>
    tensor(
      rows.map((row) => row[i]!),
      { dtype: "float64" },
    );
  return {
    chosen: column(0),
    rejected: column(1),
    referenceChosen: column(2),
    referenceRejected: column(3),
  };
};

describe("dpoLoss", () => {
  it("is ln 2 where policy = reference", async () => {
    await fc.assert(
      fc.asyncProperty(
        pairOf,
        fc.double({ min: 0.01, max: 10, noNaN: true }),
        async (rows, beta) => {
          const { referenceChosen, referenceRejected } = pairsFrom(rows);
          const same = { chosen: referenceChosen, rejected: referenceRejected };
          const { loss } = dpoLoss({ ...same, referenceChosen, referenceRejected }, { beta });
          expect(await loss.item()).toBeCloseTo(Math.LN2, 14);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("does not change when chosen and rejected are swapped at ε = ½", async () => {
    await fc.assert(
      fc.asyncProperty(pairOf, async (rows) => {
        const pairs = pairsFrom(rows);
        const swapped = {
          chosen: pairs.rejected,
          rejected: pairs.chosen,
          referenceChosen: pairs.referenceRejected,
          referenceRejected: pairs.referenceChosen,
        };
        const options = { labelSmoothing: 0.5 };
        const found = await dpoLoss(swapped, options).loss.item();
        expect(found).toBeCloseTo(await dpoLoss(pairs, options).loss.item(), 12);
      }),
      { numRuns: 30 },
    );
  });

  it("falls as the margin grows", async () => {
    await fc.assert(
      fc.asyncProperty(pairOf, async (rows) => {
        const pairs = pairsFrom(rows);
        const [toChosen, toRejected] = gradients(dpoLoss(pairs).loss, [
          pairs.chosen,
          pairs.rejected,
        ]);
        expect(Array.from(await toChosen!.data()).every((g) => g < 0)).toBe(true);
        expect(Array.from(await toRejected!.data()).every((g) => g > 0)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it("has rewards β·(log π_θ − log π_ref), whatever the divergence", async () => {
    for (const fDivergence of ["reverse_kl", ...divergences] as const) {
      const { rewards } = dpoLoss(goldenPairs("float64"), { beta: 0.5, fDivergence });
      const found = Array.from(await rewards.chosen.data());
      [-0.15, 0.2, -0.2, 0.3].forEach((reward, i) => {
        expect(found[i]).toBeCloseTo(reward, 14);
      });
    }
  });

  it("is the same with α-divergence at α = 1 as with the reverse KL", async () => {
    const options = { fDivergence: "alpha_divergence", fAlphaDivergenceCoef: 1 } as const;
    const found = await dpoLoss(goldenPairs("float64"), options).loss.item();
    expect(found).toBe(await dpoLoss(goldenPairs("float64")).loss.item());
  });

  it("rejects options out of range, unknown, or without effect", () => {
    const pairs = goldenPairs("float64");
    expect(() => dpoLoss(pairs, { beta: 0 })).toThrow("dpoLoss: beta must be a number > 0, got 0");
    expect(() => dpoLoss(pairs, { labelSmoothing: 0.6 })).toThrow(
      "dpoLoss: labelSmoothing must be a number in [0, ½], got 0.6",
    );
    expect(() => dpoLoss(pairs, { lambda: 5 } as never)).toThrow(
      "dpoLoss: has no option `lambda`; it has beta, labelSmoothing, fDivergence, fAlphaDivergenceCoef",
    );
    expect(() => dpoLoss(pairs, { fDivergence: "kl" as never })).toThrow(
      'dpoLoss: fDivergence must be one of "reverse_kl", "forward_kl", "js_divergence", "alpha_divergence", got "kl"',
    );
    expect(() => dpoLoss(pairs, { fAlphaDivergenceCoef: 0.5 })).toThrow(
      'fAlphaDivergenceCoef belongs to fDivergence "alpha_divergence", not "reverse_kl"',
    );
    expect(() => dpoLoss({ chosen: pairs.chosen, rejected: pairs.rejected })).toThrow(
      "dpoLoss: needs `referenceChosen`: log-probabilities of the chosen completions under the reference model, shape [batch]",
    );
  });
});

describe("simpoLoss", () => {
  it("takes the margin as γ or as γ/β, not both", async () => {
    const pairs = goldenPairs("float64");
    const found = await simpoLoss(pairs, { beta: 4, gammaBetaRatio: 0.25 }).loss.item();
    expect(found).toBe(await simpoLoss(pairs, { beta: 4, gamma: 1 }).loss.item());
    expect(() => simpoLoss(pairs, { gamma: 1, gammaBetaRatio: 0.5 })).toThrow(
      "simpoLoss: give `gamma` or `gammaBetaRatio`, not both",
    );
  });

  it("counts an empty completion as log-probability 0 per token", async () => {
    const pairs = {
      chosen: tensor([0], { dtype: "float64" }),
      rejected: tensor([-3], { dtype: "float64" }),
      chosenLength: tensor([0], { dtype: "int32" }),
      rejectedLength: tensor([3], { dtype: "int32" }),
    };
    const { loss } = simpoLoss(pairs, { beta: 1, gamma: 0 });
    expect(await loss.item()).toBeCloseTo(Math.log1p(Math.exp(-1)), 14);
  });
});
