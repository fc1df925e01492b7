/**
 * lossGradient: the library's own numbers on plain arrays, and a backward pass written by hand that
 * goes on from them.
 */

import { afterAll, describe, expect, expectTypeOf, it } from "vitest";
import { gradients } from "../../src/autograd/gradients.js";
import { type LossGradient, lossGradient } from "../../src/interop/index.js";
import { cpoLoss } from "../../src/losses/cpo.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { sftLoss } from "../../src/losses/sft.js";
import { simpoLoss } from "../../src/losses/simpo.js";
import { type SpoLoss, spoLoss } from "../../src/losses/spo.js";
import type { PairLogProbs, PreferenceLoss } from "../../src/losses/types.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, setDevice } from "../../src/tensor/evaluate.js";
import {
  arraysOf,
  directGradient,
  embedding,
  FEATURES,
  lossOptions,
  RESPONSES,
  reference,
  responses,
  startWeights,
} from "./linearModel.js";

const arrays = {
  chosen: [-3, -2.5, -4, -1.5],
  rejected: [-4, -2, -6, -1],
  referenceChosen: [-3.3, -2, -4.2, -2],
  referenceRejected: [-3.5, -2.4, -5, -1.5],
  chosenLength: [3, 2, 4, 1],
  rejectedLength: [4, 2, 5, 1],
};
const typed = <A extends Float32ArrayConstructor | Float64ArrayConstructor>(kind: A) =>
  Object.fromEntries(
    Object.entries(arrays).map(([name, values]) => [name, kind.from(values)]),
  ) as unknown as typeof arrays;

/** Loss, pairs' losses and gradients in tensors, float64. */
async function inTensors(loss: (pairs: PairLogProbs) => PreferenceLoss) {
  const pairs = Object.fromEntries(
    Object.entries(arrays).map(([name, values]) => [name, tensor(values, { dtype: "float64" })]),
  ) as unknown as PairLogProbs;
  const result = loss(pairs);
  const [chosen, rejected] = gradients(result.loss, [pairs.chosen, pairs.rejected]);
  return {
    loss: await result.loss.item(),
    perPair: await result.perPair.data(),
    gradient: { chosen: await chosen!.data(), rejected: await rejected!.data() },
  };
}

describe("lossGradient", () => {
  it.each([
    ["dpoLoss", (pairs: PairLogProbs) => dpoLoss(pairs, { beta: 0.5 })],
    ["simpoLoss", (pairs: PairLogProbs) => simpoLoss(pairs)],
    ["cpoLoss", (pairs: PairLogProbs) => cpoLoss(pairs)],
    ["spoLoss", (pairs: PairLogProbs) => spoLoss(pairs, { gamma: 0.7, hinge: true, floor: 0.5 })],
  ] as const)("of %s gives its loss, pairs' losses and gradients", async (_, loss) => {
    const expected = await inTensors(loss);
    for (const given of [arrays, typed(Float64Array)]) {
      const { loss: value, perPair, gradient } = await lossGradient(loss)(given);
      expect({ loss: value, perPair, gradient }).toEqual(expected);
      expect(gradient.chosen).toBeInstanceOf(Float64Array);
    }
    const single = await lossGradient(loss)(typed(Float32Array));
    expect(single.gradient.chosen).toBeInstanceOf(Float32Array);
    expect(single.loss).toBeCloseTo(expected.loss, 6);
    single.gradient.rejected.forEach((slope, i) => {
      expect(slope).toBeCloseTo(expected.gradient.rejected[i]!, 6);
    });
  });

  it("matches DPO's formula: −(β/B)·σ(−βΔ) for the chosen, its opposite for the rejected", async () => {
    const { gradient, rewards } = await lossGradient(dpoLoss)(arrays, { beta: 0.5 });
    arrays.chosen.forEach((s, i) => {
      const w = s - arrays.referenceChosen[i]!;
      const l = arrays.rejected[i]! - arrays.referenceRejected[i]!;
      const expected = -0.125 / (1 + Math.exp(0.5 * (w - l)));
      expect(gradient.chosen[i]).toBeCloseTo(expected, 14);
      expect(gradient.rejected[i]).toBeCloseTo(-expected, 14);
      expect(rewards.chosen[i]).toBeCloseTo(0.5 * w, 14);
      expect(rewards.rejected[i]).toBeCloseTo(0.5 * l, 14);
    });
  });

  it("gives 0 for what a loss does not look at", async () => {
    const { gradient } = await lossGradient(sftLoss)(arrays);
    expect(Array.from(gradient.rejected)).toEqual([0, 0, 0, 0]);
  });

  it("computes in float32 where chosen and rejected are Float32Array, whatever the rest", async () => {
    const chosen = Float32Array.from(arrays.chosen);
    const rejected = Float32Array.from(arrays.rejected);
    const chosenLength = Uint8Array.from(arrays.chosenLength);
    const single = await lossGradient(simpoLoss)({ ...arrays, chosen, rejected, chosenLength });
    expect(single.gradient.chosen).toBeInstanceOf(Float32Array);
    expect(single.perPair).toBeInstanceOf(Float32Array);
    const mixed = await lossGradient(simpoLoss)({ ...arrays, chosen, chosenLength });
    expect(mixed.gradient.chosen).toBeInstanceOf(Float64Array);
    expect(single.loss).toBeCloseTo(mixed.loss, 6);
  });

  it("hands a loss's state on, and the loss's own options and types with it", async () => {
    const gradient = lossGradient(spoLoss);
    const options = { gamma: "dual", dualRate: 4, damping: 0, floor: 0.5 } as const;
    const first = await gradient(arrays, { ...options, state: { gamma: 2 } });
    expectTypeOf(first.result).toEqualTypeOf<SpoLoss>();
    const next = await gradient(arrays, { ...options, state: first.result.state });
    const gap = await first.result.gap.item();
    expect(await next.result.gamma.item()).toBeCloseTo(2 + 4 * gap, 12);
    expectTypeOf(lossGradient(dpoLoss)).returns.resolves.toEqualTypeOf<LossGradient>();
    const other = { base: simpoLoss, baseOptions: { beta: 3 } };
    expect((await gradient(arrays, other)).loss).toBeCloseTo(
      (await inTensors((pairs) => spoLoss(pairs, other))).loss,
      14,
    );
  });

  it("compiles once for batches of one size", async () => {
    const step = lossGradient(dpoLoss);
    await step(arrays);
    const { plansCompiled } = await deviceStatistics();
    await step({ ...arrays, chosen: [-1, -1, -1, -1] });
    expect((await deviceStatistics()).plansCompiled).toBe(plansCompiled);
  });

  it("names what is missing, unknown or does not fit", async () => {
    const run = lossGradient(dpoLoss);
    const { chosen: _, ...without } = arrays;
    await expect(run(without as never)).rejects.toThrow("lossGradient: needs `chosen`");
    await expect(run({ ...arrays, referenceChosen: undefined } as never)).rejects.toThrow(
      "dpoLoss: needs `referenceChosen`",
    );
    await expect(run({ ...arrays, policy: [1] } as never)).rejects.toThrow(
      "lossGradient: there is no input `policy`; there are chosen, rejected, referenceChosen,",
    );
    await expect(run({ ...arrays, rejected: [1, 2] })).rejects.toThrow(
      "lossGradient: `rejected` has 2 elements, `chosen` has 4",
    );
    await expect(run({ ...arrays, rejected: [1, 2, Number.NaN, 4] })).rejects.toThrow(
      "lossGradient: `rejected` must hold finite numbers, got NaN at 2",
    );
    await expect(run({ ...arrays, rejected: ["1", 2, 3, 4] as never })).rejects.toThrow(
      "lossGradient: `rejected` must hold finite numbers, got 1 at 0",
    );
    await expect(run({ ...arrays, rejected: tensor([1]) as never })).rejects.toThrow(
      "lossGradient: `rejected` must be an array of numbers, got object",
    );
    const none = { chosen: [], rejected: [], referenceChosen: [], referenceRejected: [] };
    await expect(run(none)).rejects.toThrow("dpoLoss: the batch is empty");
    await expect(run(arrays, { gamma: 1 } as never)).rejects.toThrow("dpoLoss: has no option");
  });
});

/** Log-softmax of X·W and its backward pass, in plain JavaScript. */
const handWritten = {
  forward(weights: Float64Array): number[][] {
    return embedding.map((x) => {
      const logits = Array.from({ length: RESPONSES }, (_, r) =>
        x.reduce((sum, value, f) => sum + value * weights[f * RESPONSES + r]!, 0),
      );
      const top = Math.max(...logits);
      const normalizer = top + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - top), 0));
      return logits.map((z) => z - normalizer);
    });
  },
  /** ∂/∂W from the cotangents of the picked log-probabilities: `Xᵀ(C − π·Σ_r C_r)`. */
  backward(logProbs: readonly number[][], { gradient }: LossGradient): Float64Array {
    const slopes = new Float64Array(FEATURES * RESPONSES);
    embedding.forEach((x, i) => {
      const cotangent = new Array<number>(RESPONSES).fill(0);
      cotangent[responses.chosen[i]!]! += gradient.chosen[i]!;
      cotangent[responses.rejected[i]!]! += gradient.rejected[i]!;
      const total = cotangent.reduce((sum, c) => sum + c, 0);
      for (let r = 0; r < RESPONSES; r++) {
        const slope = cotangent[r]! - Math.exp(logProbs[i]![r]!) * total;
        for (let f = 0; f < FEATURES; f++) slopes[f * RESPONSES + r]! += x[f]! * slope;
      }
    });
    return slopes;
  },
};

describe("a model written by hand", () => {
  afterAll(() => setDevice("wasm"));

  it("driven by spoLoss gets the gradients this library alone gets, over a training run", async () => {
    const weights = Float64Array.from(startWeights);
    const frozen = reference();
    for (let step = 0; step < 20; step++) {
      const expected = await directGradient(weights, "float64");
      const logProbs = handWritten.forward(weights);
      const found = await lossGradient(spoLoss)(arraysOf(logProbs, frozen), lossOptions);
      expect(found.loss).toBeCloseTo(expected.loss, 12);
      const slopes = handWritten.backward(logProbs, found);
      slopes.forEach((slope, i) => {
        expect(Math.abs(slope - expected.weights[i]!)).toBeLessThan(1e-13);
      });
      slopes.forEach((slope, i) => {
        weights[i]! -= 0.5 * slope;
      });
    }
    const { loss } = await directGradient(startWeights, "float64");
    expect((await directGradient(weights, "float64")).loss).toBeLessThan(loss);
  });

  it("gets the same on the interpreter", async () => {
    const input = arraysOf(handWritten.forward(Float64Array.from(startWeights)), reference());
    const expected = await lossGradient(spoLoss)(input, lossOptions);
    await setDevice("interpreter");
    const found = await lossGradient(spoLoss)(input, lossOptions);
    found.gradient.chosen.forEach((slope, i) => {
      expect(slope).toBeCloseTo(expected.gradient.chosen[i]!, 14);
    });
  });
});
