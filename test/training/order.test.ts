/**
 * Which rows come when: the orders of TRL's runs, and how they are cut into steps.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mersenneTwister } from "../../src/training/mersenneTwister.js";
import {
  groupByLength,
  randomOrder,
  sequentialOrder,
  windowsOf,
} from "../../src/training/order.js";

const GOLDEN = new URL("../../../shared/golden/models/trainer", import.meta.url).pathname;

interface GoldenRun {
  readonly config: {
    readonly per_device_train_batch_size: number;
    readonly gradient_accumulation_steps: number;
    readonly train_sampling_strategy: "random" | "sequential";
    readonly seed: number;
  };
  readonly examples: readonly unknown[];
  readonly steps: readonly { readonly micro_batches: readonly (readonly number[])[] }[];
}

describe("mersenneTwister", () => {
  it("gives MT19937's numbers", () => {
    // The first of seed 5489, and its ten thousandth, as the C++ standard has it.
    const next = mersenneTwister(5489);
    const numbers = Array.from({ length: 10_000 }, next);
    expect(numbers[0]).toBe(3499211612);
    expect(numbers.at(-1)).toBe(4123659995);
  });
});

describe("randomOrder", () => {
  it("is torch.randperm with a generator of seed + epoch", () => {
    // Rows of a TRL run: seed 42, 24 rows, two epochs.
    expect([...Array.from(randomOrder(24, 42)(0))]).toEqual([
      6, 15, 22, 2, 10, 19, 3, 18, 14, 17, 4, 13, 8, 9, 1, 5, 12, 23, 21, 20, 7, 11, 16, 0,
    ]);
    expect([...Array.from(randomOrder(24, 42)(1))].slice(0, 8)).toEqual([
      4, 12, 7, 22, 9, 6, 5, 20,
    ]);
  });

  it.runIf(existsSync(GOLDEN))("cut into steps, is the order of every run made with TRL", () => {
    const runs = readdirSync(GOLDEN).filter((name) => existsSync(`${GOLDEN}/${name}/golden.json`));
    expect(runs.length).toBeGreaterThan(5);
    for (const name of runs) {
      const { config, examples, steps } = JSON.parse(
        readFileSync(`${GOLDEN}/${name}/golden.json`, "utf8"),
      ) as GoldenRun;
      const { length } = examples;
      const isRandom = config.train_sampling_strategy === "random";
      const order = isRandom ? randomOrder(length, config.seed) : sequentialOrder(length);
      const batchSize = config.per_device_train_batch_size;
      const windows = windowsOf(order, length, batchSize, config.gradient_accumulation_steps);
      const found = steps.map((_, step) => windows.at(step));
      expect(found, name).toEqual(steps.map(({ micro_batches }) => micro_batches));
    }
  });

  it("rejects what is no count", () => {
    expect(() => randomOrder(-1)).toThrow(/count must be an integer ≥ 0/);
    expect(() => randomOrder(3, 0.5)).toThrow(/seed must be an integer ≥ 0/);
  });
});

describe("groupByLength", () => {
  const lengths = Array.from({ length: 103 }, (_, i) => (i * 37) % 101);

  it("gives each row once, the same again for the same seed, another order in each epoch", () => {
    const order = groupByLength(lengths, { rowsPerStep: 4 });
    const rows = [...Array.from(order(0))];
    expect([...rows].sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
    expect(Array.from(groupByLength(lengths, { rowsPerStep: 4 })(0))).toEqual(rows);
    expect(Array.from(order(1))).not.toEqual(rows);
  });

  it("begins with the longest row, and batches differ less in length than in a random order", () => {
    const order = Array.from(groupByLength(lengths, { rowsPerStep: 4 })(0));
    expect(lengths[order[0]!]).toBe(Math.max(...lengths));
    const spread = (rows: readonly number[]): number => {
      let total = 0;
      for (let from = 0; from + 4 <= rows.length; from += 4) {
        const own = rows.slice(from, from + 4).map((row) => lengths[row]!);
        total += Math.max(...own) - Math.min(...own);
      }
      return total;
    };
    expect(spread(order)).toBeLessThan(spread(Array.from(randomOrder(103)(0))) / 2);
  });
});

describe("windows", () => {
  it("hold every row of an epoch once, none is larger than asked for, and the last may be shorter", () => {
    const count = fc.integer({ min: 1, max: 60 });
    const size = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(count, size, size, fc.nat(3), (rows, batchSize, accumulation, epoch) => {
        const windows = windowsOf(randomOrder(rows, 1), rows, batchSize, accumulation);
        const { stepsPerEpoch } = windows;
        const steps = Array.from({ length: stepsPerEpoch }, (_, i) =>
          windows.at(epoch * stepsPerEpoch + i),
        );
        expect(steps.flat(2)).toEqual(Array.from(randomOrder(rows, 1)(epoch)));
        for (const step of steps.slice(0, -1)) expect(step).toHaveLength(accumulation);
        const batches = steps.flat();
        for (const batch of batches.slice(0, -1)) expect(batch).toHaveLength(batchSize);
        expect(windows.epochAfter((epoch + 1) * stepsPerEpoch)).toBe(epoch + 1);
      }),
    );
  });

  it("count epochs in micro-batches, as transformers does", () => {
    // 10 batches in steps of 4, 4 and 2.
    const windows = windowsOf(sequentialOrder(20), 20, 2, 4);
    expect([1, 2, 3, 4].map(windows.epochAfter)).toEqual([0.4, 0.8, 1, 1.4]);
  });

  it("reject an order that repeats or lacks rows", () => {
    const wrong = (rows: number[]) => windowsOf(() => rows, 3, 1, 1);
    expect(() => wrong([0, 1, 1]).at(0)).toThrow(/each of the 3 rows once, got 3 .*, 2 distinct/);
    expect(() => wrong([0, 1]).at(0)).toThrow(/order must give each/);
    expect(() => wrong([0, 1, 3]).at(0)).toThrow(/order must give each/);
  });
});
