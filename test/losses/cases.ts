/**
 * Every loss of the library, with what it needs, for statements that hold for all of them.
 */

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
  lengthRegularizedDpoLoss,
  mixLosses,
  ncaLoss,
  orpoLoss,
  type PairLogProbs,
  type PreferenceLoss,
  robustDpoLoss,
  rsoLoss,
  sftLoss,
  simpoLoss,
  slicLoss,
  sppoLoss,
  tdpoLoss,
} from "../../src/losses/index.js";
import { slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { goldenExtras, goldenPairs } from "./golden.js";

export { detachedCases } from "./detachedCases.js";

/** Pairs with everything any loss takes for each. */
export type Inputs = Required<PairLogProbs> & {
  readonly extras: Readonly<Record<string, Tensor>>;
};

export interface Case {
  readonly name: string;
  readonly loss: (inputs: Inputs) => PreferenceLoss;
  /** The extras it takes. */
  readonly takes?: readonly (keyof ReturnType<typeof goldenExtras>)[];
  /** The batch's loss is not the mean of what each pair would give alone. */
  readonly whole?: boolean;
  /** It takes the batch's spread, which a single pair does not have. */
  readonly spread?: boolean;
  /** Its value where the policy is the reference, if that is a number. */
  readonly atReference?: number;
  /** Chosen and rejected change places without effect. */
  readonly symmetric?: boolean;
  /** Has no use for a reference. */
  readonly alone?: boolean;
  /** It draws among the pairs by their place. */
  readonly drawn?: boolean;
  /** What it gets is computed from the inputs before it can check them. */
  readonly prepared?: boolean;
}

/** A loss that takes a part of what it computes for a constant. */
export interface DetachedCase extends Case {
  /** Its formula, with that constant as it is for the inputs `at`. */
  readonly formula: (at: Inputs) => (inputs: Inputs) => Tensor;
}

const negated = (pairs: PairLogProbs): PairLogProbs => ({
  ...pairs,
  chosen: pairs.chosen.neg(),
  rejected: pairs.rejected.neg(),
  ...(pairs.referenceChosen && { referenceChosen: pairs.referenceChosen.neg() }),
  ...(pairs.referenceRejected && { referenceRejected: pairs.referenceRejected.neg() }),
});

const { LN2 } = Math;

type Divergent = (inputs: Inputs, options: FDivergenceOptions) => PreferenceLoss;
const divergent: readonly (readonly [name: string, loss: Divergent, atReference?: number])[] = [
  ["dpoLoss", (p, o) => dpoLoss(p, { beta: 0.5, labelSmoothing: 0.2, ...o }), LN2],
  ["dpoNormLoss", (p, o) => dpoNormLoss(p, { beta: 0.5, ...o })],
  ["hingeLoss", (p, o) => hingeLoss(p, { beta: 0.5, ...o }), 1],
  ["ipoLoss", (p, o) => ipoLoss(p, o)],
  ["exoLoss", (p, o) => exoLoss(p, { beta: 0.5, ...o })],
  ["ncaLoss", (p, o) => ncaLoss(p, { beta: 0.5, ...o })],
  ["robustDpoLoss", (p, o) => robustDpoLoss(p, { beta: 0.5, ...o }), LN2],
  ["bcoLoss", (p, o) => bcoLoss(p, { beta: 0.5, ...o })],
  ["sppoLoss", (p, o) => sppoLoss(p, { beta: 0.1, ...o })],
  ["apoDownLoss", (p, o) => apoDownLoss(p, { beta: 0.5, ...o }), 1],
  ["discopopLoss", (p, o) => discopopLoss(p, { beta: 0.5, tau: 0.5, ...o }), (1 + LN2) / 2],
];
const divergences: readonly FDivergenceOptions[] = [
  { fDivergence: "forward_kl" },
  { fDivergence: "js_divergence" },
  { fDivergence: "alpha_divergence" },
  { fDivergence: "alpha_divergence", fAlphaDivergenceCoef: 1.7 },
];

/** All losses without a detached part, at settings for which the golden pairs lie away from kinks. */
export const cases: readonly Case[] = [
  { name: "dpoLoss", loss: (p) => dpoLoss(p), atReference: LN2 },
  {
    name: "dpoLoss at ε = ½",
    loss: (p) => dpoLoss(p, { beta: 0.5, labelSmoothing: 0.5 }),
    atReference: LN2,
    symmetric: true,
  },
  ...divergent.flatMap(([name, loss, atReference]) =>
    divergences.map(
      (options): Case => ({
        name: `${name} with ${Object.values(options).join(" ")}`,
        loss: (p) => loss(p, options),
        ...(atReference !== undefined && { atReference }),
      }),
    ),
  ),
  { name: "dpoNormLoss", loss: (p) => dpoNormLoss(p), atReference: LN2 },
  { name: "hingeLoss", loss: (p) => hingeLoss(p), atReference: 1 },
  { name: "ipoLoss", loss: (p) => ipoLoss(p), atReference: 25 },
  { name: "exoLoss", loss: (p) => exoLoss(p, { beta: 0.5 }) },
  ...divergences.map(
    (options): Case => ({
      name: `dpoLoss at ε = ½ with ${Object.values(options).join(" ")}`,
      loss: (p) => dpoLoss(p, { beta: 0.5, labelSmoothing: 0.5, ...options }),
      symmetric: true,
    }),
  ),
  {
    name: "exoLoss at ε = ½",
    loss: (p) => exoLoss(p, { labelSmoothing: 0.5 }),
    atReference: 0,
    symmetric: true,
  },
  { name: "ncaLoss", loss: (p) => ncaLoss(p, { beta: 0.5 }), atReference: 2 * LN2 },
  { name: "robustDpoLoss", loss: (p) => robustDpoLoss(p), atReference: LN2 },
  { name: "bcoLoss", loss: (p) => bcoLoss(p), atReference: 2 * LN2 },
  { name: "sppoLoss", loss: (p) => sppoLoss(p, { beta: 0.1 }), atReference: 25 },
  {
    name: "sppoLoss with win probabilities",
    loss: (p) => sppoLoss(p, { beta: 0.1, winProbability: p.extras.winProbability! }),
    takes: ["winProbability"],
  },
  {
    name: "sppoLoss at P = ½",
    loss: (p) => sppoLoss(p, { winProbability: 0.5 }),
    symmetric: true,
  },
  { name: "sppoLoss hard", loss: (p) => sppoLoss(p, { hard: true }), atReference: 500_000 },
  { name: "aotLoss", loss: (p) => aotLoss(p), whole: true, atReference: LN2 },
  {
    name: "aotLoss unpaired",
    loss: (p) => aotLoss(p, { unpaired: true, labelSmoothing: 0.1 }),
    whole: true,
    atReference: LN2,
  },
  ...[false, true].map(
    (unpaired): Case => ({
      name: `aotLoss at ε = ½${unpaired ? ", unpaired" : ""}`,
      loss: (p) => aotLoss(p, { unpaired, beta: 0.5, labelSmoothing: 0.5 }),
      whole: true,
      symmetric: true,
    }),
  ),
  { name: "apoZeroLoss", loss: (p) => apoZeroLoss(p), atReference: 1 },
  { name: "apoDownLoss", loss: (p) => apoDownLoss(p), atReference: 1 },
  { name: "discopopLoss", loss: (p) => discopopLoss(p), atReference: (1 + LN2) / 2 },
  { name: "dpopLoss", loss: (p) => dpopLoss(p, { lambda: 5 }) },
  { name: "lengthRegularizedDpoLoss", loss: (p) => lengthRegularizedDpoLoss(p) },
  { name: "calDpoLoss", loss: (p) => calDpoLoss(p, { beta: 0.1 }), atReference: LN2 + 25 },
  {
    name: "tdpoLoss version 1",
    loss: (p) =>
      tdpoLoss(p, { chosenKl: p.extras.chosenKl!, rejectedKl: p.extras.rejectedKl!, version: 1 }),
    takes: ["chosenKl", "rejectedKl"],
  },
  {
    name: "betaDpoLoss with β held still",
    loss: (p) => betaDpoLoss(p, { scale: 0, dropRatio: 0 }),
    whole: true,
    spread: true,
    atReference: LN2,
  },
  {
    name: "betaDpoLoss with β held still and statistics",
    loss: (p) =>
      betaDpoLoss(p, { state: { mean: 0.2, std: 0.5, count: 5 }, dropRatio: 0.25, scale: 0 }),
    whole: true,
    drawn: true,
  },
  { name: "simpoLoss", loss: (p) => simpoLoss(p, { labelSmoothing: 0.1 }), alone: true },
  {
    name: "simpoLoss at ε = ½ and γ = 0",
    loss: (p) => simpoLoss(p, { gamma: 0, labelSmoothing: 0.5 }),
    symmetric: true,
    alone: true,
  },
  { name: "alphaPoLoss", loss: (p) => alphaPoLoss(p), alone: true },
  {
    name: "alphaPoLoss at ε = ½ and γ = 0",
    loss: (p) => alphaPoLoss(p, { gamma: 0, labelSmoothing: 0.5 }),
    symmetric: true,
    alone: true,
  },
  { name: "alphaPoLoss at α < 0", loss: (p) => alphaPoLoss(p, { alpha: -0.25 }), alone: true },
  { name: "cpoLoss", loss: (p) => cpoLoss(p), alone: true },
  {
    name: "cpoLoss at ε = ½ without likelihood",
    loss: (p) => cpoLoss(p, { nllWeight: 0, labelSmoothing: 0.5 }),
    symmetric: true,
    alone: true,
  },
  { name: "cpoLoss hinge", loss: (p) => cpoLoss(p, { type: "hinge" }), alone: true },
  { name: "cpoLoss ipo", loss: (p) => cpoLoss(p, { type: "ipo" }), alone: true },
  { name: "orpoLoss", loss: (p) => orpoLoss(p), alone: true },
  { name: "slicLoss", loss: (p) => slicLoss(p, { delta: 1.1 }), alone: true },
  { name: "rsoLoss", loss: (p) => rsoLoss(p), atReference: LN2 },
  { name: "rsoLoss hinge-norm", loss: (p) => rsoLoss(p, { type: "hinge-norm" }), atReference: 1 },
  {
    name: "ktoLoss",
    loss: (p) => ktoLoss(p, { kl: 0.05, undesirableWeight: 1.33 }),
  },
  {
    name: "diffusionDpoLoss",
    loss: (p) => diffusionDpoLoss(negated(p), { beta: 2 }),
    atReference: LN2,
    prepared: true,
  },
  { name: "dmpoLoss", loss: (p) => dmpoLoss(negated(p), { beta: 2 }), prepared: true },
  {
    name: "dmpoLoss at α = ½",
    loss: (p) => dmpoLoss(negated(p), { beta: 2, alpha: 0.5 }),
    symmetric: true,
    prepared: true,
  },
  {
    name: "mixLosses",
    loss: (p) =>
      mixLosses(
        { loss: dpoLoss, weight: 0.8, options: { beta: 0.5 } },
        { loss: bcoLoss, weight: 0.2 },
        { loss: cpoLoss, weight: 1, options: { type: "ipo" as const } },
      )(p),
  },
  { name: "sftLoss", loss: (p) => sftLoss(p), whole: true, alone: true },
];

/** The golden pairs with everything any loss takes. */
export function goldenInputs(): Inputs {
  return { ...goldenPairs("float64"), extras: goldenExtras("float64") };
}

/** Pairs `from … to − 1`. */
export function take(inputs: Inputs, from: number, to: number): Inputs {
  const cut = (record: object) =>
    Object.fromEntries(
      Object.entries(record).map(([name, t]) => [name, slice(t as Tensor, [from, to])]),
    );
  const { extras, ...pairs } = inputs;
  return { ...cut(pairs), extras: cut(extras) } as unknown as Inputs;
}

/** Numbers in [0, 1) and extras that fit, for pairs of any number. */
export function inputsOf(pairs: Required<PairLogProbs>): Inputs {
  const { dtype, size } = pairs.chosen;
  const spread = (scale: number, from = 0) =>
    tensor(
      Array.from({ length: size }, (_, i) => from + scale * (((i + 1) * 0.618) % 1)),
      { dtype },
    );
  return {
    ...pairs,
    extras: {
      offset: spread(1),
      winProbability: spread(1),
      pilotChosen: spread(2, -1),
      pilotRejected: spread(-2, 1),
      chosenKl: spread(3),
      rejectedKl: spread(5),
      standardizedGap: spread(3, -1),
    },
  };
}
