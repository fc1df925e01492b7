/**
 * spoLoss: the penalty, its region, its weight.
 */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autograd/gradients.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { sftLoss } from "../../src/losses/sft.js";
import { simpoLoss } from "../../src/losses/simpo.js";
import { type SpoLossOptions, spoLoss } from "../../src/losses/spo.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { goldenPairs } from "./golden.js";

const pairs = goldenPairs("float64");
/** (reference − policy)/n of the four chosen completions: .1, −.2, .1, −.6. */
const meanGap = -0.15;
const item = async (t: Tensor): Promise<number> => t.item();

async function chosenGradient(loss: Tensor): Promise<number[]> {
  return Array.from(await gradients(loss, [pairs.chosen])[0]!.data());
}

function expectAll(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 12);
  });
}

describe("the penalty", () => {
  it("without hinge has the gradient of L_pref + γ·L_SFT, whatever v* and ε", async () => {
    const sft = pairs.chosen.div(pairs.chosenLength).neg().mean();
    const expected = await chosenGradient(dpoLoss(pairs).loss.add(sft.mul(0.7)));
    for (const options of [{}, { epsilon: 0.3 }, { floor: 2 }] satisfies SpoLossOptions[]) {
      expectAll(await chosenGradient(spoLoss(pairs, { gamma: 0.7, ...options }).loss), expected);
    }
  });

  it("with hinge is the base loss alone inside the safe region", async () => {
    const inside = spoLoss(pairs, { gamma: 3, hinge: true });
    expect(await item(inside.gap)).toBeCloseTo(meanGap, 14);
    expect(await item(inside.loss)).toBe(await item(dpoLoss(pairs).loss));
    expectAll(await chosenGradient(inside.loss), await chosenGradient(dpoLoss(pairs).loss));
  });

  it("with hinge is the full penalty outside the safe region", async () => {
    // The floor lies below the policy's own loss, so the gap is positive.
    const options = { gamma: 3, floor: 0.5, epsilon: 0.1 };
    const outside = spoLoss(pairs, { ...options, hinge: true });
    const plain = spoLoss(pairs, options);
    expect(await item(outside.gap)).toBeGreaterThan(0);
    expect(await item(outside.loss)).toBe(await item(plain.loss));
    expectAll(await chosenGradient(outside.loss), await chosenGradient(plain.loss));
    expect(await item(outside.perPair.mean())).toBeCloseTo(await item(outside.loss), 12);
  });

  it("has its edge where the mean gap is ε", async () => {
    const floor = 1 / 4 - 0.15;
    const sft = await item(spoLoss(pairs, { floor: 0 }).sft);
    for (const [by, acts] of [
      [-1e-9, true],
      [1e-9, false],
    ] as const) {
      const { loss, base } = spoLoss(pairs, {
        hinge: true,
        floor,
        epsilon: sft - floor + by,
      });
      expect((await item(loss.sub(base.loss))) > 0).toBe(acts);
    }
  });

  it("takes any base loss, with its options or wrapped in a function", async () => {
    const baseOptions = { beta: 4, gamma: 1 };
    const found = spoLoss(pairs, { base: simpoLoss, baseOptions });
    const wrapped = spoLoss(pairs, { base: (p) => simpoLoss(p, baseOptions) });
    const expected = simpoLoss(pairs, baseOptions);
    expect(await item(found.base.loss)).toBe(await item(expected.loss));
    expect(await item(wrapped.loss)).toBe(await item(found.loss));
    expect(await item(found.loss)).toBeCloseTo((await item(expected.loss)) + meanGap, 12);
    expectAll(
      Array.from(await found.rewards.chosen.data()),
      Array.from(await expected.rewards.chosen.data()),
    );
  });

  it("can wrap itself and the supervised loss", async () => {
    const { loss } = spoLoss(pairs, { base: spoLoss, baseOptions: { base: sftLoss } });
    expect(await item(loss)).toBeCloseTo((await item(sftLoss(pairs).loss)) + 2 * meanGap, 12);
  });

  it("measures per token or per sequence", async () => {
    const perToken = spoLoss(pairs, { floor: 0 });
    const perSequence = spoLoss(pairs, { floor: 0, per: "sequence" });
    expect(await item(perToken.sft)).toBeCloseTo((1 + 1.25 + 1 + 1.5) / 4, 12);
    expect(await item(perSequence.sft)).toBeCloseTo((3 + 2.5 + 4 + 1.5) / 4, 12);
  });

  it("takes v* from a number, a scalar or a tensor per pair, and sends it no gradient", async () => {
    const perPair = tensor([0.9, 1.45, 0.9, 2.1], { dtype: "float64" });
    for (const floor of [1.3375, tensor(1.3375, { dtype: "float64" }), perPair]) {
      expect(await item(spoLoss(pairs, { floor }).gap)).toBeCloseTo(meanGap, 12);
    }
    const [fromFloor] = gradients(spoLoss(pairs, { floor: perPair }).loss, [perPair]);
    expectAll(Array.from(await fromFloor!.data()), [0, 0, 0, 0]);
    const [fromReference] = gradients(spoLoss(pairs, { base: simpoLoss }).loss, [
      pairs.referenceChosen,
    ]);
    expectAll(Array.from(await fromReference!.data()), [0, 0, 0, 0]);
  });
});

describe("γ", () => {
  it("follows a schedule of the step", async () => {
    const gamma = (step: number): number => step / 10;
    for (const step of [0, 5]) {
      const result = spoLoss(pairs, { gamma, step });
      expect(await item(result.gamma)).toBe(step / 10);
      expect(await item(result.loss.sub(result.base.loss))).toBeCloseTo((step / 10) * meanGap, 12);
    }
  });

  it("as a dual variable weighs this loss and moves along the gap for the next", async () => {
    const plain = { gamma: "dual", dualRate: 4, damping: 0 } as const;
    const first = spoLoss(pairs, { ...plain, state: { gamma: 2 } });
    expect(await item(first.gamma)).toBe(2);
    expect(await item(first.loss.sub(first.base.loss))).toBeCloseTo(2 * meanGap, 12);
    expect(await item(first.state.gamma)).toBeCloseTo(2 + 4 * meanGap, 12);
    const second = spoLoss(pairs, { ...plain, state: first.state });
    expect(await item(second.gamma)).toBeCloseTo(2 + 4 * meanGap, 12);
  });

  it("as a dual variable is damped by the gap itself: the loss weighs it by max(0, γ + c·gap)", async () => {
    for (const [damping, weight] of [
      [undefined, 2 + meanGap],
      [4, 2 + 4 * meanGap],
      [100, 0],
    ] as const) {
      const options = damping === undefined ? {} : { damping };
      const found = spoLoss(pairs, { gamma: "dual", state: { gamma: 2 }, ...options });
      expect(await item(found.gamma)).toBeCloseTo(weight, 12);
      expect(await item(found.loss.sub(found.base.loss))).toBeCloseTo(weight * meanGap, 12);
      expect(await item(found.state.gamma)).toBeCloseTo(2 + 0.1 * meanGap, 12);
    }
  });

  it("as a dual variable never falls below 0", async () => {
    const { state } = spoLoss(pairs, { gamma: "dual", state: { gamma: 0.1 }, dualRate: 1 });
    expect(await item(state.gamma)).toBe(0);
  });

  it("as a dual variable is a constant of the gradient", async () => {
    const found = spoLoss(pairs, { gamma: "dual", state: { gamma: 0.7 }, damping: 0 });
    expectAll(
      await chosenGradient(found.loss),
      await chosenGradient(spoLoss(pairs, { gamma: 0.7 }).loss),
    );
    expectAll(await chosenGradient(found.state.gamma), [0, 0, 0, 0]);
  });

  it("as a number or a state changes without a new plan", async () => {
    await realize(Object.values(pairs));
    const step = async (options: SpoLossOptions) => realize(spoLoss(pairs, options));
    const { state } = await step({ gamma: "dual", state: { gamma: 0.3 } });
    await step({ gamma: 0.3 });
    const { plansCompiled } = await deviceStatistics();
    await step({ gamma: "dual", state });
    await step({ gamma: 0.4 });
    expect((await deviceStatistics()).plansCompiled).toBe(plansCompiled);
  });
});

describe("spoLoss", () => {
  it("names what is missing and what does not go together", () => {
    const { chosenLength: _, ...unmeasured } = pairs;
    const { referenceChosen: __, ...alone } = pairs;
    expect(() => spoLoss(unmeasured)).toThrow(
      "spoLoss: needs `chosenLength`: token counts of the chosen completions, shape [batch]",
    );
    expect(() => spoLoss(alone, { base: sftLoss })).toThrow("spoLoss: needs `referenceChosen`");
    expect(() => spoLoss(alone, { floor: 0 })).toThrow("dpoLoss: needs `referenceChosen`");
    expect(() => spoLoss(pairs, { gamma: -1 })).toThrow(
      'spoLoss: gamma must be a number ≥ 0, a schedule, or "dual", got -1',
    );
    expect(() => spoLoss(pairs, { gamma: "dual" })).toThrow(
      'spoLoss: gamma "dual" needs `state`: { gamma: 0 } first, then the previous result\'s `state`',
    );
    expect(() => spoLoss(pairs, { gamma: () => 1 })).toThrow(
      "spoLoss: a schedule for gamma needs `step`",
    );
    expect(() => spoLoss(pairs, { gamma: 1, state: { gamma: 0 } })).toThrow(
      'spoLoss: `state` belongs to gamma: "dual"',
    );
    expect(() => spoLoss(pairs, { dualRate: 1 })).toThrow(
      'spoLoss: `dualRate` belongs to gamma: "dual"',
    );
    expect(() => spoLoss(pairs, { epsilon: -1 })).toThrow("spoLoss: epsilon must be a number ≥ 0");
    expect(() => spoLoss(pairs, { per: "word" as never })).toThrow(
      'spoLoss: per must be one of "token", "sequence", got "word"',
    );
    expect(() => spoLoss(pairs, { floor: tensor([1, 2]) })).toThrow(
      "spoLoss: floor must be a scalar or have shape [4], got [2]",
    );
    expect(() => spoLoss(pairs, { beta: 0.5 } as never)).toThrow("spoLoss: has no option `beta`");
    expect(() => spoLoss(pairs, { baseOptions: { gamma: 1 } as never })).toThrow(
      "dpoLoss: has no option `gamma`",
    );
  });
});
