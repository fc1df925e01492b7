/**
 * pairDynamics against closed forms on tabular policies, and against what steps do.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkpoint } from "../../src/autograd/control.js";
import { grad } from "../../src/autograd/transforms.js";
import { logProbVelocities } from "../../src/dynamics/index.js";
import { type PairDynamicsOptions, pairDynamics } from "../../src/dynamics/pairDynamics.js";
import { cpoLoss } from "../../src/losses/cpo.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { simpoLoss } from "../../src/losses/simpo.js";
import { spoLoss } from "../../src/losses/spo.js";
import type { PairLogProbs } from "../../src/losses/types.js";
import { logSoftmax, matmul, slice } from "../../src/ops/index.js";
import { adamw } from "../../src/optim/index.js";
import { tensor, zeros } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeMap } from "../../src/tensor/tree.js";
import { logProbs, type Parameters, start } from "../bilevel/displacement.js";
import { closedForm, logitsOf, tabular, tabularOf } from "./tabular.js";

const beta = 0.5;
const dpo = (pairs: PairLogProbs) => dpoLoss(pairs, { beta });
const values = async (t: Tensor): Promise<number[]> => Array.from(await t.data());

function expectNear(found: readonly number[], expected: readonly number[], tolerance: number) {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => {
    expect(Math.abs(value - expected[i]!), `${found} against ${expected}`).toBeLessThanOrEqual(
      tolerance,
    );
  });
}

describe("on a tabular softmax, DPO from the reference", () => {
  it.each([
    { from: [0.2, 0.5, 0.2, 0.1], change: [0.065, -0.0875], others: 0.0225 },
    { from: [0.5, 0.2, 0.2, 0.1], change: [0.0875, -0.065], others: -0.0225 },
  ])("from $from moves the pair by $change and all others by $others", async (row) => {
    const logits = logitsOf(row.from);
    const found = pairDynamics(tabular, logits, { loss: dpo, reference: tabular(logits) });
    const changes = await values(found.probabilityVelocities);
    expectNear(changes.slice(0, 2), row.change, 1e-12);
    expect(changes[2]! + changes[3]!).toBeCloseTo(row.others, 12);
    expect(await found.outflow.item()).toBeCloseTo(row.others, 12);
    expect(await found.leavingShare.item()).toBeCloseTo(row.others / 0.7, 12);
    expect(await found.displaced.item()).toBe(0);
    expect(await found.displacement.item()).toBe(0);
    expect(await found.push.chosen.item()).toBeCloseTo(0.25, 14);
    expect(await found.push.rejected.item()).toBeCloseTo(-0.25, 14);
  });

  it("has the closed forms' inner products, velocities and flows, whatever the policy and margin", async () => {
    const logit = fc.double({ min: -4, max: 4, noNaN: true });
    await fc.assert(
      fc.asyncProperty(
        fc.array(logit, { minLength: 2, maxLength: 7 }),
        fc.tuple(logit, logit),
        async (theta, shift) => {
          const logits = tensor(theta, { dtype: "float64" });
          const reference = tabular(logits)
            .slice([0, 2])
            .add(tensor(shift, { dtype: "float64" }));
          const found = pairDynamics(tabular, logits, { loss: dpo, reference });
          const total = theta.reduce((sum, x) => sum + Math.exp(x), 0);
          const pi = theta.map((x) => Math.exp(x) / total);
          const expected = closedForm(pi, beta, beta * (shift[1] - shift[0]));
          expectNear(await values(found.products.chosen), expected.chosen, 1e-10);
          expectNear(await values(found.products.rejected), expected.rejected, 1e-10);
          expectNear(await values(found.velocities), expected.velocities, 1e-10);
          const [w, l, ...others] = await values(found.probabilityVelocities);
          expectNear([w!, l!], [expected.chosenChange, expected.rejectedChange], 1e-10);
          expectNear([others.reduce((sum, x) => sum + x, 0)], [expected.othersChange], 1e-10);
          const ends = [found.outflow, found.push.chosen, found.push.rejected, found.overlap];
          expectNear(
            (await Promise.all(ends.map(values))).flat(),
            [
              expected.othersChange,
              expected.c,
              -expected.c,
              expected.rejected[0]! / expected.chosen[0]!,
            ],
            1e-10,
          );
          // Free logits never displace: ‖g_w‖² − ⟨g_w, g_l⟩ = 1 − a + b.
          expect(await found.displaced.item()).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("finds mass flowing to other responses exactly when the rejected one starts ahead", async () => {
    for (const [w, l] of [
      [0.3, 0.31],
      [0.31, 0.3],
    ] as const) {
      const logits = logitsOf([w, l, 1 - w - l]);
      const { outflow } = pairDynamics(tabular, logits, { loss: dpo, reference: tabular(logits) });
      expect((await outflow.item()) > 0).toBe(l > w);
    }
  });

  it("watches responses in the order the policy gives them, some or all", async () => {
    const logits = logitsOf([0.1, 0.2, 0.2, 0.5]);
    const policy = tabularOf(1, 3);
    const found = pairDynamics(policy, logits, { loss: dpo, reference: policy(logits) });
    expectNear(await values(found.probabilityVelocities), [0.065, -0.0875], 1e-12);
    expect(await found.outflow.item()).toBeCloseTo(0.0225, 12);
  });
});

/** The policy of four responses that share features, against the reference at its start. */
const reference = logProbs(start);
const lengths = tensor([1, 1]);
const shared: readonly (readonly [string, PairDynamicsOptions])[] = [
  ["dpoLoss", { loss: dpo, reference }],
  ["simpoLoss", { loss: simpoLoss, lengths }],
  ["cpoLoss", { loss: cpoLoss }],
  [
    "spoLoss",
    { loss: (pairs) => spoLoss(pairs, { baseOptions: { beta }, gamma: 0.5 }), reference, lengths },
  ],
];

/** Where plain gradient descent on DPO, η = 0.1, gets to. */
async function descended(steps: number): Promise<Parameters> {
  let parameters = start;
  const gradient = grad(
    (at: Parameters) => pairDynamics(logProbs, at, { loss: dpo, reference }).loss,
  );
  for (let step = 0; step < steps; step++) {
    const { h } = gradient(parameters);
    parameters = await realize({ h: parameters.h.sub(h.mul(0.1)) });
  }
  return parameters;
}

describe("where responses share features", () => {
  /** Predicted and actual changes of the probabilities over one step. */
  async function oneStep(parameters: Parameters, options: PairDynamicsOptions, eta: number) {
    const found = pairDynamics(logProbs, parameters, options);
    const { h } = grad((at: Parameters) => pairDynamics(logProbs, at, options).loss)(parameters);
    const moved = logProbs({ h: parameters.h.sub(h.mul(eta)) });
    const actual = await values(moved.exp().sub(found.logProbs.exp()));
    return { found, actual, predicted: await values(found.probabilityVelocities.mul(eta)) };
  }

  it.each(shared.flatMap(([name, options]) => [0, 60].map((steps) => ({ name, steps, options }))))(
    "$name after $steps steps: the change of each probability over a small step is as predicted",
    async ({ options, steps }) => {
      const eta = 1e-4;
      const { found, actual, predicted } = await oneStep(await descended(steps), options, eta);
      actual.forEach((change, z) => {
        expect(Math.abs(predicted[z]! - change) / Math.abs(change)).toBeLessThan(1e-3);
      });
      expect((await found.outflow.item()) * eta).toBeCloseTo(-(predicted[0]! + predicted[1]!), 14);
      expect((await found.displaced.item()) === 1).toBe(actual[0]! < 0);
    },
  );

  it.each(shared)("%s: what the prediction leaves out is of second order", async (_, options) => {
    const parameters = await descended(150);
    const errors = async (eta: number) => {
      const { actual, predicted } = await oneStep(parameters, options, eta);
      return actual.map((change, z) => change - predicted[z]!);
    };
    const [large, small] = [await errors(1e-3), await errors(1e-4)];
    large.forEach((error, z) => {
      expect(error / small[z]!).toBeCloseTo(100, -1);
    });
  });

  it("DPO starts to displace the chosen response where ⟨g_w, g_l⟩ outgrows ‖g_w‖²", async () => {
    const at = async (steps: number) => {
      const found = pairDynamics(logProbs, await descended(steps), { loss: dpo, reference });
      return {
        displaced: (await found.displaced.item()) === 1,
        displacement: await found.displacement.item(),
        overlap: await found.overlap.item(),
        leaving: await found.leavingShare.item(),
      };
    };
    const early = await at(0);
    expect(early.displaced).toBe(false);
    expect(early.displacement).toBe(0);
    expect(early.overlap).toBeLessThan(1);
    // The pair loses mass from the first step on, long before the chosen response does.
    expect(early.leaving).toBeGreaterThan(0);
    const late = await at(100);
    expect(late.displaced).toBe(true);
    expect(late.displacement).toBeGreaterThan(0);
    expect(late.overlap).toBeGreaterThan(1);
  });

  it("the supervised penalty pushes the chosen response up and undoes the displacement", async () => {
    const parameters = await descended(100);
    const base = pairDynamics(logProbs, parameters, { loss: dpo, reference });
    const kept = pairDynamics(logProbs, parameters, shared[3]![1]);
    expect(await base.displaced.item()).toBe(1);
    expect(await kept.displaced.item()).toBe(0);
    const pushed = (await kept.push.chosen.item()) - (await base.push.chosen.item());
    expect(pushed).toBeCloseTo(0.5, 12);
    expect(await kept.push.rejected.item()).toBeCloseTo(await base.push.rejected.item(), 14);
  });
});

describe("logProbVelocities", () => {
  it("of the gradient step are pairDynamics' velocities", async () => {
    const options = { loss: dpo, reference };
    const { velocities } = pairDynamics(logProbs, start, options);
    const gradient = grad((at: Parameters) => pairDynamics(logProbs, at, options).loss)(start);
    const found = logProbVelocities(
      logProbs,
      start,
      treeMap((g) => g.neg(), gradient),
    );
    expectNear(await values(found), await values(velocities), 1e-15);
  });

  it("predicts what any optimizer's update does", async () => {
    const optimizer = adamw({ learningRate: 1e-5 });
    const gradient = grad(
      (at: Parameters) => pairDynamics(logProbs, at, { loss: dpo, reference }).loss,
    )(start);
    const [updated] = optimizer.update(gradient, optimizer.init(start), start);
    const direction = treeMap((next, before) => next.sub(before!), updated, start);
    const predicted = await values(logProbVelocities(logProbs, start, direction));
    const actual = await values(logProbs(updated).sub(logProbs(start)));
    actual.forEach((change, z) => {
      expect(Math.abs(predicted[z]! - change) / Math.abs(change)).toBeLessThan(1e-3);
    });
  });

  it("goes through layers, trees and checkpoints", async () => {
    const parameters = {
      layers: [
        tensor(
          [
            [0.3, -0.2],
            [0.1, 0.4],
          ],
          { dtype: "float64" },
        ),
        tensor(
          [
            [0.5, 0.2, -0.1],
            [-0.3, 0.6, 0.2],
          ],
          { dtype: "float64" },
        ),
      ],
      bias: tensor([0.1, 0, -0.2], { dtype: "float64" }),
    };
    const x = tensor([[1, 2]], { dtype: "float64" });
    const plain = ({ layers: [first, second], bias }: typeof parameters): Tensor =>
      logSoftmax(matmul(matmul(x, first!).tanh(), second!).reshape([3]).add(bias));
    const recomputed = (p: typeof parameters): Tensor => checkpoint(() => plain(p))();
    const direction = treeMap((t) => t.mul(0.7).add(0.2), parameters);
    const moved = (by: number) =>
      plain(treeMap((t, d) => t.add(d!.mul(by)), parameters, direction));
    const numeric = await values(moved(1e-6).sub(moved(-1e-6)).div(2e-6));
    for (const policy of [plain, recomputed]) {
      expectNear(await values(logProbVelocities(policy, parameters, direction)), numeric, 1e-8);
    }
  });

  it("names a direction that does not fit", () => {
    expect(() => logProbVelocities(logProbs, start, { h: zeros([1]) })).toThrow(
      "logProbVelocities: a parameter has shape [3], its direction [1]",
    );
    expect(() => logProbVelocities(logProbs, start, {} as Parameters)).toThrow(
      "treeMap: trees differ at h: a tensor in tree 1, undefined in tree 2",
    );
  });
});

describe("pairDynamics", () => {
  it("keeps the share that leaves finite where probabilities underflow", async () => {
    const long = (parameters: { s: Tensor }) => parameters.s.mul(1);
    const s = tensor([-900, -901, -950]);
    const found = pairDynamics(long, { s }, { loss: (pairs) => cpoLoss(pairs, { beta: 1 }) });
    expect(await found.outflow.item()).toBeCloseTo(0, 30);
    // Independent responses: each moves by its own push alone.
    const [w, l] = [1 + 1 / (1 + Math.E), -1 / (1 + Math.E)];
    expectNear(await values(found.velocities), [w, l, 0], 1e-6);
    const q = 1 / (1 + Math.exp(-1));
    expect(await found.leavingShare.item()).toBeCloseTo(-(q * w + (1 - q) * l), 5);
  });

  it("names what is missing and what does not fit", () => {
    const logits = logitsOf([0.2, 0.5, 0.3]);
    expect(() => pairDynamics(tabular, logits)).toThrow("dpoLoss: needs `referenceChosen`");
    expect(() => pairDynamics(tabular, logits, { reference: zeros([4]) })).toThrow(
      "pairDynamics: `reference` must have shape [3] or [2], got [4]",
    );
    expect(() => pairDynamics(tabular, logits, { lengths: [1, 2] as never })).toThrow(
      "pairDynamics: `lengths` must be a tensor, got object",
    );
    expect(() => pairDynamics((t: Tensor) => slice(t, [0, 1]), logits)).toThrow(
      "pairDynamics: the policy must return log-probabilities of shape [N] with N ≥ 2, but returned shape [1]",
    );
    expect(() => pairDynamics(() => 1 as never, logits)).toThrow(
      "pairDynamics: the policy must return a tensor, but returned number",
    );
    expect(() => pairDynamics((t: Tensor) => t.cast("int32"), logits)).toThrow(
      "pairDynamics: the policy's log-probabilities must be floating point, got int32",
    );
    expect(() => pairDynamics(tabular, logits, { beta: 1 } as never)).toThrow(
      "pairDynamics: has no option `beta`; it has loss, reference, lengths",
    );
  });
});
