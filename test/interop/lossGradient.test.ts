/**
 * lossGradient: the library's own numbers on plain arrays, and a backward pass written by hand that
 * goes on from them.
 */

import { afterAll, describe, expect, expectTypeOf, it } from "vitest";
import { gradients } from "../../src/autograd/gradients.js";
import { type LossGradient, lossGradient } from "../../src/interop/index.js";
import type { TypedArray } from "../../src/kernels/dtype.js";
import {
  aspoLoss,
  type BetaDpoLoss,
  bcoLoss,
  betaDpoLoss,
  dpoLoss,
  lossByName,
  mixLosses,
  offsetDpoLoss,
  type PairLogProbs,
  type SpoLoss,
  sftLoss,
  simpoLoss,
  spoLoss,
  type TdpoLossOptions,
  tdpoLoss,
} from "../../src/losses/index.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, realize, setDevice } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { cases, detachedCases, goldenInputs } from "../losses/cases.js";
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
/** An array for each tensor of a record. */
async function asArrays<Name extends string>(
  tensors: Readonly<Record<Name, Tensor>>,
): Promise<Record<Name, TypedArray>> {
  const names = Object.keys(tensors) as Name[];
  const found = names.map(async (name) => [name, await tensors[name].data()]);
  return Object.fromEntries(await Promise.all(found));
}

describe.each([...cases, ...detachedCases])("lossGradient of $name", ({ loss }) => {
  // The cases' further inputs, as options of a loss.
  const withExtras = (pairs: PairLogProbs, extras: Record<string, Tensor> = {}) =>
    loss({ ...(pairs as Required<PairLogProbs>), extras });

  it("gives its loss, pairs' losses, rewards, and the gradients of all its inputs", async () => {
    const { extras, ...pairs } = goldenInputs();
    const result = withExtras(pairs, extras);
    const inputs = { chosen: pairs.chosen, rejected: pairs.rejected, ...extras };
    const slopes = gradients(result.loss, Object.values(inputs));
    await realize(result, slopes);
    const names = Object.keys(inputs);
    const expected = {
      loss: await result.loss.item(),
      perPair: await result.perPair.data(),
      rewards: await asArrays(result.rewards),
      gradient: await asArrays(Object.fromEntries(slopes.map((t, i) => [names[i]!, t]))),
    };
    const given = { ...(await asArrays(pairs)), ...(await asArrays(extras)) };
    const { loss: value, perPair, rewards, gradient } = await lossGradient(withExtras)(given);
    expect({ loss: value, perPair, rewards, gradient }).toEqual(expected);

    const single = (record: Record<string, TypedArray>) =>
      Object.fromEntries(Object.entries(record).map(([name, x]) => [name, Float32Array.from(x)]));
    const rounded = await lossGradient(withExtras)(single(given) as typeof given);
    const close = (found: TypedArray, exact: TypedArray) => {
      expect(found).toBeInstanceOf(Float32Array);
      found.forEach((x, i) => {
        expect(Math.abs(x - exact[i]!)).toBeLessThan(2e-3 * Math.max(1, Math.abs(exact[i]!)));
      });
    };
    close(rounded.perPair, perPair);
    close(rounded.gradient.chosen, gradient.chosen);
  });
});

describe("what a loss takes beside log-probabilities", () => {
  it("has a gradient of its own: of TDPO's divergences", async () => {
    const given = { ...arrays, chosenKl: [0.5, 1, 0.2, 2], rejectedKl: [1, 0.4, 3, 0.1] };
    const first = (await lossGradient(tdpoLoss)(given, { version: 1 })).gradient;
    // The margin is r_w − r_l − K_l + K_w.
    expect(first.chosenKl).toEqual(first.chosen);
    expect(first.rejectedKl).toEqual(first.rejected);
    const second = (await lossGradient(tdpoLoss)(given, { alpha: 0.25 })).gradient;
    expect(Array.from(second.chosenKl!)).toEqual([0, 0, 0, 0]);
    second.rejectedKl!.forEach((slope, i) => {
      expect(slope).toBeCloseTo(0.25 * second.rejected[i]!, 15);
    });
  });

  it("is given in rows where it is [batch, K]: ASPO's sentences", async () => {
    const sentences = [
      [-1, -2],
      [-2, -0.5],
      [-3, -1],
      [-1.2, -0.3],
    ];
    const total = (rows: readonly (readonly number[])[]) => rows.map(([a, b]) => a! + b!);
    const lossAt = (rows: readonly (readonly number[])[]) =>
      lossGradient(aspoLoss)(
        {
          ...arrays,
          chosen: total(rows),
          sentences: rows,
          referenceSentences: arrays.referenceChosen.map((s) => Float64Array.of(s / 2, s / 2)),
          weights: [
            [0, 1],
            [0.5, 0],
            [1, 1],
            [0.2, 0.9],
          ],
          mask: sentences.map((_, i) => (i % 2 === 0 ? [true, true] : [1, 1])),
        },
        { beta: 0.5 },
      );
    const { gradient } = await lossAt(sentences);
    expect(gradient.sentences).toHaveLength(8);
    expect(Array.from(gradient.weights!)).toEqual(new Array(8).fill(0));
    // A sentence moves the loss by itself and by the completion's sum it is part of.
    for (const [i, row] of sentences.entries()) {
      for (const k of row.keys()) {
        const moved = async (by: number) =>
          (
            await lossAt(
              sentences.map((r, j) => r.map((s, m) => (j === i && m === k ? s + by : s))),
            )
          ).loss;
        const slope = ((await moved(1e-5)) - (await moved(-1e-5))) / 2e-5;
        expect(gradient.chosen[i]! + gradient.sentences![2 * i + k]!).toBeCloseTo(slope, 9);
      }
    }
    const one = arrays.chosen.map((s) => [s]);
    const whole = await lossGradient(aspoLoss)({
      ...arrays,
      sentences: one,
      referenceSentences: arrays.referenceChosen.map((s) => [s]),
      weights: one.map(() => [0]),
    });
    expect(whole.loss).toBeCloseTo((await lossGradient(dpoLoss)(arrays)).loss, 15);
  });

  it("may be one number for all pairs, and is passed to losses found by name", async () => {
    const { gradient, loss } = await lossGradient(offsetDpoLoss)({ ...arrays, offset: 0.3 });
    expect(gradient.offset).toHaveLength(1);
    expect(loss).toBe((await lossGradient(offsetDpoLoss)(arrays, { offset: 0.3 })).loss);
    const named = await lossGradient(lossByName("odpo"))({
      ...arrays,
      offset: [0.3, 0.3, 0.3, 0.3],
    });
    expect(named.loss).toBeCloseTo(loss, 15);
    expectTypeOf(gradient.offset).toEqualTypeOf<TypedArray | undefined>();
    // @ts-expect-error: β is no tensor
    await expect(lossGradient(dpoLoss)({ ...arrays, beta: [1] })).rejects.toThrow("beta must be");
  });

  it("reaches a loss inside another through a function", async () => {
    const stable = lossGradient((pairs: PairLogProbs, kl: TdpoLossOptions = {}) =>
      spoLoss(pairs, { base: tdpoLoss, baseOptions: kl, gamma: 1 }),
    );
    const given = { ...arrays, chosenKl: [0.5, 1, 0.2, 2], rejectedKl: [1, 0.4, 3, 0.1] };
    const { gradient } = await stable(given);
    const plain = await lossGradient(tdpoLoss)(given);
    expect(gradient.rejectedKl).toEqual(plain.gradient.rejectedKl);
  });

  it("is refused by name where it does not fit", async () => {
    const run = lossGradient(tdpoLoss);
    const kl = { chosenKl: [1, 1, 1, 1], rejectedKl: [1, 1, 1, 1] };
    await expect(run({ ...arrays, ...kl, chosenKl: [1, 2] })).rejects.toThrow(
      "tdpoLoss: chosenKl must have shape [4], got [2]",
    );
    await expect(run({ ...arrays, ...kl, chosenKl: [[1], [1, Number.NaN]] })).rejects.toThrow(
      "lossGradient: `chosenKl` must hold finite numbers, got NaN at 1,1",
    );
    await expect(run({ ...arrays, ...kl, chosenKl: [[1], [1, 2]] })).rejects.toThrow(
      "lossGradient: rows of `chosenKl` differ in length",
    );
    await expect(run({ ...arrays, ...kl }, { chosenKl: tensor([1]) })).rejects.toThrow(
      "lossGradient: `chosenKl` is among the arrays and the options; give one",
    );
  });
});

describe("lossGradient", () => {
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
    expectTypeOf(first.result.state).toEqualTypeOf<{ readonly gamma: number }>();
    expectTypeOf(first.result.base).toEqualTypeOf<SpoLoss["base"]>();
    expect(JSON.parse(JSON.stringify(first.result.state))).toEqual(first.result.state);
    const next = await gradient(arrays, { ...options, state: first.result.state });
    const gap = await first.result.gap.item();
    expect(await next.result.gamma.item()).toBeCloseTo(2 + 4 * gap, 12);
    expectTypeOf(lossGradient(dpoLoss)).returns.resolves.toEqualTypeOf<LossGradient>();
    const other = { base: simpoLoss, baseOptions: { beta: 3 } };
    expect((await gradient(arrays, other)).loss).toBeCloseTo(
      (await lossGradient((pairs) => spoLoss(pairs, other))(arrays)).loss,
      14,
    );
  });

  it("gives states as plain numbers, those of losses inside others too", async () => {
    const { result } = await lossGradient(spoLoss<object, BetaDpoLoss>)(arrays, {
      base: betaDpoLoss,
    });
    expect(result.state).toEqual({ gamma: 1 });
    expectTypeOf(result.base.state.mean).toEqualTypeOf<number>();
    expect(result.base.state.count).toBe(1);
    expect(typeof result.base.state.mean).toBe("number");
    expect(result.base.kept.shape).toEqual([4]);
    const mix = lossGradient(
      mixLosses(
        { loss: dpoLoss, weight: 1 },
        { loss: bcoLoss, weight: 1, options: { state: { mean: 0, count: 0 } } },
      ),
    );
    const { terms } = (await mix(arrays)).result;
    expect(terms[1].state).toEqual({ mean: expect.any(Number), count: 8 });
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
      "dpoLoss: has no option `policy`",
    );
    await expect(run({ ...arrays, rejected: [1, 2] })).rejects.toThrow(
      "lossGradient: `rejected` has 2 elements, `chosen` has 4",
    );
    await expect(run({ ...arrays, rejected: [1, 2, Number.NaN, 4] })).rejects.toThrow(
      "lossGradient: `rejected` must hold finite numbers, got NaN at 2",
    );
    await expect(run({ ...arrays, rejected: ["1", 2, 3, 4] as never })).rejects.toThrow(
      'lossGradient: `rejected` must hold finite numbers, got "1" at 0',
    );
    await expect(run({ ...arrays, rejected: tensor([1]) as never })).rejects.toThrow(
      "lossGradient: `rejected` must be an array of numbers, got object",
    );
    await expect(run(undefined as never)).rejects.toThrow(
      "lossGradient: needs an object of arrays, got undefined",
    );
    const big = BigInt64Array.of(1n, 2n, 3n, 4n) as never;
    await expect(run({ ...arrays, rejected: big })).rejects.toThrow(
      "lossGradient: `rejected` must hold finite numbers, got 1n at 0",
    );
    await expect(run({ ...arrays, rejected: [true, false, true, true] as never })).rejects.toThrow(
      "lossGradient: `rejected` must hold finite numbers, got true at 0",
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
