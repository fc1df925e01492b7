/**
 * Losses that say where the rewards of the chosen and of the rejected completion are to go, each for
 * itself, and not only how far apart.
 * @module
 */

import { logSigmoid, mul, neg, sigmoid, square, sub } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  DIVERGENCE_OPTIONS,
  divergenceScores,
  type FDivergenceOptions,
  LARGEST_SQUARED_EXPONENT,
} from "./divergence.js";
import { checkBeta, checkFlag, checkOptions } from "./inputs.js";
import { checkIfNumber, perPairValue } from "./perPair.js";
import { logRatios, ratioLoss } from "./pieces.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link ncaLoss}. */
export interface NcaLossOptions extends FDivergenceOptions {
  /** β > 0; default 0.01. */
  readonly beta?: number;
}

/**
 * Noise contrastive alignment on pairs (Chen et al. 2024, arXiv 2402.05369; TRL's `nca_pair`). With
 * scores `s = g(r)`, `r = log π_θ − log π_ref`, nats:
 *
 * `−log σ(βs_w) − ½ log σ(−βs_w) − ½ log σ(−βs_l)`
 *
 * Rewards are `β·r`. The formula is TRL's; the paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function ncaLoss(pairs: PairLogProbs, options: NcaLossOptions = {}): PreferenceLoss {
  const { beta = 0.01 } = options;
  checkOptions("ncaLoss", options, "beta", ...DIVERGENCE_OPTIONS);
  checkBeta("ncaLoss", beta);
  const scores = divergenceScores("ncaLoss", pairs, options);
  const chosen = mul(scores.chosenScore, beta);
  const noise = logSigmoid(neg(chosen)).add(logSigmoid(mul(scores.rejectedScore, -beta)));
  return ratioLoss(neg(logSigmoid(chosen)).sub(noise.mul(0.5)), scores, beta);
}

/** Options of {@link sppoLoss}. */
export interface SppoLossOptions extends FDivergenceOptions {
  /** β > 0 (the paper's 1/η); default 0.001. */
  readonly beta?: number;
  /** P, probability that the chosen completion wins: in [0, 1], or per pair, [batch]; default 1. */
  readonly winProbability?: number | Tensor;
  /** TRL's `sppo_hard`: P = 1 and twice the loss; default false. */
  readonly hard?: boolean;
}

/**
 * SPPO (Wu et al. 2024, arXiv 2405.00675): the scores regress on the win probabilities. With scores
 * `s = g(r)`, `r = log π_θ − log π_ref`, nats:
 *
 * `½((s_w − (P−½)/β)² + (s_l − (½−P)/β)²)`, with `hard` `(s_w − 1/(2β))² + (s_l + 1/(2β))²`
 *
 * Rewards are `β·r`. The formula is the authors' code's and TRL's; the paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs, options out of range, and `hard` with `winProbability`.
 */
export function sppoLoss(pairs: PairLogProbs, options: SppoLossOptions = {}): PreferenceLoss {
  const { beta = 0.001, hard = false, winProbability } = options;
  checkOptions("sppoLoss", options, "beta", "winProbability", "hard", ...DIVERGENCE_OPTIONS);
  checkBeta("sppoLoss", beta);
  checkFlag("sppoLoss", "hard", hard);
  const isProbability = (p: number): boolean => p >= 0 && p <= 1;
  checkIfNumber(
    "sppoLoss",
    "winProbability",
    winProbability,
    isProbability,
    "in [0, 1], or a tensor",
  );
  if (hard && winProbability !== undefined) {
    throw new TypeError("sppoLoss: `hard` takes every win as certain; leave `winProbability` out");
  }
  const scores = divergenceScores("sppoLoss", pairs, options, LARGEST_SQUARED_EXPONENT);
  const probability = perPairValue(
    "sppoLoss",
    "winProbability",
    "probabilities that the chosen completions win",
    winProbability ?? 1,
    pairs.chosen,
  );
  const target =
    typeof probability === "number"
      ? (probability - 0.5) / beta
      : probability.sub(0.5).mul(1 / beta);
  const squares = square(scores.chosenScore.sub(target)).add(
    square(scores.rejectedScore.add(target)),
  );
  return ratioLoss(squares.mul(hard ? 1 : 0.5), scores, beta);
}

/** Options of {@link apoZeroLoss}. */
export interface ApoZeroLossOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
}

/**
 * APO-zero, anchored preference optimization (D'Oosterlinck et al. 2024, arXiv 2408.06266): raise the
 * chosen completion, lower the rejected one. With `r = log π_θ − log π_ref`, nats:
 *
 * `1 − σ(βr_w) + σ(βr_l)`
 *
 * Rewards are `β·r`. The formula is TRL's; the paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function apoZeroLoss(pairs: PairLogProbs, options: ApoZeroLossOptions = {}): PreferenceLoss {
  const { beta = 0.1 } = options;
  checkOptions("apoZeroLoss", options, "beta");
  checkBeta("apoZeroLoss", beta);
  const ratios = logRatios("apoZeroLoss", pairs);
  const missed = sigmoid(ratios.chosenRatio.mul(-beta));
  return ratioLoss(missed.add(sigmoid(ratios.rejectedRatio.mul(beta))), ratios, beta);
}

/** Options of {@link apoDownLoss}. */
export interface ApoDownLossOptions extends FDivergenceOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
}

/**
 * APO-down (D'Oosterlinck et al. 2024, arXiv 2408.06266): lower both completions, the rejected one
 * more. With `r = log π_θ − log π_ref`, nats, and `z = β(s_w − s_l)` of scores `s = g(r)`:
 *
 * `σ(βr_w) + 1 − σ(z)`
 *
 * The divergence acts on z alone, as in TRL. Rewards are `β·r`. The paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function apoDownLoss(pairs: PairLogProbs, options: ApoDownLossOptions = {}): PreferenceLoss {
  const { beta = 0.1 } = options;
  checkOptions("apoDownLoss", options, "beta", ...DIVERGENCE_OPTIONS);
  checkBeta("apoDownLoss", beta);
  const scores = divergenceScores("apoDownLoss", pairs, options);
  const against = sub(scores.rejectedScore, scores.chosenScore).mul(beta);
  return ratioLoss(sigmoid(scores.chosenRatio.mul(beta)).add(sigmoid(against)), scores, beta);
}
