/**
 * Self-play preference optimization: each implicit reward is sent to a value of its own.
 * @module
 */

import { checkFlag, checkOptions } from "../checks.js";
import { square } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  DIVERGENCE_OPTIONS,
  divergenceScores,
  type FDivergenceOptions,
  LARGEST_SQUARED_EXPONENT,
} from "./divergence.js";
import { checkBeta } from "./inputs.js";
import { ratioLoss } from "./logRatios.js";
import { checkIfNumber, perPairValue } from "./perPair.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

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
