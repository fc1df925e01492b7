/**
 * What is finite whatever the inputs: every loss and its gradients, at extreme log-probabilities, over
 * a grid of options, and where a completion has no tokens.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autograd/gradients.js";
import type { DType } from "../../src/kernels/dtype.js";
import {
  alphaPoLoss,
  aotLoss,
  apoDownLoss,
  apoZeroLoss,
  bcoLoss,
  betaDpoLoss,
  calDpoLoss,
  cpoLoss,
  diffusionDpoLoss,
  discopopLoss,
  dmpoLoss,
  dpoLoss,
  dpoNormLoss,
  dpopLoss,
  exoLoss,
  type FDivergenceOptions,
  hingeLoss,
  ipoLoss,
  ktoLoss,
  ldDpoLogProbs,
  lengthRegularizedDpoLoss,
  ncaLoss,
  orpoLoss,
  type PreferenceLoss,
  robustDpoLoss,
  sequenceKl,
  sequenceLogProbs,
  sgdpoPilots,
  simpoLoss,
  sppoLoss,
  tokenLogProbs,
  unpairedKtoLoss,
  wpoLogWeights,
} from "../../src/losses/index.js";
import { slice, where } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { isFull } from "../conformance/devices.js";
import { B, completionLengths, ids, mask, policy, waves } from "../logprobs/tokens.js";
import { cases, detachedCases, type Inputs, inputsOf } from "./cases.js";

const everyCase = [...cases, ...detachedCases];
const numbers = async (t: Tensor): Promise<number[]> => Array.from(await t.data());

interface Entry {
  readonly name: string;
  readonly result: Pick<PreferenceLoss, "loss" | "perPair">;
  readonly slopes: readonly Tensor[];
}

/** Evaluates some losses at a time: one plan for hundreds takes longer to make than ten for each. */
async function expectFinite(entries: readonly Entry[]): Promise<void> {
  for (let from = 0; from < entries.length; from += 20) {
    const some = entries.slice(from, from + 20);
    await realize(some.map(({ result, slopes }) => [result.loss, result.perPair, slopes]));
    for (const { name, result, slopes } of some) {
      for (const t of [result.loss, result.perPair, ...slopes]) {
        const values = await numbers(t);
        expect(values.every(Number.isFinite), `${name}: ${values}`).toBe(true);
      }
    }
  }
}

/** Log-probabilities down to −1e4, margins of ±1e3 and more, certain and empty completions. */
function extremes(dtype: DType): Inputs {
  return inputsOf({
    chosen: tensor([-10_000, -9_000, -10_000, 0, -1e4, 0], { dtype }),
    rejected: tensor([-9_000, -10_000, -10_000, -10_000, 0, 0], { dtype }),
    referenceChosen: tensor([-9_500, -9_500, 0, -10_000, -1e4, 0], { dtype }),
    referenceRejected: tensor([-9_500, -9_500, -10_000, 0, 0, 0], { dtype }),
    chosenLength: tensor([1, 500, 10, 1, 1, 0]),
    rejectedLength: tensor([1, 400, 20, 1, 0, 0]),
  });
}

/** Gradients of a loss by all log-probabilities, and by the extras it takes. */
function allSlopes(loss: Tensor, inputs: Inputs, takes: readonly string[] = []): Tensor[] {
  const { chosen, rejected, referenceChosen, referenceRejected, extras } = inputs;
  const own = [chosen, rejected, referenceChosen, referenceRejected];
  return gradients(loss, [...own, ...takes.map((name) => extras[name]!)]);
}

describe("at log-probabilities of −1e4, margins of ±1e3 and more, and empty completions", () => {
  it.each(["float32", "float64"] as const)(
    "every loss is finite in %s, and its gradients",
    async (dtype) => {
      const inputs = extremes(dtype);
      await expectFinite(
        everyCase.map(({ name, loss, takes }) => {
          const result = loss(inputs);
          return { name, result, slopes: allSlopes(result.loss, inputs, takes) };
        }),
      );
      const { chosen: logProbs, referenceChosen: reference, chosenLength } = inputs;
      const examples = { logProbs, reference, desirable: chosenLength.greater(1) };
      const { loss, perExample } = unpairedKtoLoss(examples, { kl: 1e3 });
      const slopes = gradients(loss, [logProbs, reference]);
      await expectFinite([
        { name: "unpairedKtoLoss", result: { loss, perPair: perExample }, slopes },
      ]);
    },
  );
});

describe("at any log-probabilities down to −1e4 and lengths from 0", () => {
  const logProb = fc.oneof(
    fc.float({ min: -10_000, max: 0, noNaN: true }),
    fc.constantFrom(0, -10_000, -1e-30, -1e-7),
  );
  const row = fc.tuple(logProb, logProb, logProb, logProb, fc.nat(5000), fc.nat(5000));
  const four = fc.array(row, { minLength: 4, maxLength: 4 });

  it.each(["float32", "float64"] as const)(
    "every loss is finite in %s, and its gradients",
    async (dtype) => {
      await fc.assert(
        fc.asyncProperty(four, async (rows) => {
          const column = (i: number) =>
            tensor(
              rows.map((r) => r[i]!),
              { dtype },
            );
          const inputs = inputsOf({
            chosen: column(0),
            rejected: column(1),
            referenceChosen: column(2),
            referenceRejected: column(3),
            chosenLength: column(4),
            rejectedLength: column(5),
          });
          await expectFinite(
            everyCase.map(({ name, loss, takes }) => {
              const result = loss(inputs);
              return { name, result, slopes: allSlopes(result.loss, inputs, takes) };
            }),
          );
        }),
        { numRuns: isFull() ? 15 : 5 },
      );
    },
  );
});

type Options = Readonly<Record<string, unknown>>;
type Loss = (inputs: Inputs, options: never) => PreferenceLoss;

const divergences: readonly FDivergenceOptions[] = [
  {},
  { fDivergence: "forward_kl" },
  { fDivergence: "js_divergence" },
  ...[-3, 0, 0.01, 0.5, 0.9, 0.99, 0.995, 0.9999, 1, 1.000002, 1.005, 1.01, 1.5, 3, 10].map(
    (fAlphaDivergenceCoef) => ({ fDivergence: "alpha_divergence", fAlphaDivergenceCoef }) as const,
  ),
];
const divergent: readonly (readonly [loss: Loss, ...options: Options[]])[] = [
  [dpoLoss, {}, { labelSmoothing: 0.5 }],
  [dpoNormLoss, {}],
  [hingeLoss, {}],
  [ipoLoss, {}, { average: false }],
  [exoLoss, {}, { labelSmoothing: 0.5 }, { labelSmoothing: 1e-9 }],
  [ncaLoss, {}],
  [robustDpoLoss, {}, { labelSmoothing: 0.49 }],
  [bcoLoss, {}, { delta: 50 }, { state: { mean: 3, count: 4 } }],
  [sppoLoss, {}, { hard: true }, { winProbability: 0 }],
  [apoDownLoss, {}],
  [discopopLoss, {}, { tau: 1e-3 }, { tau: 1 }],
];
const before = { mean: 5, std: 0, count: 3 };
const others: typeof divergent = [
  [simpoLoss, { gamma: 100 }, { gammaBetaRatio: 10 }, { labelSmoothing: 0.5 }],
  [
    alphaPoLoss,
    ...[-10, -1, -0.01, -1e-5, 0, 1e-5, 0.01, 0.1, 0.25, 1, 2, 10, 1000].flatMap((alpha) => [
      { alpha },
      { alpha, labelSmoothing: 0.5 },
    ]),
  ],
  [cpoLoss, {}, { type: "hinge" }, { type: "ipo" }, { nllWeight: 100 }],
  [orpoLoss, {}, { nllWeight: 100 }],
  [calDpoLoss, {}],
  [dpopLoss, {}, { lambda: 1e4 }],
  [lengthRegularizedDpoLoss, {}, { alpha: 10 }],
  [apoZeroLoss, {}],
  [aotLoss, {}, { unpaired: true, labelSmoothing: 0.5 }],
  [ktoLoss, { kl: 0 }, { kl: 1e4, undesirableWeight: 100 }],
  [betaDpoLoss, { scale: 100, dropRatio: 0.9 }, { state: before, updateState: false }],
  [diffusionDpoLoss, {}],
  [dmpoLoss, {}, { alpha: 1e-9 }],
];
const betas = [1e-3, 0.1, 100, 1e4];
const grid = [
  ...divergent.map(([loss, ...own]) => ({
    loss,
    options: own.flatMap((o) => divergences.map((d): Options => ({ ...o, ...d }))),
  })),
  ...others.map(([loss, ...options]) => ({ loss, options })),
].map(({ loss, options }) => ({
  name: loss.name,
  loss,
  options: options.flatMap((o) => betas.map((beta): Options => ({ ...o, beta }))),
}));

describe("at those inputs in float32, at β from .001 to 10,000", () => {
  it.each(grid)("$name is finite with all its options, and its gradients", async (row) => {
    const inputs = extremes("float32");
    await expectFinite(
      row.options.map((options) => {
        const result = row.loss(inputs, options as never);
        return { name: JSON.stringify(options), result, slopes: allSlopes(result.loss, inputs) };
      }),
    );
  });
});

describe("a completion without tokens", () => {
  // Rows 0 and 1 are chosen, 2 and 3 rejected.
  const absences = [[0], [3], [1, 3], [0, 1, 2, 3]].map((rows) => ({ rows }));
  const masked = (rows: readonly number[]): Tensor =>
    where(tensor(Array.from({ length: B }, (_, b) => [rows.includes(b)])), 0, mask);
  const side = (t: Tensor, first: 0 | 2): Tensor => slice(t, [first, first + 2]);

  it.each(absences)("has sums of 0 over its tokens: rows $rows", async ({ rows }) => {
    const absent = masked(rows);
    const tokens = tokenLogProbs(policy, ids);
    const others = tensor([1, 2, 3, 4], { dtype: "int32" });
    const found = await realize([
      sequenceLogProbs(policy, ids, absent),
      sequenceKl(policy, waves(0.9), absent),
      wpoLogWeights(policy, ids, absent),
      ldDpoLogProbs(tokens, absent, others),
    ]);
    for (const sums of found) {
      const values = await numbers(sums);
      for (const [row, value] of values.entries()) expect(value === 0).toBe(rows.includes(row));
    }
  });

  it.each(absences)(
    "leaves every loss finite, and has no gradient itself: rows $rows",
    async ({ rows }) => {
      const absent = masked(rows);
      const [logProbs, reference] = [policy, waves(0.9)].map((logits) =>
        sequenceLogProbs(logits, ids, absent),
      ) as [Tensor, Tensor];
      const kl = sequenceKl(policy, waves(0.9), absent);
      const ratios = tokenLogProbs(policy, ids).sub(tokenLogProbs(waves(0.9), ids));
      const ofSide = (first: 0 | 2) => ({ ratios: side(ratios, first), mask: side(absent, first) });
      const lengths = completionLengths.map((n, b) => (rows.includes(b) ? 0 : n));
      const pairs = inputsOf({
        chosen: side(logProbs, 0),
        rejected: side(logProbs, 2),
        referenceChosen: side(reference, 0),
        referenceRejected: side(reference, 2),
        chosenLength: tensor(lengths.slice(0, 2)),
        rejectedLength: tensor(lengths.slice(2)),
      });
      const inputs = {
        ...pairs,
        extras: {
          ...pairs.extras,
          ...sgdpoPilots(ofSide(0), ofSide(2), { seed: 0 }),
          chosenKl: side(kl, 0),
          rejectedKl: side(kl, 2),
        },
      };
      const entries = everyCase.map(({ name, loss }) => {
        const result = loss(inputs);
        return { name, result, slopes: gradients(result.loss, [policy]) };
      });
      await expectFinite(entries);
      for (const { name, slopes } of entries) {
        const values = await numbers(slopes[0]!);
        const rowSize = values.length / B;
        for (const row of rows) {
          const own = values.slice(row * rowSize, (row + 1) * rowSize);
          expect(
            own.every((g) => g === 0),
            `${name}, row ${row}`,
          ).toBe(true);
        }
      }
    },
  );
});
