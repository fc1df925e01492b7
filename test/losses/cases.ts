/**
 * Every loss of the library, with what it needs, for statements that hold for all of them.
 */

import {
  alphaDpoLoss,
  alphaPoLoss,
  aotLoss,
  apoDownLoss,
  apoZeroLoss,
  aspoLoss,
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
  hingeLoss,
  ipoLoss,
  ktoLoss,
  lengthRegularizedDpoLoss,
  mixLosses,
  ncaLoss,
  offsetDpoLoss,
  orpoLoss,
  type PairLogProbs,
  type PreferenceLoss,
  robustDpoLoss,
  rsoLoss,
  sftLoss,
  sgdpoLoss,
  simpoLoss,
  slicLoss,
  spoLoss,
  sppoLoss,
  tdpoLoss,
  wpoLoss,
} from "../../src/losses/index.js";
import { slice, stack } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { goldenExtras, goldenPairs } from "./golden.js";

/** Pairs with everything any loss takes for each. */
export type Inputs = Required<PairLogProbs> & {
  readonly extras: Readonly<Record<string, Tensor>>;
};

export interface Case {
  readonly name: string;
  readonly loss: (inputs: Inputs) => PreferenceLoss;
  /** The batch's loss is not the mean of what each pair would give alone. */
  readonly whole?: boolean;
  /** Its value where the policy is the reference, if that is a number. */
  readonly atReference?: number;
  /** Chosen and rejected change places without effect. */
  readonly symmetric?: boolean;
  /** Has no use for a reference. */
  readonly alone?: boolean;
  /** Its inputs are errors, not log-probabilities, here given negated. */
  readonly errors?: boolean;
}

const negated = (pairs: PairLogProbs): PairLogProbs => ({
  ...pairs,
  chosen: pairs.chosen.neg(),
  rejected: pairs.rejected.neg(),
  ...(pairs.referenceChosen && { referenceChosen: pairs.referenceChosen.neg() }),
  ...(pairs.referenceRejected && { referenceRejected: pairs.referenceRejected.neg() }),
});

const halves = (t: Tensor): Tensor => stack([t.mul(0.25), t.mul(0.75)], 1);
const aspo = (normalize: "weights" | "rewards") => (inputs: Inputs) =>
  aspoLoss(inputs, {
    sentences: halves(inputs.chosen),
    referenceSentences: halves(inputs.referenceChosen).add(
      stack([inputs.extras.offset!, inputs.extras.offset!.neg()], 1),
    ),
    weights: stack([inputs.extras.winProbability!, inputs.extras.offset!], 1),
    normalize,
  });

const divergences = ["forward_kl", "js_divergence", "alpha_divergence"] as const;
const { LN2 } = Math;

/** All losses, at settings for which the golden pairs lie away from kinks. */
export const cases: readonly Case[] = [
  { name: "dpoLoss", loss: (p) => dpoLoss(p), atReference: LN2 },
  {
    name: "dpoLoss at ε = ½",
    loss: (p) => dpoLoss(p, { beta: 0.5, labelSmoothing: 0.5 }),
    atReference: LN2,
    symmetric: true,
  },
  ...divergences.flatMap((fDivergence): Case[] => [
    {
      name: `dpoLoss with ${fDivergence}`,
      loss: (p) => dpoLoss(p, { beta: 0.5, labelSmoothing: 0.2, fDivergence }),
      atReference: LN2,
    },
    { name: `ipoLoss with ${fDivergence}`, loss: (p) => ipoLoss(p, { fDivergence }) },
    { name: `sppoLoss with ${fDivergence}`, loss: (p) => sppoLoss(p, { beta: 0.1, fDivergence }) },
    { name: `bcoLoss with ${fDivergence}`, loss: (p) => bcoLoss(p, { fDivergence }) },
  ]),
  { name: "dpoNormLoss", loss: (p) => dpoNormLoss(p), atReference: LN2 },
  { name: "hingeLoss", loss: (p) => hingeLoss(p), atReference: 1 },
  { name: "ipoLoss", loss: (p) => ipoLoss(p), atReference: 25 },
  { name: "exoLoss", loss: (p) => exoLoss(p, { beta: 0.5 }) },
  {
    name: "exoLoss at ε = ½",
    loss: (p) => exoLoss(p, { labelSmoothing: 0.5 }),
    atReference: 0,
    symmetric: true,
  },
  { name: "ncaLoss", loss: (p) => ncaLoss(p, { beta: 0.5 }), atReference: 2 * LN2 },
  { name: "robustDpoLoss", loss: (p) => robustDpoLoss(p), atReference: LN2 },
  { name: "bcoLoss", loss: (p) => bcoLoss(p), atReference: 2 * LN2 },
  {
    name: "bcoLoss with δ of earlier batches and weights",
    loss: (p) =>
      bcoLoss(p, {
        state: { mean: 0.4, count: 3 },
        updateState: false,
        rejectedWeights: p.extras.winProbability!,
      }),
  },
  { name: "sppoLoss", loss: (p) => sppoLoss(p, { beta: 0.1 }), atReference: 25 },
  {
    name: "sppoLoss with win probabilities",
    loss: (p) => sppoLoss(p, { beta: 0.1, winProbability: p.extras.winProbability! }),
  },
  { name: "sppoLoss hard", loss: (p) => sppoLoss(p, { hard: true }), atReference: 500_000 },
  { name: "aotLoss", loss: (p) => aotLoss(p), whole: true, atReference: LN2 },
  {
    name: "aotLoss unpaired",
    loss: (p) => aotLoss(p, { unpaired: true, labelSmoothing: 0.1 }),
    whole: true,
    atReference: LN2,
  },
  { name: "apoZeroLoss", loss: (p) => apoZeroLoss(p), atReference: 1 },
  { name: "apoDownLoss", loss: (p) => apoDownLoss(p), atReference: 1 },
  { name: "discopopLoss", loss: (p) => discopopLoss(p), atReference: (1 + LN2) / 2 },
  { name: "dpopLoss", loss: (p) => dpopLoss(p, { lambda: 5 }) },
  { name: "lengthRegularizedDpoLoss", loss: (p) => lengthRegularizedDpoLoss(p) },
  { name: "offsetDpoLoss", loss: (p) => offsetDpoLoss(p, { offset: p.extras.offset! }) },
  { name: "calDpoLoss", loss: (p) => calDpoLoss(p, { beta: 0.1 }), atReference: LN2 + 25 },
  {
    name: "tdpoLoss version 1",
    loss: (p) =>
      tdpoLoss(p, { chosenKl: p.extras.chosenKl!, rejectedKl: p.extras.rejectedKl!, version: 1 }),
  },
  {
    name: "tdpoLoss",
    loss: (p) =>
      tdpoLoss(p, { chosenKl: p.extras.chosenKl!, rejectedKl: p.extras.rejectedKl!, beta: 0.5 }),
  },
  {
    name: "betaDpoLoss",
    // β' takes the margins for constants: held still, the gradient is the derivative.
    loss: (p) => betaDpoLoss(p, { scale: 0, dropRatio: 0 }),
    whole: true,
    atReference: LN2,
  },
  {
    name: "betaDpoLoss with statistics",
    loss: (p) =>
      betaDpoLoss(p, { state: { mean: 0.2, std: 0.5, count: 5 }, dropRatio: 0.25, scale: 0 }),
    whole: true,
  },
  {
    name: "wpoLoss",
    loss: (p) =>
      wpoLoss(p, {
        chosenLogWeight: p.extras.pilotChosen!,
        rejectedLogWeight: p.extras.pilotRejected!,
      }),
  },
  { name: "simpoLoss", loss: (p) => simpoLoss(p, { labelSmoothing: 0.1 }), alone: true },
  {
    name: "simpoLoss at ε = ½ and γ = 0",
    loss: (p) => simpoLoss(p, { gamma: 0, labelSmoothing: 0.5 }),
    symmetric: true,
    alone: true,
  },
  { name: "alphaPoLoss", loss: (p) => alphaPoLoss(p), alone: true },
  { name: "alphaPoLoss at α < 0", loss: (p) => alphaPoLoss(p, { alpha: -0.25 }), alone: true },
  { name: "cpoLoss", loss: (p) => cpoLoss(p), alone: true },
  { name: "cpoLoss hinge", loss: (p) => cpoLoss(p, { type: "hinge" }), alone: true },
  { name: "cpoLoss ipo", loss: (p) => cpoLoss(p, { type: "ipo" }), alone: true },
  { name: "orpoLoss", loss: (p) => orpoLoss(p), alone: true },
  { name: "slicLoss", loss: (p) => slicLoss(p, { delta: 1.1 }), alone: true },
  { name: "rsoLoss", loss: (p) => rsoLoss(p), atReference: LN2 },
  { name: "rsoLoss hinge-norm", loss: (p) => rsoLoss(p, { type: "hinge-norm" }), atReference: 1 },
  {
    name: "sgdpoLoss",
    loss: (p) =>
      sgdpoLoss(p, {
        pilotChosen: p.extras.pilotChosen!,
        pilotRejected: p.extras.pilotRejected!,
        labelSmoothing: 0.1,
      }),
  },
  {
    name: "alphaDpoLoss",
    loss: (p) => alphaDpoLoss(p, { standardizedGap: p.extras.standardizedGap! }),
    alone: true,
  },
  {
    name: "ktoLoss",
    loss: (p) => ktoLoss(p, { kl: 0.05, undesirableWeight: 1.33 }),
  },
  { name: "aspoLoss", loss: aspo("weights") },
  {
    name: "diffusionDpoLoss",
    loss: (p) => diffusionDpoLoss(negated(p), { beta: 2 }),
    atReference: LN2,
    errors: true,
  },
  { name: "dmpoLoss", loss: (p) => dmpoLoss(negated(p), { beta: 2 }), errors: true },
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
  { name: "spoLoss", loss: (p) => spoLoss(p, { gamma: 0.5, epsilon: 0.1 }) },
  {
    name: "spoLoss per sequence",
    loss: (p) => spoLoss(p, { base: simpoLoss, per: "sequence" }),
  },
];

/** Losses whose value is not what their gradient is the derivative of, or jumps: values only. */
export const detachedCases: readonly Case[] = [
  { name: "aspoLoss with ρ of rewards", loss: aspo("rewards") },
  {
    name: "bcoLoss with running δ",
    loss: (p) => bcoLoss(p, { state: { mean: 0.4, count: 3 } }),
    whole: true,
  },
  { name: "alphaDpoLoss with statistics", loss: (p) => alphaDpoLoss(p), whole: true },
  { name: "betaDpoLoss with moving β", loss: (p) => betaDpoLoss(p), whole: true },
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
