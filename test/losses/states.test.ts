/**
 * Losses with a running state, and what else they take beside pairs.
 */

import { describe, expect, expectTypeOf, it } from "vitest";
import { gradients } from "../../src/autograd/gradients.js";
import {
  alphaDpoLoss,
  type BcoLoss,
  type BetaDpoLoss,
  bcoLoss,
  betaDpoLoss,
  diffusionDpoLoss,
  dmpoLoss,
  dpoLoss,
  ktoKl,
  ktoLoss,
  lossByName,
  mixLosses,
  offsetDpoLoss,
  type PairLogProbs,
  type PreferenceLoss,
  sftLoss,
  simpoLoss,
  spoLoss,
  sppoLoss,
  tdpoLoss,
  udmWeights,
  unpairedKtoLoss,
  wpoLoss,
} from "../../src/losses/index.js";
import { slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type TreeNumbers, treeNumbers } from "../../src/tensor/tree.js";
import { goldenPairs } from "./golden.js";

const pairs = goldenPairs("float64");
const values = async (t: Tensor): Promise<number[]> => Array.from(await t.data());
const column = (...x: number[]) => tensor(x, { dtype: "float64" });
const chosenRatios = [-0.3, 0.4, -0.4, 0.6];
const rejectedRatios = [-0.4, 0.2, 0.5, -0.7];
const margins = chosenRatios.map((r, i) => r - rejectedRatios[i]!);
const mean = (x: readonly number[]): number => x.reduce((sum, v) => sum + v, 0) / x.length;

/** A state as a file keeps it. */
const stored = async <State>(state: State): Promise<TreeNumbers<State>> =>
  JSON.parse(JSON.stringify(await treeNumbers(state)));

describe("bcoLoss", () => {
  it("takes for δ the mean of all rewards so far, this batch's included", async () => {
    const beta = 0.5;
    const rewards = beta * mean([...chosenRatios, ...rejectedRatios]);
    const first = bcoLoss(pairs, { beta, state: { mean: 0, count: 0 } });
    expect(first.state!.count).toBe(8);
    expect(await first.state!.mean.item()).toBeCloseTo(rewards, 14);
    const withDelta = bcoLoss(pairs, { beta, delta: rewards });
    expect(await first.loss.item()).toBeCloseTo(await withDelta.loss.item(), 14);
    expect(withDelta.state).toBeUndefined();
    // One pair more, with rewards β·(−.3) and β·(−.4).
    const one = Object.fromEntries(
      Object.entries(pairs).map(([name, t]) => [name, slice(t, [0, 1])]),
    ) as typeof pairs;
    const second = bcoLoss(one, { beta, state: first.state! });
    expect(await second.state!.mean.item()).toBeCloseTo((8 * rewards - 0.7 * beta) / 10, 14);
    expect(second.state!.count).toBe(10);
  });

  it("passes no gradient through δ, and leaves the state alone in evaluation", async () => {
    const state = { mean: 0.2, count: 6 };
    const kept = bcoLoss(pairs, { state, updateState: false });
    expect(await stored(kept.state!)).toEqual(state);
    const moving = bcoLoss(pairs, { state });
    const delta = await moving.state!.mean.item();
    const [found] = gradients(moving.loss, [pairs.chosen]);
    const [expected] = gradients(bcoLoss(pairs, { delta }).loss, [pairs.chosen]);
    expect(await values(found!)).toEqual(await values(expected!));
  });

  it("takes one threshold or one per pair, or a state, not both", () => {
    expect(() => bcoLoss(pairs, { delta: 0, state: { mean: 0, count: 0 } })).toThrow(
      "bcoLoss: `state` takes the place of `delta`; give one",
    );
    expect(() => bcoLoss(pairs, { updateState: true })).toThrow("`updateState` belongs to `state`");
    expect(() => bcoLoss(pairs, { state: { mean: 0, count: 0 }, updateState: false })).toThrow(
      "needs the `state` of earlier batches",
    );
    expect(() => bcoLoss(pairs, { delta: column(1, 2) })).toThrow(
      "bcoLoss: delta must have shape [4], got [2]",
    );
  });

  it("weighs rejected completions by the odds of their prompt, bounded", async () => {
    const rejectedWeights = udmWeights(column(0, 0.5, 0.75, 1));
    const odds = await values(rejectedWeights);
    [0.5, 1, 3, 10].forEach((expected, i) => {
      expect(odds[i]).toBeCloseTo(expected, 12);
    });
    const chosenTerm = (i: number) => Math.log1p(Math.exp(-0.1 * chosenRatios[i]!));
    const rejectedTerm = (i: number) => Math.log1p(Math.exp(0.1 * rejectedRatios[i]!));
    const found = await values(bcoLoss(pairs, { rejectedWeights }).perPair);
    found.forEach((value, i) => {
      expect(value).toBeCloseTo(chosenTerm(i) + odds[i]! * rejectedTerm(i), 12);
    });
    expect(() => udmWeights(column(0.5), { minimum: 2, maximum: 1 })).toThrow(
      "udmWeights: maximum must be a number ≥ minimum, got 1",
    );
  });
});

describe("a running state", () => {
  it("goes on alike from tensors and from the numbers a file keeps", async () => {
    const later = { ...pairs, chosen: pairs.referenceChosen };
    const bco = bcoLoss(pairs, { state: { mean: 0, count: 0 } });
    const alpha = alphaDpoLoss(pairs);
    const beta = betaDpoLoss(pairs);
    const spo = spoLoss(pairs, { gamma: "dual", state: { gamma: 0.7 } });
    const continued = [
      [
        spoLoss(later, { gamma: "dual", state: spo.state }),
        spoLoss(later, { gamma: "dual", state: await stored(spo.state) }),
      ],
      [bcoLoss(later, { state: bco.state! }), bcoLoss(later, { state: await stored(bco.state!) })],
      [
        alphaDpoLoss(later, { state: alpha.state! }),
        alphaDpoLoss(later, { state: await stored(alpha.state!) }),
      ],
      [
        betaDpoLoss(later, { state: beta.state }),
        betaDpoLoss(later, { state: await stored(beta.state) }),
      ],
    ] as const;
    for (const [live, read] of continued) {
      expect(await read.loss.item()).toBe(await live.loss.item());
      expect(await stored(read.state!)).toEqual(await stored(live.state!));
    }
  });

  it("is reached through spoLoss", async () => {
    const result = spoLoss(pairs, { base: betaDpoLoss });
    expect(result.base.state.count).toBe(1);
    expect(await result.base.state.mean.item()).toBeCloseTo(0.1 * mean(margins), 14);
  });

  it("is reached through wpoLoss, whose result is the base's but for the loss", async () => {
    const logWeight = column(0, -0.5, -1, 0);
    const weights = { chosenLogWeight: logWeight, rejectedLogWeight: logWeight };
    const baseOptions = { state: { mean: 0.5, count: 2 } };
    const result = wpoLoss(pairs, { base: bcoLoss, baseOptions, ...weights });
    const base = bcoLoss(pairs, baseOptions);
    expectTypeOf(result).toEqualTypeOf<BcoLoss>();
    expect(await stored(result.state!)).toEqual(await stored(base.state!));
    expect(await values(result.rewards.chosen)).toEqual(await values(base.rewards.chosen));
    const perPair = await values(base.perPair);
    (await values(result.perPair)).forEach((value, i) => {
      expect(value).toBeCloseTo(perPair[i]! * [1, Math.exp(-1), Math.exp(-2), 1][i]!, 14);
    });
    const { beta, kept, state } = wpoLoss(pairs, { base: betaDpoLoss, ...weights });
    expect([beta.shape, kept.shape, state.count]).toEqual([[], [4], 1]);
  });

  it("is reached through mixLosses, by the term", () => {
    const { terms } = mixLosses(
      { loss: simpoLoss, weight: 1 },
      { loss: bcoLoss, weight: 0.2, options: { state: { mean: 0, count: 0 } } },
      { loss: betaDpoLoss, weight: 1 },
    )(pairs);
    expect(terms[1].state!.count).toBe(8);
    expect(terms[2].state.count).toBe(1);
    expectTypeOf(terms[0]).toEqualTypeOf<PreferenceLoss>();
    // @ts-expect-error: simpoLoss has no such option
    expect(() => mixLosses({ loss: simpoLoss, weight: 1, options: { state: 1 } })(pairs)).toThrow();
  });
});

describe("betaDpoLoss", () => {
  const adapted = async (result: BetaDpoLoss): Promise<number> => result.beta.item();

  it("moves β with the mean margin of the pairs it keeps", async () => {
    const state = { mean: 0.1, std: 1, count: 500 };
    const result = betaDpoLoss(pairs, { state, updateState: false, dropRatio: 0 });
    expect(await adapted(result)).toBeCloseTo(0.1 * (1 + 0.6 * (mean(margins) - 0.1)), 12);
    const expected = dpoLoss(pairs, { beta: await adapted(result) });
    expect(await result.loss.item()).toBeCloseTo(await expected.loss.item(), 12);
    const low = betaDpoLoss(pairs, { state: { ...state, mean: 9 }, updateState: false });
    expect(await adapted(low)).toBe(1e-3);
  });

  it("keeps ⌊N(1−ρ)⌋ pairs, drawn by the seed and the batches seen, and averages over them", async () => {
    const draws = [0, 0, 1, 2, 3, 4, 5, 6].map((seed) =>
      betaDpoLoss(pairs, { seed, dropRatio: 0.5 }),
    );
    await realize(draws);
    const kept = await Promise.all(draws.map(({ kept: k }) => values(k)));
    expect(kept[0]).toEqual(kept[1]);
    expect(new Set(kept.map(String)).size).toBeGreaterThan(1);
    for (const [i, result] of draws.entries()) {
      expect(kept[i]!.filter(Boolean)).toHaveLength(2);
      const perPair = await values(result.perPair);
      const full = await values(dpoLoss(pairs, { beta: await adapted(result) }).perPair);
      perPair.forEach((value, j) => {
        expect(value).toBeCloseTo(kept[i]![j] ? 2 * full[j]! : 0, 12);
      });
    }
  });

  it("draws pairs near the mean margin more often", async () => {
    // Margins −1, 0, 1 and 30 about a mean of 0 with deviation 1.
    const even = column(-40, -40, -40, -40);
    const spread = { chosen: column(-41, -40, -39, -10), rejected: even };
    const outlying = { ...spread, referenceChosen: even, referenceRejected: even };
    const state = { mean: 0, std: 1, count: 500 };
    const draws = Array.from({ length: 30 }, (_, seed) =>
      betaDpoLoss(outlying, { seed, state, updateState: false, dropRatio: 0.7 }),
    );
    await realize(draws.map(({ kept }) => kept));
    const counts = [0, 0, 0, 0];
    for (const { kept } of draws) {
      for (const [j, k] of (await values(kept)).entries()) counts[j]! += k;
    }
    expect(counts.reduce((sum, c) => sum + c, 0)).toBe(30);
    expect(counts[3]).toBe(0);
    expect(counts[1]).toBeGreaterThan(5);
  });

  it("keeps at least one pair, and needs a state for a single one", async () => {
    const all = betaDpoLoss(pairs, { dropRatio: 0.99 });
    expect((await values(all.kept)).filter(Boolean)).toHaveLength(1);
    expect(() => betaDpoLoss(pairs, { dropRatio: 1 })).toThrow(
      "betaDpoLoss: dropRatio must be a number in [0, 1), got 1",
    );
  });
});

describe("ktoLoss", () => {
  it("is the mean of its completions judged one by one", async () => {
    const options = { kl: 0.1, beta: 0.5, desirableWeight: 1.2, undesirableWeight: 0.7 };
    const judge = (which: "chosen" | "rejected") =>
      unpairedKtoLoss(
        {
          logProbs: pairs[which],
          reference: pairs[which === "chosen" ? "referenceChosen" : "referenceRejected"],
          desirable: tensor(Array.from({ length: 4 }, () => which === "chosen")),
        },
        options,
      );
    const [chosen, rejected] = [judge("chosen"), judge("rejected")];
    const paired = ktoLoss(pairs, options);
    expect(await paired.loss.item()).toBeCloseTo(
      ((await chosen.loss.item()) + (await rejected.loss.item())) / 2,
      14,
    );
    const [first] = await values(chosen.perExample);
    expect(first).toBeCloseTo(1.2 * (1 - 1 / (1 + Math.exp(-0.5 * (-0.3 - 0.1)))), 14);
    expect(await values(chosen.rewards)).toEqual(await values(paired.rewards.chosen));
  });

  it("takes k from mismatched pairs: their mean log-ratio, at least 0, without gradient", async () => {
    const [mismatched, reference] = [column(-1, -2, -5), column(-2, -2.5, -6)];
    const kl = ktoKl(mismatched, reference);
    expect(await kl.item()).toBeCloseTo(2.5 / 3, 14);
    expect(await ktoKl(reference, mismatched).item()).toBe(0);
    const { loss } = ktoLoss(pairs, { kl });
    expect(await loss.item()).toBeCloseTo(await ktoLoss(pairs, { kl: 2.5 / 3 }).loss.item(), 14);
    expect(await values(gradients(loss, [mismatched])[0]!)).toEqual([0, 0, 0]);
    expect(() => ktoKl(column(-1), column(-1, -2))).toThrow(
      "ktoKl: `reference` has shape [2], `mismatched` has [1]",
    );
  });

  it("does not guess the reference point", () => {
    expect(() => ktoLoss(pairs)).toThrow(
      "ktoLoss: needs the option `kl`: the reference point (ktoKl gives it)",
    );
    expect(() => ktoLoss(pairs, { kl: -1 })).toThrow("ktoLoss: kl must be a number ≥ 0");
  });
});

describe("dmpoLoss", () => {
  it.each([
    [-6, 4.576497, -0.026133],
    [0, 1.614463, -1.14878],
    [2, 0.192468, -0.272471],
    [8, 0.008573, 0.001141],
  ])("at u = %d is %d with slope %d", async (u, value, slope) => {
    const [chosen, zero] = [column(-u), column(0)];
    const errors = { chosen, rejected: zero, referenceChosen: zero, referenceRejected: zero };
    const { loss } = dmpoLoss(errors, { beta: 2, alpha: 0.01 });
    expect(await loss.item()).toBeCloseTo(value, 6);
    expect(-(await gradients(loss, [chosen])[0]!.item())).toBeCloseTo(slope, 6);
  });
});

describe("mixLosses", () => {
  it("is the weighted sum, its terms at hand, with the first one's rewards", async () => {
    const mix = mixLosses(
      { loss: simpoLoss, weight: 2, options: { gamma: 1 } },
      { loss: sftLoss, weight: -0.5 },
    );
    const { loss, rewards, terms } = mix(pairs);
    const simpo = simpoLoss(pairs, { gamma: 1 });
    const sft = await sftLoss(pairs).loss.item();
    expect(await loss.item()).toBeCloseTo(2 * (await simpo.loss.item()) - 0.5 * sft, 13);
    expect(await values(rewards.chosen)).toEqual(await values(simpo.rewards.chosen));
    expect(await terms[1]!.loss.item()).toBe(sft);
  });

  it("needs terms with finite weights, and takes options with them only", () => {
    expect(() => mixLosses()).toThrow("mixLosses: needs at least one term");
    expect(() => mixLosses({ loss: dpoLoss, weight: Number.NaN })).toThrow(
      "mixLosses: weight of term 0 must be a number that is finite, got NaN",
    );
    const mix = mixLosses({ loss: dpoLoss, weight: 1 });
    expect(() => mix(pairs, { beta: 1 })).toThrow("mixLosses: has no option `beta`; it has none");
  });
});

describe("unpairedKtoLoss and ktoKl", () => {
  const { chosen: logProbs, referenceChosen: reference } = pairs;
  const examples = { logProbs, reference, desirable: tensor([1, 0, 1, 0]) };

  it("check what they are given as the other losses do", () => {
    const judge = (change: object) => () => unpairedKtoLoss({ ...examples, ...change }, { kl: 0 });
    expect(judge({ desirable: undefined })).toThrow("unpairedKtoLoss: needs `desirable`");
    expect(judge({ logProbs: [1, 2, 3, 4] })).toThrow("`logProbs` must be a tensor");
    expect(judge({ logProbs: logProbs.cast("int32") })).toThrow(
      "`logProbs` must be floating point, got int32",
    );
    expect(judge({ reference: column(1) })).toThrow(
      "unpairedKtoLoss: `reference` has shape [1], `logProbs` has [4]",
    );
    expect(judge({ logProbs: logProbs.reshape([2, 2]) })).toThrow("must have shape [batch]");
    const none = tensor(new Float64Array(0));
    expect(judge({ logProbs: none, reference: none, desirable: none })).toThrow(
      "unpairedKtoLoss: the batch is empty",
    );
    expect(() => unpairedKtoLoss(examples)).toThrow("unpairedKtoLoss: needs the option `kl`");
    expect(() => unpairedKtoLoss(examples, { kl: -1 })).toThrow("kl must be a number ≥ 0");
    expect(() => unpairedKtoLoss(undefined as never)).toThrow(
      "unpairedKtoLoss: needs an object of tensors { logProbs, reference, desirable }, got undefined",
    );
    expect(() => dpoLoss(undefined as never)).toThrow("dpoLoss: needs an object of tensors");
  });

  it("name what is missing or misshapen of mismatched pairs", () => {
    expect(() => ktoKl(undefined as never, reference)).toThrow("ktoKl: needs `mismatched`");
    expect(() => ktoKl([1] as never, reference)).toThrow("`mismatched` must be a tensor");
    expect(() => ktoKl(column(), column())).toThrow("ktoKl: the batch is empty");
    expect(() => ktoKl(logProbs.cast("int32"), reference)).toThrow("must be floating point");
  });
});

describe("a loss of denoising errors", () => {
  it("is refused as the base of spoLoss, however deep, but negated", async () => {
    const weights = { chosenLogWeight: column(0, 0, 0, 0), rejectedLogWeight: column(0, 0, 0, 0) };
    const negated = (p: PairLogProbs) => ({
      chosen: p.chosen.neg(),
      rejected: p.rejected.neg(),
      referenceChosen: p.referenceChosen!.neg(),
      referenceRejected: p.referenceRejected!.neg(),
    });
    const bases: readonly ((p: PairLogProbs) => PreferenceLoss)[] = [
      dmpoLoss,
      diffusionDpoLoss,
      lossByName("dmpo"),
      (p) => wpoLoss(p, { base: diffusionDpoLoss, ...weights }),
      mixLosses({ loss: dmpoLoss, weight: 1 }),
    ];
    for (const base of bases) {
      expect(() => spoLoss(pairs, { base })).toThrow(
        /(diffusionDpo|dmpo)Loss: spoLoss reads its pairs as log-probabilities.*give spoLoss the negated errors/,
      );
      expect(() => lossByName("spo")(pairs, { base })).toThrow("give spoLoss the negated errors");
    }
    const found = spoLoss(pairs, { base: (p) => dmpoLoss(negated(p), { beta: 2 }) });
    const expected = dmpoLoss(negated(pairs), { beta: 2 });
    expect(await found.base.loss.item()).toBe(await expected.loss.item());
    // The same pairs by themselves are not spoLoss's.
    expect(dmpoLoss(pairs).loss.shape).toEqual([]);
  });
});

describe("an option out of range", () => {
  it("is named with the value that was given, not one made of it", () => {
    expect(() => simpoLoss(pairs, { beta: 2.5, gammaBetaRatio: -0.3 })).toThrow(
      "simpoLoss: gammaBetaRatio must be a number ≥ 0, got -0.3",
    );
    expect(() => simpoLoss(pairs, { gamma: -1 })).toThrow(
      "simpoLoss: gamma must be a number ≥ 0, got -1",
    );
  });
});

describe("an input given as an option", () => {
  it("is asked for by name, shape and dtype", () => {
    expect(() => offsetDpoLoss(pairs)).toThrow(
      "offsetDpoLoss: needs the option `offset`: margins wanted, shape [4]",
    );
    expect(() =>
      offsetDpoLoss(pairs, { offset: tensor([1, 2, 3, 4], { dtype: "int32" }) }),
    ).toThrow("offsetDpoLoss: offset must be a floating-point tensor, got int32");
    expect(() => tdpoLoss(pairs, { chosenKl: column(1, 2, 3) })).toThrow(
      "tdpoLoss: chosenKl must have shape [4], got [3]",
    );
    expect(() => tdpoLoss(pairs, { version: 1, alpha: 0.5 })).toThrow("alpha belongs to version 2");
    expect(() => sppoLoss(pairs, { hard: true, winProbability: 0.9 })).toThrow(
      "leave `winProbability` out",
    );
    expect(() => sppoLoss(pairs, { winProbability: 1.5 })).toThrow(
      "sppoLoss: winProbability must be a number in [0, 1], or a tensor, got 1.5",
    );
  });
});
