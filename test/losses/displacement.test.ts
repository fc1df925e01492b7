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
  type RunningStatistics,
  type SpoLoss,
  type SpoState,
  simpoLoss,
  spoLoss,
} from "../../src/losses/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import { type Direction, descend, type Parameters, pairsAt } from "../bilevel/displacement.js";

/** A base loss, and what it carries from step to step. */
type Base = (
  pairs: Required<PairLogProbs>,
  state: RunningStatistics | undefined,
) => PreferenceLoss & { readonly state?: RunningStatistics | undefined };

interface Row {
  readonly name: string;
  readonly base: Base;
  /** By itself it lowers the chosen response. */
  readonly moves: boolean;
  /** Responses the chosen one is preferred to; default: the rejected one. */
  readonly rejected?: readonly number[];
}

const longer = tensor([5]);
const rows: readonly Row[] = [
  { name: "DPO", base: (p) => dpoLoss(p, { beta: 0.5 }), moves: true },
  { name: "SimPO", base: (p) => simpoLoss(p), moves: true },
  { name: "CPO", base: (p) => cpoLoss(p), moves: false },
  { name: "CPO without likelihood", base: (p) => cpoLoss(p, { nllWeight: 0 }), moves: true },
  { name: "DPOP", base: (p) => dpopLoss(p, { beta: 0.5 }), moves: false },
  {
    name: "R-DPO with a longer rejected response",
    base: (p) => lengthRegularizedDpoLoss({ ...p, rejectedLength: longer }, { beta: 0.5 }),
    moves: true,
  },
  {
    name: "AlphaDPO on two pairs, with its running statistics",
    base: (p, state) => alphaDpoLoss(p, state === undefined ? {} : { state }),
    moves: true,
    // A single pair has no spread of gaps.
    rejected: [1, 3],
  },
];
const moving = rows.filter(({ moves }) => moves);

/** Gaps `L_SFT − v*` on the way, nats. */
async function gapsOf(
  { base, rejected = [] }: Row,
  weight: "dual" | "undamped" | "none",
): Promise<number[]> {
  let dual: SpoState = { gamma: 0 };
  let carried: RunningStatistics | undefined;
  const gaps: number[] = [];
  const step: Direction = async (parameters) => {
    let result: SpoLoss<ReturnType<Base>> | undefined;
    const direction = grad((p: Parameters) => {
      const ascent = { gamma: "dual", state: dual } as const;
      const penalty = {
        dual: ascent,
        undamped: { ...ascent, damping: 0 },
        none: { gamma: 0 },
      }[weight];
      const pairs = pairsAt(p, ...rejected);
      result = spoLoss(pairs, { base: () => base(pairs, carried), ...penalty });
      return result.loss;
    })(parameters);
    await realize([result!.gap, result!.state, result!.base.state, direction]);
    gaps.push(await result!.gap.item());
    dual = result!.state;
    carried = result!.base.state;
    return direction;
  };
  await descend(step, 800);
  return gaps;
}

it.each(rows)("over $name dual γ ends within 1e-3 nats of the safe region", async (row) => {
  const gaps = await gapsOf(row, "dual");
  expect(gaps[400]).toBeLessThan(1e-3);
  // Where γ circled, a single step could be within the bound by luck.
  for (const gap of gaps.slice(-101)) {
    expect(gap).toBeLessThan(1e-3);
    // Where the base alone would leave the region, it stays at its edge: no more is given up than needed.
    if (row.moves) expect(gap).toBeGreaterThan(-1e-3);
  }
});

it("without damping γ and the policy circle around the edge", async () => {
  const gaps = (await gapsOf(rows[0]!, "undamped")).slice(-101);
  expect(Math.max(...gaps)).toBeGreaterThan(0.03);
  expect(Math.min(...gaps)).toBeLessThan(-0.03);
});

it.each(moving)("$name alone leaves the region", async (row) => {
  expect(Math.max(...(await gapsOf(row, "none")))).toBeGreaterThan(0.02);
});

it("no two of the losses that move are one and the same", async () => {
  const ends = await Promise.all(moving.map(async (row) => (await gapsOf(row, "none")).at(-1)!));
  expect(new Set(ends.map((gap) => gap.toFixed(3))).size).toBe(moving.length);
});
