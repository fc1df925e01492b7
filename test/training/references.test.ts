/**
 * References: computed once, found again if nothing they depend on has changed, and compared before the first step.
 */

import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import {
  checkReferences,
  fit,
  fullPolicy,
  initLora,
  type LogRow,
  loadModel,
  loraPolicy,
  optimumFloor,
  type PairLogProbs,
  type PreferenceLoss,
  preferenceObjective,
  treeMap,
  withReferences,
} from "../../src/index.js";
import { tinyFiles } from "../models/tinyCheckpoint.js";
import { FAMILIES } from "../models/tinyFamilies.js";
import { completions, model, pairLogProbs, pairs, policy, reference } from "./rows.js";

const directories: string[] = [];
const scratch = (): string => {
  directories.push(mkdtempSync(join(tmpdir(), "references-")));
  return directories.at(-1)!;
};
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

const ALL = [0, 1, 2, 3, 4, 5];
const own = fullPolicy({ model, parameters: policy });

describe("withReferences", () => {
  it("gives rows the reference's log-probabilities, wherever they stand in a batch", async () => {
    const { rows, cached } = await withReferences(pairs, { policy: reference, batchSize: 4 });
    expect(cached).toBe(null);
    const expected = pairLogProbs(policy);
    const chosen = await expected.referenceChosen.data();
    const rejected = await expected.referenceRejected.data();
    const order = [5, 0, 3];
    for (const [i, row] of (await rows.read(order)).entries()) {
      expect(row.row).toBe(order[i]);
      expect(row.referenceChosen).toBeCloseTo(chosen[order[i]!]!, 10);
      expect(row.referenceRejected).toBeCloseTo(rejected[order[i]!]!, 10);
    }
  });

  it("finds them again, to the bit, and misses them where weights or rows differ", async () => {
    const cache = scratch();
    const of = (rows = pairs, weights = reference) =>
      withReferences(rows, { policy: weights, cache });
    const first = await of();
    const again = await of();
    expect([first.cached, again.cached]).toEqual([false, true]);
    expect(await again.rows.read(ALL)).toEqual(await first.rows.read(ALL));
    const parameters = treeMap((t) => t.add(1e-12), reference.parameters);
    expect((await of(pairs, fullPolicy({ model, parameters }))).cached).toBe(false);
    const [one, ...others] = pairs;
    // A token that changes sides is another prompt, and another completion.
    const moved = {
      ...one!,
      promptIds: [...one!.promptIds, one!.chosenIds[0]!],
      chosenIds: [...one!.chosenIds.slice(1), 4],
    };
    expect((await of([moved, ...others])).cached).toBe(false);
    expect((await withReferences(completions, { policy: reference, cache })).cached).toBe(false);
    expect(readdirSync(cache)).toHaveLength(4);
  });

  it("computes them anew where a file is cut short", async () => {
    const cache = scratch();
    const first = await withReferences(pairs, { policy: reference, cache });
    truncateSync(join(cache, readdirSync(cache)[0]!), 100);
    const again = await withReferences(pairs, { policy: reference, cache });
    expect(again.cached).toBe(false);
    expect(await again.rows.read(ALL)).toEqual(await first.rows.read(ALL));
    expect((await withReferences(pairs, { policy: reference, cache })).cached).toBe(true);
  });
});

describe("withReferences and checkReferences refuse", () => {
  const refused = (rows: unknown, options: unknown) =>
    withReferences(rows as typeof pairs, options as { policy: typeof reference });

  it.each<[unknown, unknown, RegExp]>([
    [pairs, {}, /withReferences: policy must be what fullPolicy\(lm\) or .* gives, got undefined/],
    [pairs, { policy: { model, parameters: policy } }, /policy must be .*, got an object/],
    [pairs, null, /options must be an object/],
    [null, { policy: reference }, /rows must be an array of rows, or .*, got null/],
    [{ rows: pairs }, { policy: reference }, /got an object that has rows: give these/],
    [[{ row: 3, ids: [1], trained: [1] }], { policy: reference }, /row 3 has no promptIds/],
    [[{ ...pairs[1]!, chosenIds: [13] }], { policy: reference }, /row 1 has the token id 13/],
    [
      { length: 6, read: async () => pairs.slice(1) },
      { policy: reference },
      /must give the 6 rows/,
    ],
  ])("%#", async (rows, options, message) => {
    await expect(refused(rows, options)).rejects.toThrow(message);
  });

  it("what is no policy, and take arrays", async () => {
    const { rows } = await withReferences(pairs, { policy: own });
    await checkReferences(await rows.read(ALL), { policy: own });
    await expect(checkReferences(rows, {} as never)).rejects.toThrow(
      /checkReferences: policy must/,
    );
    const settings = { steps: 1, learningRate: 1 };
    await expect(optimumFloor(pairs, settings as never)).rejects.toThrow(
      /optimumFloor: policy must/,
    );
    await expect(optimumFloor(null as never, { policy: own, ...settings })).rejects.toThrow(
      /rows must/,
    );
  });
});

describe("checkReferences", () => {
  it("lets a policy pass that starts at the reference, an adapter with B = 0 for one", async () => {
    const lm = await loadModel(await tinyFiles(FAMILIES.llama!));
    const { rows } = await withReferences(pairs, { policy: fullPolicy(lm) });
    const adapter = initLora(lm, { rank: 2, alpha: 4, targets: "all-linear", seed: 1 });
    await checkReferences(rows, { policy: loraPolicy(lm, adapter) });
    const parameters = treeMap((t) => t.add(0.1), adapter.parameters);
    const other = loraPolicy(lm, { ...adapter, parameters });
    await expect(checkReferences(rows, { policy: other })).rejects.toThrow(
      /gives row 0 a log-probability of -\d.*referenceChosen is -\d.*an adapter whose B is not 0/,
    );
  });

  it("names a row that has none", async () => {
    const rows = { length: 6, read: async () => pairs };
    await expect(checkReferences(rows, { policy: own })).rejects.toThrow(
      /row 0 has no referenceChosen; withReferences/,
    );
  });
});

/** The supervised loss of the chosen completions, as a preference loss. */
const chosenOnly = ({ chosen, rejected, chosenLength }: PairLogProbs): PreferenceLoss => {
  const perPair = chosen.div(chosenLength!).neg();
  return { loss: perPair.mean(), perPair, rewards: { chosen, rejected } };
};

describe("optimumFloor", () => {
  const [training, heldOut] = [pairs.slice(0, 4), pairs.slice(4)];
  const options = { policy: own, steps: 24, learningRate: 0.03, batchSize: 4 };

  it("is the training rows' loss where held-out rows are best, below where it began", async () => {
    const { floor, step } = await optimumFloor(training, { ...options, heldOut, every: 2 });
    const start = await optimumFloor(training, { ...options, steps: 1, learningRate: 0 });
    const all = pairLogProbs(policy);
    const perToken = await all.chosen.div(all.chosenLength).slice([0, 4]).mean().item();
    expect(start.floor).toBeCloseTo(-perToken, 9);
    const end = await optimumFloor(training, options);
    expect(end.step).toBe(24);
    expect(end.floor).toBeLessThan(start.floor / 2);
    const log: LogRow[] = [];
    await fit({
      parameters: policy,
      objective: preferenceObjective({ policy: own, loss: chosenOnly }),
      data: training,
      learningRate: options.learningRate,
      maxSteps: 24,
      batchSize: 4,
      evaluation: { data: heldOut, every: 2, onStart: true },
      observer: { evaluation: (row) => void log.push(row) },
    });
    const lowest = Math.min(...log.map((row) => row.eval_loss!));
    expect(log.find((row) => row.eval_loss === lowest)!.step).toBe(step);
    // The same steps as far as the chosen one: a run of which that is the last would have another schedule.
    expect(floor).toBeGreaterThanOrEqual(end.floor);
    expect(floor).toBeLessThanOrEqual(start.floor);
  });

  it("takes the step at which the held-out rows' loss is lowest, the start included", async () => {
    const start = await optimumFloor(training, { ...options, steps: 1, learningRate: 0 });
    const worse = { ...options, steps: 8, every: 2, learningRate: 5, heldOut };
    expect(await optimumFloor(training, worse)).toEqual({ ...start, step: 0 });
    // Where held-out rows are those of training, the loss falls to the end.
    const own = { ...options, steps: 7, every: 3, heldOut: training };
    expect((await optimumFloor(training, own)).step).toBe(7);
  });

  it("is another one for another split of the same rows", async () => {
    const cache = scratch();
    const few = { ...options, steps: 1, cache };
    const of = (own: typeof pairs, held?: typeof pairs) =>
      optimumFloor(own, { ...few, ...(held && { heldOut: held }) });
    for (const cut of [2, 4]) {
      expect((await of(pairs.slice(0, cut), pairs.slice(cut))).cached).toBe(false);
    }
    expect((await of(pairs)).cached).toBe(false);
    expect((await of(pairs.slice(0, 2), pairs.slice(2))).cached).toBe(true);
  });

  it("is another one for another seed of the adapter's dropout", async () => {
    const lm = await loadModel(await tinyFiles(FAMILIES.llama!));
    const adapter = initLora(lm, { rank: 2, alpha: 4, targets: ["q_proj"], dropout: 0.5, seed: 1 });
    const cache = scratch();
    for (const seed of [0, 1]) {
      const policy = loraPolicy(lm, adapter, { seed });
      const { cached } = await optimumFloor(training, { ...options, policy, steps: 1, cache });
      expect(cached).toBe(false);
    }
  });

  it("is kept, and another setting is another value", async () => {
    const cache = scratch();
    const few = { ...options, steps: 2, heldOut, cache };
    const first = await optimumFloor(training, few);
    const again = await optimumFloor(training, few);
    expect([first.cached, again.cached]).toEqual([false, true]);
    expect({ ...again, cached: false }).toEqual(first);
    expect((await optimumFloor(training, { ...few, per: "sequence" })).cached).toBe(false);
  });

  it("leaves the policy as it is, and refuses what is out of range", async () => {
    const before = Array.from(await pairLogProbs(policy).chosen.data());
    await optimumFloor(training, { ...options, steps: 2, heldOut });
    expect(Array.from(await pairLogProbs(policy).chosen.data())).toEqual(before);
    await expect(optimumFloor(training, { ...options, steps: 0 })).rejects.toThrow(
      /steps must be an integer ≥ 1/,
    );
  });
});
