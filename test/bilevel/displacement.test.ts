/**
 * What preference losses do to a model whose responses share features, and what keeps them from it:
 * the oracles of SPO's specification.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stopGradient } from "../../src/autograd/control.js";
import { gradients } from "../../src/autograd/gradients.js";
import { grad } from "../../src/autograd/transforms.js";
import type { SharedOptions } from "../../src/bilevel/bilevelStep.js";
import { bilevelStep } from "../../src/bilevel/bilevelStep.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { dpopLoss } from "../../src/losses/dpoVariants.js";
import type { SpoState } from "../../src/losses/penaltyWeight.js";
import { type SpoLoss, type SpoLossOptions, spoLoss } from "../../src/losses/spo.js";
import { logSoftmax, matmul, slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import {
  type Direction,
  descend,
  logProbs,
  type Parameters,
  pairsAt,
  start,
  supervised,
} from "./displacement.js";

const beta = 0.5;
const preference = (parameters: Parameters) => dpoLoss(pairsAt(parameters), { beta }).loss;

function expectNear(
  found: readonly number[],
  expected: readonly number[],
  tolerance: number,
): void {
  expected.forEach((value, i) => {
    expect(Math.abs(found[i]! - value), `${found} against ${expected}`).toBeLessThanOrEqual(
      tolerance,
    );
  });
}

describe("one step of DPO on a tabular softmax", () => {
  it.each([
    { from: [0.2, 0.5, 0.2, 0.1], change: [0.065, -0.0875, 0.0225] },
    { from: [0.5, 0.2, 0.2, 0.1], change: [0.0875, -0.065, -0.0225] },
  ])(
    "from $from moves chosen, rejected and all others by $change per learning rate",
    async (row) => {
      const theta = tensor(row.from.map(Math.log), { dtype: "float64" });
      const policy = logSoftmax(theta);
      const frozen = tensor(row.from.map(Math.log), { dtype: "float64" });
      const { loss } = dpoLoss(
        {
          chosen: slice(policy, 0),
          rejected: slice(policy, 1),
          referenceChosen: slice(frozen, 0),
          referenceRejected: slice(frozen, 1),
        },
        { beta },
      );
      const [slope] = gradients(loss, [theta]);
      const derivative = async (response: number): Promise<number> => {
        const [g] = gradients(slice(policy.exp(), response).sum(), [theta]);
        return -(await g!.mul(slope!).sum().item());
      };
      const found = [await derivative(0), await derivative(1)];
      found.push((await derivative(2)) + (await derivative(3)));
      expectNear(found, row.change, 1e-12);
    },
  );
});

describe("the first-order theory of one preference step", () => {
  const share = fc.double({ min: 0.05, max: 1, noNaN: true });

  /** Derivatives of `of(parameters)` along the descent of DPO's loss, reference = start. */
  async function drift(
    theta: Tensor,
    logProbsOf: (theta: Tensor) => Tensor,
    of: (logProbs: Tensor) => Tensor,
  ): Promise<number> {
    const policy = logProbsOf(theta);
    const [chosen, rejected] = [slice(policy, 0), slice(policy, 1)];
    const frozen = {
      referenceChosen: stopGradient(chosen),
      referenceRejected: stopGradient(rejected),
    };
    const { loss } = dpoLoss({ chosen, rejected, ...frozen }, { beta });
    const [[slope], [direction]] = [gradients(of(policy), [theta]), gradients(loss, [theta])];
    return -(await slope!.mul(direction!).sum().item());
  }
  // η·β·σ(−m) for m = 0, per η.
  const c = beta / 2;

  it("moves a tabular softmax by a(1−a+b), −b(1+a−b) and (1−a−b)(b−a)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(share, { minLength: 3, maxLength: 6 }), async (weights) => {
        const total = weights.reduce((sum, w) => sum + w, 0);
        const [a, b] = [weights[0]! / total, weights[1]! / total];
        const theta = tensor(weights.map(Math.log), { dtype: "float64" });
        const mass = (from: number, to: number) =>
          drift(theta, logSoftmax, (policy) => slice(policy.exp(), [from, to]).sum());
        const others = await mass(2, weights.length);
        expect(await mass(0, 1)).toBeCloseTo(c * a * (1 - a + b), 12);
        expect(await mass(1, 2)).toBeCloseTo(-c * b * (1 + a - b), 12);
        expect(others).toBeCloseTo(c * (1 - a - b) * (b - a), 12);
      }),
      { numRuns: 20 },
    );
  });

  it("lowers the chosen response exactly when ⟨g_w, g_l⟩ > ‖g_w‖²", async () => {
    const entry = fc.double({ min: -2, max: 2, noNaN: true });
    let displaced = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { minLength: 12, maxLength: 12 }), async (entries) => {
        const shared = tensor(entries, { dtype: "float64", shape: [4, 3] });
        const h = tensor([1.2, 0.2, 0], { dtype: "float64" });
        const logProbsOf = (at: Tensor): Tensor => logSoftmax(matmul(shared, at));
        const policy = logProbsOf(h);
        const [gw] = gradients(slice(policy, 0).sum(), [h]);
        const [gl] = gradients(slice(policy, 1).sum(), [h]);
        const product = await gw!.mul(gl!).sum().item();
        const square = await gw!.square().sum().item();
        const change = await drift(h, logProbsOf, (at) => slice(at, 0).sum());
        expect(change).toBeCloseTo(c * (square - product), 12);
        displaced += Number(product > square);
      }),
      { numRuns: 40, seed: 1 },
    );
    expect(displaced).toBeGreaterThan(0);
  });
});

describe("400 steps on shared features", () => {
  const spo = (options: SpoLossOptions): Direction =>
    grad(
      (p: Parameters) =>
        spoLoss(pairsAt(p), { baseOptions: { beta }, per: "sequence", ...options }).loss,
    );
  const bilevel =
    (options: SharedOptions): Direction =>
    async (params) =>
      (await bilevelStep({ upper: preference, lower: supervised }, { params }, options)).direction;
  const floor = supervised(start);

  it("start at .4132 .4215 .0458 .1196", async () => {
    const found = Array.from(await logProbs(start).exp().data());
    expectNear(found, [0.4132, 0.4215, 0.0458, 0.1196], 5e-5);
  });

  it("of DPO move the mass to a response nobody asked for", async () => {
    const [at50, at100, at200, end] = await descend(grad(preference), 50, 100, 200, 400);
    expectNear(at50!, [0.43615, 0.32557, 0.11206], 1e-5);
    expectNear(at100!, [0.41543, 0.23247, 0.23188], 1e-5);
    expectNear(at200!, [0.26026, 0.08724, 0.57718], 1e-5);
    expectNear(end!, [0.0459, 0.0067, 0.9341, 0.0133], 1e-4);
  });

  it("of DPOP with λ = 5 hold the chosen response where it was", async () => {
    const loss = (p: Parameters) => dpopLoss(pairsAt(p), { beta, lambda: 5 }).loss;
    const [end] = await descend(grad(loss), 400);
    expectNear(end!, [0.4144, 0.0818, 0.4692, 0.0346], 5e-3);
  });

  const hinge = [0.4422, 0.0889, 0.4339, 0.035];
  const penalties = [
    { gamma: 0.1, end: [0.6025, 0.12, 0.25, 0.0275] },
    { gamma: 0.5, end: [0.8201, 0.1143, 0.0586, 0.0069] },
    { gamma: 1, end: [0.8815, 0.0844, 0.0314, 0.0026] },
  ];

  it("of spoLoss with hinge stop the chosen response from falling", async () => {
    const [end] = await descend(spo({ gamma: 1, hinge: true }), 400);
    expectNear(end!, hinge, 5e-3);
  });

  it.each(penalties)("of spoLoss with γ = $gamma raise the chosen response", async (row) => {
    const [end] = await descend(spo({ gamma: row.gamma }), 400);
    expectNear(end!, row.end, 1e-4);
  });

  it("of bilevelStep's penalty with hinge do as spoLoss does", async () => {
    const [end] = await descend(bilevel({ method: "penalty", gamma: 1, hinge: true, floor }), 400);
    expectNear(end!, hinge, 5e-3);
  });

  it.each(penalties)("of bilevelStep's penalty with γ = $gamma do as spoLoss does", async (row) => {
    const [end] = await descend(bilevel({ method: "penalty", gamma: row.gamma }), 400);
    expectNear(end!, row.end, 1e-4);
  });

  it("of the look-ahead, exact to second order, raise the chosen response", async () => {
    const [end] = await descend(bilevel({ method: "lookahead", alpha: 1 }), 400);
    expectNear(end!, [0.583, 0.1459, 0.2313, 0.0398], 1e-4);
  });

  it("of the look-ahead without its second-order term collapse as DPO does", async () => {
    const [end] = await descend(bilevel({ method: "lookahead", alpha: 1, firstOrder: true }), 400);
    expectNear(end!, [0.0294, 0.0036, 0.9585, 0.0085], 1e-4);
  });

  it("of the barrier raise the chosen response", async () => {
    const [end] = await descend(bilevel({ method: "barrier", eta: 0.1 }), 400);
    expectNear(end!, [0.7026, 0.1406, 0.1364, 0.0204], 1e-4);
  });

  it("of spoLoss with dual γ hold the supervised loss near where it was, with nothing to tune", async () => {
    let state: SpoState = { gamma: 0 };
    const gaps: number[] = [];
    const step: Direction = async (parameters) => {
      let result: SpoLoss | undefined;
      const direction = grad((p: Parameters) => {
        result = spoLoss(pairsAt(p), { baseOptions: { beta }, gamma: "dual", state });
        return result.loss;
      })(parameters);
      const { gap, state: next } = await realize(result!, direction);
      gaps.push(await gap.item());
      state = next;
      return direction;
    };
    const [end] = await descend(step, 400);
    // Plain DPO ends at a gap of ln(.4132/.0459) = 2.2 nats.
    expect(Math.max(...gaps)).toBeLessThan(0.06);
    expect(gaps[400]).toBeLessThan(0.03);
    expect(end![0]).toBeGreaterThan(0.4);
    expect(end![1]).toBeLessThan(0.1);
  });
});
