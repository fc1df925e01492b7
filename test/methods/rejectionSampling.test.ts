/**
 * Statistical rejection sampling and the pairs made of what it accepts.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bestWorst,
  firstRoundRank,
  type RankedPair,
  rejectionSample,
  tournament,
} from "../../src/methods/index.js";
import { randomGenerator } from "../../src/tensor/random.js";

const rewardLists = fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: 1 });
const indices = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe("rejectionSample", () => {
  it("accepts exactly count distinct candidates, the same for the same seed", () => {
    fc.assert(
      fc.property(
        rewardLists,
        fc.nat(),
        fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
        (rewards, n, beta) => {
          const count = n % (rewards.length + 1);
          const kept = rejectionSample(rewards, { count, beta, seed: n });
          expect(kept).toHaveLength(count);
          expect(new Set(kept).size).toBe(count);
          expect(kept.every((i) => i in rewards)).toBe(true);
          expect(rejectionSample(Float64Array.from(rewards), { count, beta, seed: n })).toEqual(
            kept,
          );
        },
      ),
    );
  });

  it("at β = 0 takes the best, best first, and at β = ∞ whoever comes first", () => {
    fc.assert(
      fc.property(rewardLists, fc.nat(), (rewards, n) => {
        const count = n % (rewards.length + 1);
        const best = rejectionSample(rewards, { count, beta: 0, seed: n });
        const sorted = [...rewards].sort((a, b) => b - a).slice(0, count);
        expect(best.map((i) => rewards[i])).toEqual(sorted);
        const first = rejectionSample(rewards, { count, beta: Number.POSITIVE_INFINITY, seed: n });
        expect(first).toEqual(indices(count));
      }),
    );
  });

  it("tells equal candidates apart, and ends where β is tiny", () => {
    expect(rejectionSample([1, 1, 1], { count: 3, seed: 0 })).toEqual([0, 1, 2]);
    expect(rejectionSample([0, 3, 1], { count: 3, beta: 1e-300, seed: 0 })).toEqual([1, 2, 0]);
  });

  it("accepts with probability e^((r − r_max)/β), r_max that of the sweep", () => {
    // The first of two is accepted at once, or the second is; then the first, best of those left.
    const generator = randomGenerator("two");
    const runs = 20_000;
    let firstWorse = 0;
    let order = 0;
    for (let k = 0; k < runs; k++) {
      if (rejectionSample([0, 0.5], { count: 1, seed: generator })[0] === 0) firstWorse++;
      // The best of three is accepted in the first sweep; r_max stays its reward to the sweep's end.
      const [a, b] = rejectionSample([1, 0.5, 0], { count: 2, seed: generator });
      expect(a).toBe(0);
      if (b === 2) order++;
    }
    const within = (found: number, p: number) =>
      expect(Math.abs(found / runs - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / runs));
    within(firstWorse, Math.exp(-1));
    // Sweep 1: 1 with p = e⁻¹, else 2 with q = e⁻²; in later sweeps 1 is the best left: certain.
    within(order, (1 - Math.exp(-1)) * Math.exp(-2));
  });

  it("samples from π·e^(r/β)", () => {
    // 200 draws from three equally likely responses; the share of each among those accepted early.
    const generator = randomGenerator("policy");
    const reward = [0, 0.4, 1];
    const counts = [0, 0, 0];
    for (let k = 0; k < 300; k++) {
      const drawn = Array.from({ length: 200 }, () => Math.floor(3 * generator()));
      const rewards = drawn.map((y) => reward[y]!);
      for (const i of rejectionSample(rewards, { count: 10, seed: generator }))
        counts[drawn[i]!]!++;
    }
    const weights = reward.map((r) => Math.exp(r / 0.5));
    const total = weights.reduce((sum, w) => sum + w, 0);
    for (const [y, n] of counts.entries()) {
      const p = weights[y]! / total;
      expect(Math.abs(n / 3000 - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 3000));
    }
  });

  it("names what does not fit", () => {
    const seed = 0;
    expect(() => rejectionSample([1, 2], { count: 3, seed })).toThrow(
      "rejectionSample: count must be a number that is an integer in [0, 2], got 3",
    );
    expect(() => rejectionSample([1, 2], { count: 1.5, seed })).toThrow("count must be");
    expect(() => rejectionSample([1], { count: 1, beta: -1, seed })).toThrow(
      "rejectionSample: beta must be a number ≥ 0, or Infinity, got -1",
    );
    expect(() => rejectionSample([1, Number.NaN], { count: 1, seed })).toThrow(
      "rejectionSample: reward 1 must be a number that is finite, got NaN",
    );
    expect(() => rejectionSample([1], { count: 1 } as never)).toThrow("needs a seed");
    expect(() => rejectionSample([1], { count: 1, seed, gamma: 1 } as never)).toThrow(
      "rejectionSample: has no option `gamma`; it has count, beta, seed",
    );
  });
});

describe.each([
  ["firstRoundRank", firstRoundRank, (n: number) => Math.floor(n / 2)],
  ["tournament", tournament, (n: number) => Math.max(0, n - 1)],
] as const)("%s", (name, rank, size) => {
  it("gives its number of pairs, each of two candidates, the better one chosen", () => {
    fc.assert(
      fc.property(rewardLists, fc.nat(), (rewards, seed) => {
        const candidates = indices(rewards.length).filter((i) => i % 3 !== 1);
        const pairs = rank(candidates, rewards, { seed });
        expect(pairs).toHaveLength(size(candidates.length));
        for (const { chosen, rejected } of pairs) {
          expect(chosen).not.toBe(rejected);
          expect([chosen, rejected].every((i) => candidates.includes(i))).toBe(true);
          expect(rewards[chosen]!).toBeGreaterThanOrEqual(rewards[rejected]!);
        }
        expect(rank(candidates, rewards, { seed })).toEqual(pairs);
      }),
    );
  });

  it("pairs at random, and chooses at random between equals", () => {
    const seen = (rewards: readonly number[], n: number) =>
      new Set(indices(50).map((seed) => JSON.stringify(rank(indices(n), rewards, { seed }).at(0))));
    expect(seen([0, 1, 2, 3], 4).size).toBe(6);
    expect(seen([1, 1], 2).size).toBe(2);
  });

  it("names what does not fit", () => {
    expect(() => rank([0, 2], [1, 2], { seed: 0 })).toThrow(
      `${name}: reward of candidate 2 must be a number that is finite, got undefined`,
    );
    expect(() => rank([0, 0], [1, 2], { seed: 0 })).toThrow(
      `${name}: candidates must be distinct, got 0, 0`,
    );
    expect(() => rank([0, 1], [1, 2], {} as never)).toThrow("needs a seed");
  });
});

it("a first round has each candidate once, and a tournament one loss for all but the best", () => {
  fc.assert(
    fc.property(rewardLists, fc.nat(), (rewards, seed) => {
      const all = indices(rewards.length);
      const members = firstRoundRank(all, rewards, { seed }).flatMap(Object.values);
      expect(new Set(members).size).toBe(members.length);
      const losers = tournament(all, rewards, { seed }).map(({ rejected }: RankedPair) => rejected);
      expect(new Set(losers).size).toBe(losers.length);
      const [winner] = all.filter((i) => !losers.includes(i));
      expect(rewards[winner!]).toBe(Math.max(...rewards));
    }),
  );
});

describe("bestWorst", () => {
  it("pairs the largest reward with the smallest, the first ones of equals", () => {
    expect(bestWorst([0, 1, 2, 3, 4], [1, 3, 0, 3, 0])).toEqual([{ chosen: 1, rejected: 2 }]);
    // Among the candidates alone.
    expect(bestWorst([4, 0, 3], [1, 9, -9, 3, 0])).toEqual([{ chosen: 3, rejected: 4 }]);
    fc.assert(
      fc.property(rewardLists, (rewards) => {
        const pairs = bestWorst(indices(rewards.length), rewards);
        expect(pairs).toHaveLength(rewards.length > 1 ? 1 : 0);
        for (const { chosen, rejected } of pairs) {
          expect(rewards[chosen]).toBe(Math.max(...rewards));
          expect(rewards[rejected]).toBe(Math.min(...rewards));
        }
      }),
    );
  });

  it("makes no pair of one candidate, and refuses what cannot be ranked", () => {
    expect(bestWorst([], [])).toEqual([]);
    expect(bestWorst([1], [2, 3])).toEqual([]);
    expect(() => bestWorst([0, 0], [1])).toThrow(/bestWorst: candidates must be distinct/);
    expect(() => bestWorst([0, 1], [1])).toThrow(/bestWorst: reward of candidate 1 must be/);
  });
});
