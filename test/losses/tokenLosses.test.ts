/**
 * Losses from per-token inputs: the token-level oracle, LD-DPO, WPO, TDPO's divergence, SGDPO's pilots,
 * ASPO's sentences.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { gradients } from "../../src/autograd/gradients.js";
import {
  aspoLoss,
  aspoWeights,
  bcoLoss,
  dpoLoss,
  ipoLoss,
  ldDpoLogProbs,
  lossByName,
  mixLosses,
  sentenceIndices,
  sentenceSums,
  sequenceKl,
  sequenceLogProbs,
  sftLoss,
  sgdpoLoss,
  sgdpoPilots,
  tdpoLoss,
  tokenLogProbs,
  wpoLogWeights,
  wpoLoss,
} from "../../src/losses/index.js";
import { concat, slice } from "../../src/ops/index.js";
import { full, tensor, zeros } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import { randomGenerator } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import {
  B,
  completion,
  grid,
  ids,
  mask,
  pairsOf,
  policy,
  promptLengths,
  T,
  waves,
} from "../logprobs/tokens.js";

const pairs = pairsOf(sequenceLogProbs(policy, ids, mask));
const referenceLogits = waves(0.9);
const tokens = tokenLogProbs(policy, ids);
const referenceTokens = tokenLogProbs(referenceLogits, ids);
const none = zeros([B, T]);
const values = async (t: Tensor): Promise<number[]> => Array.from(await t.data());
const half = (t: Tensor, which: 0 | 1): Tensor => slice(t, [2 * which, 2 * which + 2]);
/** Lengths of each row's partner: rows 0 and 2, 1 and 3. */
const otherLength = tensor([4, 5, 3, 2], { dtype: "int32" });
/** The first two tokens of each completion are a sentence, the others another. */
const sentences = tensor(
  grid((b, t) => (completion(b, t) ? Number(t >= promptLengths[b]! + 2) : -1)),
  { dtype: "int32" },
);

async function expectAll(t: Tensor, expected: readonly number[], digits = 10): Promise<void> {
  const found = await values(t);
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, digits);
  });
}

describe("the token-level oracle", () => {
  const ld = (alpha: number) => {
    const reduced = (t: Tensor) => ldDpoLogProbs(t, mask, otherLength, alpha);
    const [chosenRef, rejectedRef] = [0, 1].map((k) => half(reduced(referenceTokens), k as 0 | 1));
    return dpoLoss({
      ...pairsOf(reduced(tokens)),
      referenceChosen: chosenRef!,
      referenceRejected: rejectedRef!,
    }).loss;
  };
  const mpo = mixLosses(
    { loss: dpoLoss, weight: 0.8 },
    { loss: bcoLoss, weight: 0.2 },
    { loss: sftLoss, weight: 1 },
  );
  const logWeights = wpoLogWeights(policy, ids, mask);
  const weights = { chosenLogWeight: half(logWeights, 0), rejectedLogWeight: half(logWeights, 1) };

  it.each([
    ["LD-DPO at α = .5", ld(0.5), 0.601777799],
    ["LD-DPO at α = 0", ld(0), 0.612725141],
    ["LD-DPO at α = 1, which is DPO", ld(1), 0.591054503],
    ["WPO without clamp", wpoLoss(pairs, { ...weights, clamp: false }).loss, 0.068470713],
    ["IPO", ipoLoss(pairs).loss, 19.278930616],
    ["SFT", sftLoss(pairs).loss, 1.351013092],
    ["MPO .8/.2/1", mpo(pairs).loss, 2.080093251],
    [
      "MPO by TRL's names",
      lossByName(["sigmoid", "bco_pair", "sft"], { beta: 0.1, loss_weights: [0.8, 0.2, 1] })(pairs)
        .loss,
      2.080093251,
    ],
    [
      "WPO by TRL's name",
      lossByName("sigmoid", { use_weighting: true })(pairs, { ...weights, clamp: false }).loss,
      0.068470713,
    ],
  ])("gives %s", async (_, loss, expected) => {
    expect(await loss.item()).toBeCloseTo(expected, 9);
  });
});

describe("per-token reductions", () => {
  it("give 0, and finite gradients, for completions without tokens", async () => {
    const found = [
      ldDpoLogProbs(tokens, none, otherLength),
      ldDpoLogProbs(tokens, mask, otherLength.mul(0), 0),
      wpoLogWeights(policy, ids, none),
      sequenceKl(policy, referenceLogits, none),
    ];
    const slopes = found.flatMap((t) => gradients(t.sum(), [policy]));
    await realize([found, slopes]);
    for (const t of found) expect(await values(t)).toEqual([0, 0, 0, 0]);
    for (const t of slopes) expect((await values(t)).every((g) => g === 0)).toBe(true);
  });

  it("do not change with padding on either side", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(3), fc.nat(3), fc.nat(), async (before, after, seed) => {
        const around = (t: Tensor): Tensor => {
          const wall = (n: number) => full([B, n, ...t.shape.slice(2)], 0, { dtype: t.dtype });
          return concat([wall(before), t, wall(after)], 1);
        };
        const [logits, ref, tokenIds, m] = [policy, referenceLogits, ids, mask].map(around);
        const t = tokenLogProbs(logits!, tokenIds!);
        const members = around(sentences.add(1)).sub(1);
        const sides = (ratios: Tensor, m: Tensor) =>
          ([0, 1] as const).map((k) => ({ ratios: half(ratios, k), mask: half(m, k) }));
        const pilots = (ratios: Tensor, m: Tensor) => {
          const [chosen, rejected] = sides(ratios, m);
          return concat(Object.values(sgdpoPilots(chosen!, rejected!, { seed, chosenRatio: 0.5 })));
        };
        const referenceT = tokenLogProbs(ref!, tokenIds!);
        const pairsOfResults = [
          [pilots(t.sub(referenceT), m!), pilots(tokens.sub(referenceTokens), mask)],
          [
            sentenceSums(t, members, 2).reshape([-1]),
            sentenceSums(tokens, sentences, 2).reshape([-1]),
          ],
          [
            aspoWeights(t, members, 2).reshape([-1]),
            aspoWeights(tokens, sentences, 2).reshape([-1]),
          ],
          [ldDpoLogProbs(t, m!, otherLength), ldDpoLogProbs(tokens, mask, otherLength)],
          [wpoLogWeights(logits!, tokenIds!, m!), wpoLogWeights(policy, ids, mask)],
          [sequenceKl(logits!, ref!, m!), sequenceKl(policy, referenceLogits, mask)],
        ] as const;
        await realize(pairsOfResults);
        for (const [found, expected] of pairsOfResults)
          await expectAll(found, await values(expected));
      }),
      { numRuns: 12 },
    );
  });

  it("name the argument that does not fit", () => {
    expect(() => ldDpoLogProbs(tokens, slice(mask, null, [1]), otherLength)).toThrow(
      "ldDpoLogProbs: `mask` must have shape [4,7] for `tokens` [4,6], got [4,6]",
    );
    expect(() => ldDpoLogProbs(tokens, mask, otherLength, 2)).toThrow(
      "ldDpoLogProbs: alpha must be a number in [0, 1], got 2",
    );
    expect(() => ldDpoLogProbs(tokens, mask, slice(otherLength, [0, 2]))).toThrow(
      "`otherLength` must have shape [4], got [2]",
    );
    expect(() => sequenceKl(policy, slice(policy, [0, 2]), mask)).toThrow(
      "sequenceKl: `referenceLogits` must have shape [4,7,5], got [2,7,5]",
    );
  });
});

describe("wpoLoss", () => {
  it("weighs by at most 1, and passes no gradient through the weights", async () => {
    const chosenLogWeight = tensor([0.5, -1], { dtype: "float64" });
    const rejectedLogWeight = tensor([0.1, -0.5], { dtype: "float64" });
    const { perPair, loss } = wpoLoss(pairs, { chosenLogWeight, rejectedLogWeight });
    const plain = await values(dpoLoss(pairs).perPair);
    await expectAll(perPair, [plain[0]!, plain[1]! * Math.exp(-1.5)], 12);
    await expectAll(gradients(loss, [chosenLogWeight])[0]!, [0, 0]);
  });

  it("names the weights it lacks", () => {
    expect(() => wpoLoss(pairs)).toThrow("wpoLoss: needs the option `chosenLogWeight`");
  });
});

describe("sequenceKl", () => {
  it("is Σ p log(p/q) over positions and vocabulary", async () => {
    const p = [0.5, 0.3, 0.2];
    const q = [0.2, 0.2, 0.6];
    const rows = (x: readonly number[]) =>
      tensor([[x.map(Math.log), x.map(Math.log), x.map(() => 7)]], { dtype: "float64" });
    const expected = 2 * p.reduce((sum, x, v) => sum + x * Math.log(x / q[v]!), 0);
    await expectAll(sequenceKl(rows(q), rows(p), tensor([[0, 1, 1]])), [expected], 12);
  });

  it("gives TDPO gradients of both orders into the logits", async () => {
    const logits = slice(policy, null, [0, 3], [0, 3]);
    const [ref, m] = [slice(referenceLogits, null, [0, 3], [0, 3]), full([B, 3], 1)];
    const short = slice(ids, null, [0, 3]).mul(0).add(1);
    await checkGradients(
      (x) => {
        const kl = sequenceKl(x!, ref, m);
        const kls = { chosenKl: half(kl, 0), rejectedKl: half(kl, 1) };
        // Version 1 has no stopped gradient, so that differences agree.
        return tdpoLoss(pairsOf(sequenceLogProbs(x!, short, m)), { ...kls, version: 1 }).loss;
      },
      [logits],
      { order: 2 },
    );
  });
});

describe("sgdpoLoss", () => {
  const one = (x: number) => tensor([x], { dtype: "float64" });

  it("is .5231987 at r 2, −3 and pilots 1, −1.5", async () => {
    const [chosen, rejected] = [one(-8), one(-13)];
    const { loss } = sgdpoLoss(
      { chosen, rejected, referenceChosen: one(-10), referenceRejected: one(-10) },
      { pilotChosen: one(1), pilotRejected: one(-1.5), beta: 0.1 },
    );
    const [toChosen, toRejected] = gradients(loss, [chosen, rejected]);
    expect(await loss.item()).toBeCloseTo(0.5231987, 7);
    expect(await toChosen!.item()).toBeCloseTo(-0.0206691, 7);
    expect(await toRejected!.item()).toBeCloseTo(0.0200656, 7);
  });

  it("is ln 2 at policy = reference, with half of DPO's gradient", async () => {
    const start = { ...pairs, chosen: pairs.referenceChosen, rejected: pairs.referenceRejected };
    const pilot = zeros([2], { dtype: "float64" });
    const { loss } = sgdpoLoss(start, { pilotChosen: pilot, pilotRejected: pilot });
    expect(await loss.item()).toBeCloseTo(Math.LN2, 14);
    const [own] = gradients(loss, [start.rejected]);
    const [whole] = gradients(dpoLoss(start).loss, [start.rejected]);
    await expectAll(
      own!,
      (await values(whole!)).map((g) => g / 2),
      14,
    );
  });
});

describe("sgdpoPilots", () => {
  // Powers of two: a sum says which tokens were drawn.
  const ratios = tensor(
    Array.from({ length: 2 }, () => [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]),
    { dtype: "float64" },
  );
  const maskOf = (...lengths: number[]) =>
    tensor(lengths.map((n) => Array.from({ length: 11 }, (_, t) => Number(t >= 1 && t <= n))));
  const drawnOf = (sum: number): number => sum.toString(2).replaceAll("0", "").length;

  it("draw max(⌊r·m⌋, 1) tokens of the completion, m the shorter length", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(10), fc.nat(10), fc.integer(), async (n, m, seed) => {
        const chosen = { ratios, mask: maskOf(n, 10) };
        const rejected = { ratios, mask: maskOf(m, 5) };
        const found = sgdpoPilots(chosen, rejected, { seed });
        await realize(found);
        const [first, second] = await values(found.pilotChosen);
        expect(first).toBeLessThan(2 ** n);
        const shorter = Math.min(n, m);
        expect(drawnOf(first!)).toBe(n === 0 ? 0 : Math.max(Math.floor(0.6 * shorter), 1));
        expect(drawnOf(second!)).toBe(3);
        const [rejectedFirst] = await values(found.pilotRejected);
        expect(drawnOf(rejectedFirst!)).toBe(m === 0 ? 0 : Math.max(Math.floor(0.9 * shorter), 1));
      }),
      { numRuns: 15 },
    );
  });

  it("draw r·m of float32 ratios where that is an integer", async () => {
    const tokens = 100;
    const mask = tensor([Array.from({ length: tokens + 1 }, (_, t) => Number(t >= 1))]);
    const side = { ratios: full([1, tokens], 1), mask };
    const { pilotChosen } = sgdpoPilots(side, side, { seed: 0, chosenRatio: 0.53 });
    expect(await pilotChosen.item()).toBe(53);
  });

  it("go on with a generator, whose next draw is another", async () => {
    const side = { ratios, mask: maskOf(10, 10) };
    const draws = (seed: () => number) => [0, 1].map(() => sgdpoPilots(side, side, { seed }));
    const [first, second] = [draws(randomGenerator(3)), draws(randomGenerator(3))];
    const read = async (found: typeof first) =>
      Promise.all(found.map(({ pilotChosen }) => values(pilotChosen)));
    expect(await read(first)).toEqual(await read(second));
    expect((await read(first))[0]).not.toEqual((await read(first))[1]);
  });

  it("are determined by the seed, differ between seeds, and have no gradient", async () => {
    const side = { ratios, mask: maskOf(10, 10) };
    const draw = (seed: number) => sgdpoPilots(side, side, { seed });
    const seeds = [1, 1, 2, 3, 4];
    const found = await Promise.all(seeds.map((seed) => values(draw(seed).pilotChosen)));
    expect(found[0]).toEqual(found[1]);
    expect(new Set(found.map(String)).size).toBeGreaterThan(2);
    const { pilotChosen, pilotRejected } = draw(1);
    expect(await values(pilotChosen)).not.toEqual(await values(pilotRejected));
    const [gradient] = gradients(pilotChosen.sum(), [ratios]);
    expect((await values(gradient!)).every((g) => g === 0)).toBe(true);
  });
});

describe("aspoLoss", () => {
  const text = "One sentence. A second one! And a third?";
  const starts = Array.from(text.matchAll(/\S+/g), ({ index }) => index);
  const column = (...x: number[]) => tensor(x, { dtype: "float64" });
  const grid2 = (...x: number[][]) => tensor(x, { dtype: "float64" });
  const two = {
    chosen: column(-3),
    rejected: column(-4),
    referenceChosen: column(-3.5),
    referenceRejected: column(-3),
  };

  it("finds the sentence each token begins in", () => {
    expect(sentenceIndices(text, starts)).toEqual([0, 0, 1, 1, 1, 2, 2, 2]);
    expect(() => sentenceIndices(text, [text.length])).toThrow("no token starts at 40");
  });

  it("sums over sentences and weighs them by perplexity and similarity", async () => {
    const logProbs = grid2([-1, -3, -0.5, -0.5, -1, -1]);
    const sentences = tensor([[-1, 0, 0, 1, 1, 2, -1]], { dtype: "int32" });
    await expectAll(sentenceSums(logProbs, sentences, 4), [-4, -1, -1, 0], 14);
    // Perplexities e², e^½, e: the best has weight 1, the worst 0.
    const [high, low, middle] = [Math.exp(2), Math.exp(0.5), Math.exp(1)];
    const third = (high - middle) / (high - low);
    await expectAll(aspoWeights(logProbs, sentences, 4), [0, 1, third, 0], 12);
    const similarity = grid2([5, 3, 4, 99]);
    const mixed = aspoWeights(logProbs, sentences, 4, { similarity, alpha: 0.25 });
    await expectAll(mixed, [0.25, 0.75, 0.125 + 0.75 * third, 0], 12);
    const single = tensor([[-1, 0, 0, 0, 0, 0, 0]], { dtype: "int32" });
    await expectAll(aspoWeights(logProbs, single, 2), [0, 0], 14);
  });

  it("is −log σ(ρ Σ β(1 + w)r − βr_l)", async () => {
    const given = {
      sentences: grid2([-1, -2, 0]),
      referenceSentences: grid2([-2, -1.5, 0]),
      weights: grid2([1, 0.5, 0]),
      mask: tensor([[true, true, false]]),
      beta: 0.5,
    };
    const weighted = 2 * 1 + 1.5 * -0.5;
    const margin = 0.5 * ((2 / 3.5) * weighted + 1);
    const expected = Math.log1p(Math.exp(-margin));
    expect(await aspoLoss(two, given).loss.item()).toBeCloseTo(expected, 12);
    // ρ of rewards brings the sum back to r_w: the value is DPO's.
    const byRewards = aspoLoss(two, { ...given, normalize: "rewards" }).loss;
    expect(await byRewards.item()).toBeCloseTo(await dpoLoss(two, { beta: 0.5 }).loss.item(), 12);
  });

  it("is DPO for a single sentence, and where the weighted reward is 0", async () => {
    const expected = await dpoLoss(two).loss.item();
    const single = {
      sentences: grid2([-3]),
      referenceSentences: grid2([-3.5]),
      weights: grid2([0]),
    };
    expect(await aspoLoss(two, single).loss.item()).toBeCloseTo(expected, 14);
    const still = { sentences: grid2([-3]), referenceSentences: grid2([-3]), weights: grid2([0]) };
    const { loss } = aspoLoss(two, { ...still, normalize: "rewards" });
    expect(await loss.item()).toBeCloseTo(expected, 14);
    expect(() => aspoLoss(two)).toThrow("aspoLoss: needs the option `sentences`");
    expect(() => aspoLoss(two, { ...single, sentences: grid2([-3], [1]) })).toThrow(
      "aspoLoss: sentences must have shape [1,K], got [2,1]",
    );
  });
});
