/**
 * Binary classifier optimization: chosen and rejected completions told apart by a threshold on the
 * reward.
 * @module
 */

import { checkFlag, checkNumber, checkOptions, checkState } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { logSigmoid, neg, sub } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { DIVERGENCE_OPTIONS, divergenceScores, type FDivergenceOptions } from "./divergence.js";
import { checkBeta } from "./inputs.js";
import { ratioLoss } from "./logRatios.js";
import { checkIfNumber, perPairTensor, perPairValue, stateScalar } from "./perPair.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/**
 * The running mean of the rewards. Start with `{ mean: 0, count: 0 }`. Evaluate it with each
 * step (`realize(loss, state)`): a state that never is drags the graph of all earlier steps along.
 */
export interface BcoState {
  /** Mean of the rewards so far. */
  readonly mean: Tensor | number;
  /** Rewards seen: two per pair. */
  readonly count: number;
}

/** Options of {@link bcoLoss}. */
export interface BcoLossOptions extends FDivergenceOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** δ, the threshold on the reward; default 0. */
  readonly delta?: number | Tensor;
  /** In place of `delta`: δ is the running mean of all rewards, this batch's included. */
  readonly state?: BcoState;
  /** Whether this batch's rewards enter the state; default true. False in evaluation. */
  readonly updateState?: boolean;
  /** Weights of the rejected completions' terms, [batch], without gradient: see {@link udmWeights}. */
  readonly rejectedWeights?: Tensor;
}

/** What {@link bcoLoss} gives. */
export interface BcoLoss extends PreferenceLoss {
  /** For the next step; undefined if no `state` was given. */
  readonly state: { readonly mean: Tensor; readonly count: number } | undefined;
}

/**
 * BCO on pairs (Jung et al. 2024, arXiv 2404.04656; TRL's `bco_pair`). With scores `s = g(r)`,
 * `r = log π_θ − log π_ref`, nats:
 *
 * `−log σ(βs_w − δ) − u·log σ(−(βs_l − δ))`
 *
 * δ is a number (0 by default) or, with `state`, the mean of all rewards `β·r` of the run; it has no
 * gradient. u is 1 or `rejectedWeights`. Rewards are `β·r`. The formula is TRL's; the paper's text was
 * not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs, options out of range, `delta` with `state`, and an empty
 * state that is not to be updated.
 * @example let state = { mean: 0, count: 0 }; // per step: ({ loss, state } = bcoLoss(pairs, { state }))
 */
export function bcoLoss(pairs: PairLogProbs, options: BcoLossOptions = {}): BcoLoss {
  const { beta = 0.1, rejectedWeights } = options;
  checkOptions("bcoLoss", options, ...OPTIONS, ...DIVERGENCE_OPTIONS);
  checkBeta("bcoLoss", beta);
  checkThreshold(options);
  const scores = divergenceScores("bcoLoss", pairs, options);
  const { delta, state } = threshold(
    stopGradient(scores.chosenRatio.add(scores.rejectedRatio).mul(beta / 2)),
    options,
  );
  const chosen = neg(logSigmoid(scores.chosenScore.mul(beta).sub(delta)));
  let rejected = neg(logSigmoid(sub(delta, scores.rejectedScore.mul(beta))));
  if (rejectedWeights !== undefined) {
    const meaning = "weights of the rejected completions";
    const { chosen: like } = pairs;
    const u = perPairTensor("bcoLoss", "rejectedWeights", meaning, rejectedWeights, like);
    rejected = rejected.mul(stopGradient(u));
  }
  return { ...ratioLoss(chosen.add(rejected), scores, beta), state };
}

const OPTIONS = ["beta", "delta", "state", "updateState", "rejectedWeights"] as const;

/** Checks the options of the threshold, but for what comes with the pairs. */
function checkThreshold({ delta, state, updateState = true }: BcoLossOptions): void {
  checkIfNumber("bcoLoss", "delta", delta);
  checkFlag("bcoLoss", "updateState", updateState);
  if (state === undefined) return;
  checkState("bcoLoss", "{ mean, count }", state);
  checkIfNumber("bcoLoss", "state.mean", state.mean);
  checkNumber("bcoLoss", "state.count", state.count, (n) => n >= 0, "≥ 0");
  if (delta !== undefined) {
    throw new TypeError("bcoLoss: `state` takes the place of `delta`; give one");
  }
}

/** δ of this batch, and the state after it. */
function threshold(meanRewards: Tensor, options: BcoLossOptions) {
  const { delta, state, updateState } = options;
  if (state === undefined) {
    if (updateState !== undefined) {
      throw new TypeError("bcoLoss: `updateState` belongs to `state`");
    }
    const given = perPairValue("bcoLoss", "delta", "thresholds", delta ?? 0, meanRewards);
    return { delta: typeof given === "number" ? given : stopGradient(given), state: undefined };
  }
  const before = stopGradient(stateScalar("bcoLoss", "state.mean", state.mean, meanRewards));
  if (updateState === false) {
    if (state.count === 0) {
      throw new TypeError(
        "bcoLoss: updateState is false, so it needs the `state` of earlier batches",
      );
    }
    return { delta: before, state: { mean: before, count: state.count } };
  }
  const seen = 2 * meanRewards.size;
  const count = state.count + seen;
  const mean = before.mul(state.count / count).add(meanRewards.mean().mul(seen / count));
  return { delta: mean, state: { mean, count } };
}
