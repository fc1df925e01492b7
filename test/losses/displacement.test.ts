/**
 * Dual γ on the model whose responses share features: the supervised loss stays where it was, with the
 * same settings for every base loss.
 */

import { expect, it } from "vitest";
import { grad } from "../../src/autograd/transforms.js";
import {
  alphaDpoLoss,
  cpoLoss,
  dpoLoss,
  dpopLoss,
  lengthRegularizedDpoLoss,
  type PairLogProbs,
  type PreferenceLoss,
  type SpoLoss,
  type SpoState,
  simpoLoss,
  spoLoss,
} from "../../src/losses/index.js";
import { realize } from "../../src/tensor/evaluate.js";
import { type Direction, descend, type Parameters, pairsAt } from "../bilevel/displacement.js";

type Base = (pairs: PairLogProbs) => PreferenceLoss;

// A single pair has no spread of gaps of its own.
const state = { mean: 0, std: 1, count: 200 };
const bases: readonly (readonly [name: string, base: Base, isDisplacing: boolean])[] = [
  ["DPO", (p) => dpoLoss(p, { beta: 0.5 }), true],
  ["SimPO", (p) => simpoLoss(p), true],
  ["CPO", (p) => cpoLoss(p), false],
  ["CPO without likelihood", (p) => cpoLoss(p, { nllWeight: 0 }), true],
  ["DPOP", (p) => dpopLoss(p, { beta: 0.5 }), false],
  ["R-DPO", (p) => lengthRegularizedDpoLoss(p, { beta: 0.5 }), true],
  ["AlphaDPO", (p) => alphaDpoLoss(p, { state, updateState: false }), true],
];

/** Gaps `L_SFT − v*` on the way, nats. */
async function gapsOf(base: Base, options: "dual" | 0): Promise<number[]> {
  let dual: SpoState = { gamma: 0 };
  const gaps: number[] = [];
  const step: Direction = async (parameters) => {
    let result: SpoLoss | undefined;
    const direction = grad((p: Parameters) => {
      const penalty = options === "dual" ? ({ gamma: "dual", state: dual } as const) : { gamma: 0 };
      result = spoLoss(pairsAt(p), { base, ...penalty });
      return result.loss;
    })(parameters);
    await realize([result!.gap, result!.state, direction]);
    gaps.push(await result!.gap.item());
    dual = result!.state;
    return direction;
  };
  await descend(step, 800);
  return gaps;
}

it.each(bases)(
  "over %s dual γ ends within 1e-3 nats of the safe region",
  async (_, base, moves) => {
    const gaps = await gapsOf(base, "dual");
    expect(gaps[400]).toBeLessThan(1e-3);
    expect(gaps[800]).toBeLessThan(1e-3);
    // Where the base alone would leave the region, it ends at its edge: no more is given up than needed.
    if (moves) expect(Math.abs(gaps[800]!)).toBeLessThan(1e-3);
  },
);

it.each(bases.filter(([, , moves]) => moves))("%s alone leaves the region", async (_, base) => {
  expect(Math.max(...(await gapsOf(base, 0)))).toBeGreaterThan(0.02);
});
