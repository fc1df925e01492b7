/**
 * Losses with a running state over many steps: what a state that is evaluated each step holds, and that
 * it is the state it would be if it never were.
 */

import { describe, expect, it } from "vitest";
import {
  alphaDpoLoss,
  bcoLoss,
  betaDpoLoss,
  type PairLogProbs,
  type PreferenceLoss,
  spoLoss,
  wpoLoss,
} from "../../src/losses/index.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeLeaves, treeNumbers } from "../../src/tensor/tree.js";
import { goldenPairs } from "./golden.js";

type State = Record<string, Tensor | number>;
type Stateful = (pairs: PairLogProbs, state: State) => PreferenceLoss & { readonly state: State };

const golden = goldenPairs("float64");
const zero = tensor([0, 0, 0, 0], { dtype: "float64" });
const statistics = { mean: 0, std: 0, count: 0 };

const losses: readonly (readonly [string, Stateful, State])[] = [
  ["bcoLoss", (p, state) => bcoLoss(p, { state: state as never }) as never, { mean: 0, count: 0 }],
  ["alphaDpoLoss", (p, state) => alphaDpoLoss(p, { state: state as never }) as never, statistics],
  ["betaDpoLoss", (p, state) => betaDpoLoss(p, { state: state as never }) as never, statistics],
  [
    "spoLoss with dual ascent",
    (p, state) => spoLoss(p, { gamma: "dual", state: state as never, floor: 0.5 }),
    { gamma: 0 },
  ],
  [
    "wpoLoss around bcoLoss",
    (p, state) =>
      wpoLoss(p, {
        base: bcoLoss,
        baseOptions: { state: state as never },
        chosenLogWeight: zero,
        rejectedLogWeight: zero,
      }) as never,
    { mean: 0, count: 0 },
  ],
];

/** The pairs of a step: other ones each time. */
function batch(step: number): PairLogProbs {
  const shift = tensor(
    [0, 1, 2, 3].map((i) => Math.sin(3 * step + i)),
    { dtype: "float64" },
  );
  return { ...golden, chosen: golden.chosen.add(shift) };
}

/** Nodes of the graph that tensors hold on to. */
function graphSize(tree: unknown): number {
  const seen = new Set<Tensor>(treeLeaves(tree));
  for (const node of seen) for (const input of node.inputs) seen.add(input);
  return seen.size;
}

/** The state as a file keeps it. */
const stored = async (state: State): Promise<State> =>
  JSON.parse(JSON.stringify(await treeNumbers(state)));

/** Buffers held once what nobody refers to has been collected, and plans compiled so far. */
async function settled(): Promise<{ buffers: number; plans: number }> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { buffers, plansCompiled } = await deviceStatistics();
  return { buffers, plans: plansCompiled };
}

const STEPS = 40;

describe.each(losses)("%s", (_, loss, start) => {
  it("holds one step's graph and memory, however many steps, if its state is evaluated", async () => {
    let state = start;
    const sizes: number[] = [];
    let early = { buffers: 0, plans: 0 };
    for (let step = 0; step < STEPS; step++) {
      const result = loss(batch(step), state);
      sizes.push(graphSize(result));
      await realize(result.loss, result.state);
      state = result.state;
      expect(graphSize(state)).toBe(treeLeaves(state).length);
      if (step === 5) early = await settled();
    }
    expect(new Set(sizes.slice(2)).size).toBe(1);
    const late = await settled();
    expect(late.plans).toBe(early.plans);
    // A few scalars may wait for the next collection.
    expect(late.buffers).toBeLessThanOrEqual(early.buffers + 8);
  });

  it("drags all earlier steps along if it never is", () => {
    let state = start;
    let size = 0;
    for (let step = 0; step < 10; step++) {
      state = loss(batch(step), state).state;
      expect(graphSize(state)).toBeGreaterThan(size);
      size = graphSize(state);
    }
  });

  it("goes on as it would have without evaluation, and from a file", async () => {
    let live = start;
    let evaluated = start;
    let restored = start;
    const steps = [];
    for (let step = 0; step < 12; step++) {
      const [unrolled, stepwise] = [loss(batch(step), live), loss(batch(step), evaluated)];
      const read = loss(batch(step), restored);
      await realize(stepwise.loss, stepwise.state);
      live = unrolled.state;
      evaluated = stepwise.state;
      restored = step === 6 ? await stored(read.state) : read.state;
      steps.push([unrolled.loss, stepwise.loss, read.loss] as const);
    }
    const close = (a: number, b: number) => expect(Math.abs(a - b)).toBeLessThan(1e-13);
    for (const [unrolled, stepwise, read] of steps) {
      close(await unrolled.item(), await stepwise.item());
      close(await unrolled.item(), await read.item());
    }
    const expected = await stored(live);
    for (const state of [await stored(evaluated), await stored(restored)]) {
      for (const name of Object.keys(expected))
        close(state[name] as number, expected[name] as number);
    }
  });
});
