/**
 * What holds for every preference loss of the family.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { gradients } from "../../src/autograd/gradients.js";
import {
  dpoLoss,
  type PairLogProbs,
  type PreferenceLoss,
  simpoLoss,
  spoLoss,
  unpairedKtoLoss,
} from "../../src/losses/index.js";
import { alias } from "../../src/ops/composite.js";
import { gather, slice } from "../../src/ops/index.js";
import { full, tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeMap } from "../../src/tensor/tree.js";
import { isFull } from "../conformance/devices.js";
import {
  type Case,
  cases,
  detachedCases,
  goldenInputs,
  type Inputs,
  inputsOf,
  take,
} from "./cases.js";
import { goldenPairs } from "./golden.js";

const everyCase: readonly Case[] = [...cases, ...detachedCases];
const sideGradients = (result: PreferenceLoss, { chosen, rejected }: PairLogProbs): Tensor[] =>
  gradients(result.loss, [chosen, rejected]);
const numbers = async (t: Tensor): Promise<number[]> => Array.from(await t.data());

async function expectFinite(name: string, found: readonly Tensor[]): Promise<void> {
  for (const t of found) {
    const values = await numbers(t);
    expect(values.every(Number.isFinite), `${name}: ${values}`).toBe(true);
  }
}

/** Losses of all cases on the same inputs, evaluated together: value, pairs, gradients. */
async function evaluated(list: typeof cases, inputs: Inputs) {
  const found = list.map((entry) => {
    const result = entry.loss(inputs);
    return { name: entry.name, result, gradients: sideGradients(result, inputs) };
  });
  await realize(
    found.map(({ result, gradients: slopes }) => [result.loss, result.perPair, slopes]),
  );
  return found;
}

/** Three of the golden pairs, and which of their tensors a loss may be differentiated by. */
async function differentiable({ alone, takes = [] }: Case) {
  const at = take(goldenInputs(), 0, 3);
  await realize(at);
  const own = alone ? (["chosen", "rejected"] as const) : LOG_PROBS;
  const leaves = [...own.map((name) => at[name]), ...takes.map((name) => at.extras[name]!)];
  const withLeaves = (given: readonly Tensor[]): Inputs => ({
    ...at,
    ...Object.fromEntries(own.map((name, i) => [name, given[i]!])),
    extras: Object.fromEntries(takes.map((name, i) => [name, given[own.length + i]!])),
  });
  return { leaves, withLeaves };
}
const LOG_PROBS = ["chosen", "rejected", "referenceChosen", "referenceRejected"] as const;

/** Value, gradients and gradients of the gradients' product with the inputs. */
async function derivatives(
  f: (...inputs: Tensor[]) => Tensor,
  leaves: readonly Tensor[],
): Promise<number[]> {
  const at = leaves.map(alias);
  const value = f(...at);
  const first = gradients(value, at);
  const along = first.map((slope, i) => slope.mul(leaves[i]!).sum()).reduce((a, b) => a.add(b));
  const all = await realize([value.reshape([1]), ...first, ...gradients(along, at)]);
  return (await Promise.all(all.map(numbers))).flat();
}

describe.each(cases)("$name", (entry) => {
  it("has right gradients of first and second order by all it is given", async () => {
    const { leaves, withLeaves } = await differentiable(entry);
    const loss = (...given: Tensor[]) => entry.loss(withLeaves(given)).loss;
    await checkGradients(loss, leaves, { order: 2 });
  });
});

describe.each(detachedCases)("$name", (entry) => {
  it("is its formula, with right gradients of both orders where its constants are held", async () => {
    const { leaves, withLeaves } = await differentiable(entry);
    const held = entry.formula(withLeaves(leaves));
    const formula = (...given: Tensor[]) => held(withLeaves(given));
    await checkGradients(formula, leaves, { order: 2 });
    const found = await derivatives((...given) => entry.loss(withLeaves(given)).loss, leaves);
    for (const [i, expected] of (await derivatives(formula, leaves)).entries()) {
      close(found[i]!, expected, `value, gradients, second order: number ${i}`, 1e-12);
    }
  });
});

describe("unpairedKtoLoss", () => {
  it("has right gradients of first and second order", async () => {
    const { chosen, referenceChosen } = goldenPairs("float64");
    const desirable = tensor([1, 0, 1, 0]);
    const options = { kl: 0.05, beta: 0.5, undesirableWeight: 1.33 };
    await checkGradients(
      (logProbs, reference) =>
        unpairedKtoLoss({ logProbs: logProbs!, reference: reference!, desirable }, options).loss,
      [chosen, referenceChosen],
      { order: 2 },
    );
  });
});

describe("every loss", () => {
  it("is the mean of its pairs' losses, a scalar", async () => {
    for (const { name, result } of await evaluated(everyCase, goldenInputs())) {
      expect(result.perPair.shape, name).toEqual([4]);
      expect(result.loss.shape, name).toEqual([]);
      const mean = (await numbers(result.perPair)).reduce((sum, x) => sum + x / 4, 0);
      const value = await result.loss.item();
      expect(Math.abs(value - mean), name).toBeLessThanOrEqual(
        1e-12 * Math.max(1, Math.abs(value)),
      );
    }
  });

  it("gives rewards without gradient", async () => {
    const inputs = goldenInputs();
    const slopes = everyCase.flatMap(({ loss }) => {
      const { chosen, rejected } = loss(inputs).rewards;
      expect(chosen.shape).toEqual([4]);
      return gradients(chosen.add(rejected).sum(), [inputs.chosen, inputs.rejected]);
    });
    await realize(slopes);
    for (const slope of slopes) expect(await numbers(slope)).toEqual([0, 0, 0, 0]);
  });

  it("takes a batch of one pair, or says what that needs", async () => {
    const one = take(goldenInputs(), 0, 1);
    const needsMore = everyCase.filter(({ spread }) => spread);
    expect(needsMore.length).toBeGreaterThan(0);
    for (const { name, loss } of needsMore) {
      expect(() => loss(one), name).toThrow("needs the `state` of earlier batches");
    }
    const rest = everyCase.filter((entry) => !needsMore.includes(entry));
    for (const { name, result, gradients: slopes } of await evaluated(rest, one)) {
      expect(result.perPair.shape).toEqual([1]);
      await expectFinite(name, [result.perPair, ...slopes]);
    }
  });

  it("names the input it lacks, or that is no tensor of shape [batch]", () => {
    const pairs = goldenInputs();
    for (const { loss, name, prepared, alone } of everyCase) {
      const wrong = (change: Partial<Record<keyof Inputs, unknown>>) =>
        expect(() => loss({ ...pairs, ...(change as object) }), name);
      if (prepared) continue;
      wrong({ rejected: undefined }).toThrow("needs `rejected`");
      wrong({ rejected: slice(pairs.rejected, [0, 3]) }).toThrow(
        "`rejected` has shape [3], `chosen` has [4]",
      );
      if (!alone) wrong({ referenceChosen: undefined }).toThrow("needs `referenceChosen`");
      wrong({ chosen: pairs.chosen.reshape([2, 2]) }).toThrow(
        "`chosen` must have shape [batch], got [2,2]",
      );
      wrong({ chosen: pairs.chosen.cast("int32") }).toThrow(
        "`chosen` must be floating point, got int32",
      );
      wrong({ chosenLength: pairs.chosen.greater(0) }).toThrow(
        "`chosenLength` must be int32 or floating point",
      );
      wrong({ rejected: [1, 2, 3, 4] }).toThrow("`rejected` must be a tensor");
      expect(() => loss(take(pairs, 0, 0)), name).toThrow("the batch is empty");
    }
  });
});

const logProb = fc.double({ min: -50, max: 0, noNaN: true });
const length = fc.integer({ min: 1, max: 30 });
const row = fc.tuple(logProb, logProb, logProb, logProb, length, length);
const batch = (size: fc.Arbitrary<number>) =>
  size.chain((count) => fc.array(row, { minLength: count, maxLength: count }));
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
    chosenLength: column(4),
    rejectedLength: column(5),
  };
};
const close = (found: number, expected: number, name: string, tolerance = 1e-11): void => {
  const bound = tolerance * Math.max(1, Math.abs(expected));
  expect(Math.abs(found - expected), `${name}: ${found}, not ${expected}`).toBeLessThanOrEqual(
    bound,
  );
};
const atRandom = (
  check: (inputs: Inputs) => Promise<void>,
  size: fc.Arbitrary<number> = fc.integer({ min: 1, max: 3 }),
): Promise<void> =>
  fc.assert(
    fc.asyncProperty(batch(size), (rows) => check(inputsOf(pairsFrom(rows)))),
    { numRuns: isFull() ? 25 : 8 },
  );

/** The losses that take a batch of this size. */
const possible = (list: readonly Case[], { chosen }: Inputs): readonly Case[] =>
  chosen.size > 1 ? list : list.filter(({ spread }) => !spread);

describe("for all pairs", () => {
  it("a loss at policy = reference is what its formula gives there, ln 2 for DPO", async () => {
    const known = everyCase.filter(({ atReference }) => atReference !== undefined);
    expect(known.length).toBeGreaterThan(20);
    await atRandom(async (inputs) => {
      const { referenceChosen, referenceRejected, extras } = inputs;
      const start = { ...inputs, chosen: referenceChosen, rejected: referenceRejected, extras };
      const list = possible(known, inputs);
      const found = list.map(({ loss }) => loss(start).loss);
      await realize(found);
      for (const [i, { atReference, name }] of list.entries()) {
        close(await found[i]!.item(), atReference!, name);
      }
    });
  });

  it("swapping chosen and rejected at ε = ½ changes nothing", async () => {
    const symmetric = everyCase.filter((entry) => entry.symmetric);
    expect(symmetric).toHaveLength(14);
    await atRandom(async (inputs) => {
      const { pilotChosen, pilotRejected } = inputs.extras;
      const swapped = {
        ...inputs,
        chosen: inputs.rejected,
        rejected: inputs.chosen,
        referenceChosen: inputs.referenceRejected,
        referenceRejected: inputs.referenceChosen,
        chosenLength: inputs.rejectedLength,
        rejectedLength: inputs.chosenLength,
        extras: { ...inputs.extras, pilotChosen: pilotRejected!, pilotRejected: pilotChosen! },
      };
      const found = symmetric.map(({ loss }) => [loss(inputs).loss, loss(swapped).loss]);
      await realize(found);
      for (const [i, { name }] of symmetric.entries()) {
        close(await found[i]![1]!.item(), await found[i]![0]!.item(), name);
      }
    });
  });

  it("the pairs' losses, gradients and rewards move with the pairs", async () => {
    const moving = everyCase.filter(({ drawn }) => !drawn);
    await atRandom(async (inputs) => {
      // Which of two equal log-ratios ranks first is decided by their order: none are to be equal.
      const shift = inputs.extras.standardizedGap!.exp();
      const apart = {
        ...inputs,
        chosen: inputs.chosen.sub(shift),
        rejected: inputs.rejected.sub(shift.mul(2)),
      };
      const order = [2, 0, 3, 1];
      const moved = (t: Tensor) => gather(t, tensor(order, { dtype: "int32" }));
      const { extras, ...pairs } = apart;
      const permuted: Inputs = { ...treeMap(moved, pairs), extras: treeMap(moved, extras) };
      const given = await realize([apart, permuted] as const);
      const [before, after] = [
        await evaluated(moving, given[0]),
        await evaluated(moving, given[1]),
      ];
      for (const [i, { name, result, gradients: slopes }] of before.entries()) {
        const found = after[i]!;
        close(await found.result.loss.item(), await result.loss.item(), name);
        for (const [mine, theirs] of [
          [result.perPair, found.result.perPair],
          [result.rewards.chosen, found.result.rewards.chosen],
          [slopes[0]!, found.gradients[0]!],
          [slopes[1]!, found.gradients[1]!],
        ] as const) {
          const [expected, values] = [await numbers(mine), await numbers(theirs)];
          for (const [j, k] of order.entries()) close(values[j]!, expected[k]!, name, 1e-10);
        }
      }
    }, fc.constant(4));
  });

  it("a batch has the loss and gradient that its pairs' own batches add up to", async () => {
    const separable = everyCase.filter(({ whole }) => !whole);
    await atRandom(
      async (inputs) => {
        const { size } = inputs.chosen;
        const together = await evaluated(separable, inputs);
        for (let i = 0; i < size; i++) {
          const alone = await evaluated(separable, await realize(take(inputs, i, i + 1)));
          for (const [k, { name, result, gradients: slopes }] of together.entries()) {
            const single = alone[k]!;
            const value = (await numbers(result.perPair))[i]!;
            close(value, await single.result.loss.item(), name, 1e-12);
            for (const side of [0, 1]) {
              const slope = (await numbers(slopes[side]!))[i]!;
              close(slope, (await single.gradients[side]!.item()) / size, name, 1e-12);
            }
          }
        }
      },
      fc.oneof({ weight: 6, arbitrary: fc.constant(2) }, { weight: 1, arbitrary: fc.constant(8) }),
    );
  });

  it("a stored reference gives the loss and gradient of one computed along", async () => {
    await atRandom(async (inputs) => {
      // The same bits, subnormal ones too: a hinge at policy = reference tells them apart.
      const computed = {
        ...inputs,
        referenceChosen: inputs.referenceChosen.mul(2).mul(0.5),
        referenceRejected: inputs.referenceRejected.neg().neg(),
      };
      const list = possible(everyCase, inputs);
      const [stored, live] = [await evaluated(list, inputs), await evaluated(list, computed)];
      for (const [i, { name, result, gradients: slopes }] of stored.entries()) {
        close(await live[i]!.result.loss.item(), await result.loss.item(), name, 1e-10);
        for (const side of [0, 1]) {
          const expected = await numbers(slopes[side]!);
          for (const [j, value] of (await numbers(live[i]!.gradients[side]!)).entries()) {
            close(value, expected[j]!, name, 1e-10);
          }
        }
      }
    });
  });

  it("spoLoss over any base is that base plus γ times the gap, gradients included", async () => {
    const [gamma, epsilon] = [0.7, 0.05];
    await atRandom(async (inputs) => {
      const list = possible(everyCase, inputs);
      const tokens = inputs.chosenLength.mul(inputs.chosen.size);
      const { extras, ...pairs } = inputs;
      const found = list.map(({ loss }) => {
        const base = loss(inputs);
        // All the base knows is what spoLoss hands through.
        const options = {
          base: (p: PairLogProbs, given?: Pick<Inputs, "extras">) =>
            loss({ ...(p as Required<PairLogProbs>), ...given! }),
          baseOptions: { extras },
          gamma,
          epsilon,
        };
        const penalised = spoLoss(pairs, options);
        const hinged = spoLoss(pairs, { ...options, hinge: true });
        return {
          values: [base.loss, penalised.loss, penalised.gap, hinged.loss, penalised.perPair.mean()],
          base: sideGradients(base, inputs),
          penalised: sideGradients(penalised, inputs),
          supervised: full([inputs.chosen.size], -gamma, { dtype: "float64" }).div(tokens),
        };
      });
      await realize(found);
      for (const [i, entry] of found.entries()) {
        const { name } = list[i]!;
        const values = await Promise.all(entry.values.map((t) => t.item()));
        const [base, penalised, gap, hinged, mean] = values as [
          number,
          number,
          number,
          number,
          number,
        ];
        close(penalised, base + gamma * gap, name);
        close(mean, penalised, name);
        close(hinged, base + gamma * Math.max(0, gap), name);
        const [plain, total] = [entry.base, entry.penalised];
        const share = await numbers(entry.supervised);
        const before = await numbers(plain[0]!);
        for (const [j, value] of (await numbers(total[0]!)).entries()) {
          close(value, before[j]! + share[j]!, name);
        }
        expect(await numbers(total[1]!), name).toEqual(await numbers(plain[1]!));
      }
    });
  });
});

const divergences = ["forward_kl", "js_divergence", "alpha_divergence"] as const;

describe("dpoLoss", () => {
  it("falls as the margin grows", async () => {
    await fc.assert(
      fc.asyncProperty(batch(fc.integer({ min: 1, max: 8 })), async (rows) => {
        const pairs = pairsFrom(rows);
        const [toChosen, toRejected] = gradients(dpoLoss(pairs).loss, [
          pairs.chosen,
          pairs.rejected,
        ]);
        expect(Array.from(await toChosen!.data()).every((g) => g < 0)).toBe(true);
        expect(Array.from(await toRejected!.data()).every((g) => g > 0)).toBe(true);
      }),
      { numRuns: 50 },
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
