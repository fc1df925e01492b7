/**
 * Losses that take a part of what they compute for a constant, so that their gradient is not the
 * derivative of their value; each with its formula, in which that part is a constant.
 */

import {
  alphaDpoLoss,
  aotLoss,
  aspoLoss,
  bcoLoss,
  betaDpoLoss,
  ktoKl,
  ktoLoss,
  offsetDpoLoss,
  sgdpoLoss,
  simpoLoss,
  spoLoss,
  tdpoLoss,
  wpoLoss,
} from "../../src/losses/index.js";
import { exp, logSigmoid, minimum, neg, relu, sigmoid, stack } from "../../src/ops/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { DetachedCase, Inputs } from "./cases.js";

/** −log σ(z), per pair. */
const logistic = (z: Tensor): Tensor => neg(logSigmoid(z));
const chosenRatio = (p: Inputs): Tensor => p.chosen.sub(p.referenceChosen);
const rejectedRatio = (p: Inputs): Tensor => p.rejected.sub(p.referenceRejected);
const margin = (p: Inputs): Tensor => chosenRatio(p).sub(rejectedRatio(p));
/** a_w − a_l, nats per token. */
const perToken = (p: Inputs): Tensor =>
  p.chosen.div(p.chosenLength).sub(p.rejected.div(p.rejectedLength));

/** Mean and standard deviation of values, after those of three batches before, corrected. */
function statistics(values: Tensor, before?: { readonly mean: number; readonly std: number }) {
  const mean = values.mean();
  const std = values
    .sub(mean)
    .square()
    .sum()
    .div(values.size - 1)
    .sqrt();
  if (before === undefined) return { mean, std };
  const averaged = (now: Tensor, then: number) =>
    now
      .mul(0.1)
      .add(0.9 * then)
      .div(1 - 0.9 ** 4);
  return { mean: averaged(mean, before.mean), std: averaged(std, before.std) };
}
const before = { mean: 0.1, std: 0.5, count: 3 };

function alphaDpoFormula(at: Inputs, state?: typeof before) {
  const gap = perToken(at).sub(
    at.referenceChosen.div(at.chosenLength).sub(at.referenceRejected.div(at.rejectedLength)),
  );
  const { mean, std } = statistics(gap, state);
  const z = gap.sub(mean).div(std.add(1e-6));
  return (p: Inputs) => logistic(perToken(p).sub(z.mul(0.2).add(0.6)).mul(2.5)).mean();
}

/** β' and the pairs kept are constants; which pairs are kept, the loss says. */
function betaDpoFormula(at: Inputs, state?: typeof before) {
  const kept = betaDpoLoss(at, state === undefined ? {} : { state }).kept.cast("float64");
  const share = kept.div(kept.sum());
  const ahead = margin(at)
    .mul(share)
    .sum()
    .sub(statistics(margin(at), state).mean);
  const beta = ahead.mul(0.6).add(1).mul(0.1);
  return (p: Inputs) => logistic(margin(p).mul(beta)).mul(share).sum();
}

/** Two sentences of each chosen completion: the pilots, and what is left. */
const sentences = (p: Inputs): Tensor =>
  stack([p.extras.pilotChosen!, p.chosen.sub(p.extras.pilotChosen!)], 1);
const referenceSentences = (p: Inputs): Tensor =>
  stack([p.extras.pilotRejected!, p.referenceChosen.sub(p.extras.pilotRejected!)], 1);
const sentenceWeights = (p: Inputs): Tensor =>
  stack([p.extras.winProbability!, p.extras.offset!], 1);

function aspo(normalize: "weights" | "rewards"): DetachedCase {
  const reward = (p: Inputs) => sentences(p).sub(referenceSentences(p));
  return {
    name: `aspoLoss with ρ of ${normalize}`,
    loss: (p) =>
      aspoLoss(p, {
        sentences: sentences(p),
        referenceSentences: referenceSentences(p),
        weights: sentenceWeights(p),
        normalize,
      }),
    takes: ["pilotChosen", "pilotRejected", "winProbability", "offset"],
    prepared: true,
    formula: (at) => {
      const weight = sentenceWeights(at).add(1);
      const rho =
        normalize === "weights"
          ? weight.sum(1).pow(-1).mul(2)
          : reward(at).sum(1).div(reward(at).mul(weight).sum(1));
      return (p) => {
        const chosen = reward(p).mul(weight).sum(1).mul(rho);
        return logistic(chosen.sub(rejectedRatio(p)).mul(0.1)).mean();
      };
    },
  };
}

/** `mean(−a_w) − v*`, v* the reference's own. */
const gap = (p: Inputs, at: Inputs): Tensor =>
  at.referenceChosen.sub(p.chosen).div(p.chosenLength).mean();
const dpo = (p: Inputs): Tensor => logistic(margin(p).mul(0.1)).mean();

export const detachedCases: readonly DetachedCase[] = [
  {
    name: "bcoLoss with δ of earlier batches and weights",
    loss: (p) =>
      bcoLoss(p, {
        state: { mean: 0.4, count: 3 },
        updateState: false,
        rejectedWeights: p.extras.winProbability!,
      }),
    takes: ["winProbability"],
    formula: (at) => (p) =>
      logistic(chosenRatio(p).mul(0.1).sub(0.4))
        .add(logistic(rejectedRatio(p).mul(-0.1).add(0.4)).mul(at.extras.winProbability!))
        .mean(),
  },
  {
    name: "bcoLoss with running δ",
    loss: (p) => bcoLoss(p, { state: { mean: 0.4, count: 3 } }),
    whole: true,
    formula: (at) => {
      const rewards = chosenRatio(at).add(rejectedRatio(at)).mul(0.1).sum();
      const delta = rewards.add(3 * 0.4).div(3 + 2 * at.chosen.size);
      return (p) =>
        logistic(chosenRatio(p).mul(0.1).sub(delta))
          .add(logistic(delta.sub(rejectedRatio(p).mul(0.1))))
          .mean();
    },
  },
  {
    name: "offsetDpoLoss",
    loss: (p) => offsetDpoLoss(p, { offset: p.extras.offset! }),
    takes: ["offset"],
    formula: (at) => (p) => logistic(margin(p).mul(0.1).sub(at.extras.offset!)).mean(),
  },
  {
    name: "tdpoLoss",
    loss: (p) =>
      tdpoLoss(p, { chosenKl: p.extras.chosenKl!, rejectedKl: p.extras.rejectedKl!, beta: 0.5 }),
    takes: ["chosenKl", "rejectedKl"],
    formula: (at) => (p) => {
      const drift = p.extras.rejectedKl!.sub(at.extras.chosenKl!).mul(0.5);
      return logistic(margin(p).sub(drift).mul(0.5)).mean();
    },
  },
  {
    name: "betaDpoLoss",
    loss: (p) => betaDpoLoss(p),
    whole: true,
    drawn: true,
    spread: true,
    formula: (at) => betaDpoFormula(at),
  },
  {
    name: "betaDpoLoss with statistics",
    loss: (p) => betaDpoLoss(p, { state: before }),
    whole: true,
    drawn: true,
    formula: (at) => betaDpoFormula(at, before),
  },
  {
    name: "wpoLoss",
    loss: (p) =>
      wpoLoss(p, {
        chosenLogWeight: p.extras.pilotChosen!,
        rejectedLogWeight: p.extras.pilotRejected!,
      }),
    takes: ["pilotChosen", "pilotRejected"],
    formula: (at) => {
      const weight = exp(minimum(at.extras.pilotChosen!.add(at.extras.pilotRejected!), 0));
      return (p) => logistic(margin(p).mul(0.1)).mul(weight).mean();
    },
  },
  ...[false, true].map(
    (unpaired): DetachedCase => ({
      name: `wpoLoss over aotLoss${unpaired ? ", unpaired" : ""}`,
      loss: (p) =>
        wpoLoss(p, {
          base: aotLoss,
          baseOptions: { unpaired },
          chosenLogWeight: p.extras.pilotChosen!,
          rejectedLogWeight: p.extras.pilotRejected!,
        }),
      takes: ["pilotChosen", "pilotRejected"],
      whole: true,
      formula: (at) => {
        const weight = exp(minimum(at.extras.pilotChosen!.add(at.extras.pilotRejected!), 0));
        return (p) => aotLoss(p, { unpaired }).perPair.mul(weight).mean();
      },
    }),
  ),
  ...[0.1, 0.5].map(
    (epsilon): DetachedCase => ({
      name: `sgdpoLoss at ε = ${epsilon}`,
      loss: (p) =>
        sgdpoLoss(p, {
          pilotChosen: p.extras.pilotChosen!,
          pilotRejected: p.extras.pilotRejected!,
          labelSmoothing: epsilon,
        }),
      takes: ["pilotChosen", "pilotRejected"],
      symmetric: epsilon === 0.5,
      formula: (at) => (p) => {
        const smoothed = (z: Tensor) =>
          logistic(z)
            .mul(1 - epsilon)
            .add(logistic(z.neg()).mul(epsilon));
        const [chosen, rejected] = [at.extras.pilotChosen!, at.extras.pilotRejected!];
        return smoothed(chosenRatio(p).sub(rejected).mul(0.1))
          .add(smoothed(chosen.sub(rejectedRatio(p)).mul(0.1)))
          .mean()
          .mul(0.5);
      },
    }),
  ),
  {
    name: "alphaDpoLoss",
    loss: (p) => alphaDpoLoss(p, { standardizedGap: p.extras.standardizedGap! }),
    takes: ["standardizedGap"],
    alone: true,
    formula: (at) => (p) =>
      logistic(perToken(p).sub(at.extras.standardizedGap!.mul(0.2).add(0.6)).mul(2.5)).mean(),
  },
  {
    name: "alphaDpoLoss with the batch's statistics",
    loss: (p) => alphaDpoLoss(p),
    whole: true,
    spread: true,
    formula: (at) => alphaDpoFormula(at),
  },
  {
    name: "alphaDpoLoss with running statistics",
    loss: (p) => alphaDpoLoss(p, { state: before }),
    whole: true,
    formula: (at) => alphaDpoFormula(at, before),
  },
  {
    name: "ktoLoss with k of the batch",
    loss: (p) => ktoLoss(p, { kl: ktoKl(p.rejected, p.referenceRejected) }),
    whole: true,
    prepared: true,
    formula: (at) => {
      const k = relu(rejectedRatio(at).mean());
      return (p) =>
        sigmoid(k.sub(chosenRatio(p)).mul(0.1))
          .add(sigmoid(rejectedRatio(p).sub(k).mul(0.1)))
          .mean()
          .mul(0.5);
    },
  },
  aspo("weights"),
  aspo("rewards"),
  {
    name: "spoLoss",
    loss: (p) => spoLoss(p, { gamma: 0.5, epsilon: 0.1 }),
    formula: (at) => (p) => dpo(p).add(gap(p, at).sub(0.1).mul(0.5)),
  },
  {
    name: "spoLoss per sequence",
    loss: (p) => spoLoss(p, { base: simpoLoss, per: "sequence" }),
    formula: (at) => (p) =>
      logistic(perToken(p).mul(2).sub(0.5)).mean().add(at.referenceChosen.sub(p.chosen).mean()),
  },
  {
    name: "spoLoss with dual γ",
    loss: (p) => spoLoss(p, { gamma: "dual", state: { gamma: 0.7 } }),
    whole: true,
    formula: (at) => {
      const weight = relu(gap(at, at).add(0.7));
      return (p) => dpo(p).add(gap(p, at).mul(weight));
    },
  },
];
