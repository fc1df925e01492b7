/**
 * What preference losses do to a model whose responses share features, and what keeps them from it:
 * the oracles of SPO's specification.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stopGradient } from "../../src/autograd/control.js";
import { gradients } from "../../src/autograd/gradients.js";
import { grad } from "../../src/autograd/transforms.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import type { SpoState } from "../../src/losses/penaltyWeight.js";
import { type SpoLoss, spoLoss } from "../../src/losses/spo.js";
import { logSoftmax, matmul, slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import {
  type Direction,
  descend,
  logProbs,
  model,
  type Parameters,
  pairsAt,
  start,
} from "./displacement.js";
import { beta, DESCENTS, preferenceOf, TABULAR, tabularChange } from "./oracles.js";

const preference = preferenceOf(model);

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
  it.each(TABULAR)(
    "from $from moves chosen, rejected and all others by $change per learning rate",
    async ({ from, change }) => expectNear(await tabularChange(from, "float64"), change, 1e-12),
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
      { numRuns: 40 },
    );
    expect(displaced).toBeGreaterThan(0);
  });
});

describe("400 steps on shared features", () => {
  it("start at .4132 .4215 .0458 .1196", async () => {
    const found = Array.from(await logProbs(start).exp().data());
    expectNear(found, [0.4132, 0.4215, 0.0458, 0.1196], 5e-5);
  });

  it("of DPO pass through the specification's points", async () => {
    const [at50, at100, at200] = await descend(grad(preference), 50, 100, 200);
    expectNear(at50!, [0.43615, 0.32557, 0.11206], 1e-5);
    expectNear(at100!, [0.41543, 0.23247, 0.23188], 1e-5);
    expectNear(at200!, [0.26026, 0.08724, 0.57718], 1e-5);
  });

  for (const { name, direction, end, tolerance } of DESCENTS) {
    it(name, async () => {
      const [found] = await descend(direction(model), 400);
      expectNear(found!, end, tolerance);
    });
  }

  it("of spoLoss with dual γ hold the supervised loss where it was within 1e-3, with nothing to tune", async () => {
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
    // Plain DPO ends at a gap of ln(.4132/.0459) = 2.2 nats. γ starts at 0 and only a gap lifts it.
    expect(Math.max(...gaps)).toBeLessThan(0.03);
    for (const gap of gaps.slice(-101)) expect(Math.abs(gap)).toBeLessThan(1e-3);
    expect(end![0]).toBeCloseTo(0.4132, 3);
    expect(end![1]).toBeLessThan(0.1);
  });
});
