/**
 * Length-normalized preference optimization with a margin per pair, from the reference.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta, checkPairs } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { perToken, preferenceLoss } from "./logRatios.js";
import { perPairTensor } from "./perPair.js";
import {
  checkStatistics,
  type RunningStatistics,
  standardized,
  type UpdatedStatistics,
  updatedStatistics,
} from "./runningStatistics.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link alphaDpoLoss}. */
export interface AlphaDpoLossOptions {
  /** β > 0; default 2.5. */
  readonly beta?: number;
  /** γ/β ≥ 0, the margin wanted of an average pair, nats per token; default 0.6. */
  readonly gammaBetaRatio?: number;
  /** α ≥ 0, how far a pair's standardised gap moves the margin; default 0.2. */
  readonly alpha?: number;
  /** The previous result's `state`; default: none, so the batch's own statistics are taken. */
  readonly state?: RunningStatistics;
  /** Whether this batch enters the statistics; default true. False in evaluation: needs `state`. */
  readonly updateState?: boolean;
  /** z itself, [batch], in place of any statistics. */
  readonly standardizedGap?: Tensor;
}

/** What {@link alphaDpoLoss} gives. */
export interface AlphaDpoLoss extends PreferenceLoss {
  /** For the next step; undefined if `standardizedGap` was given. */
  readonly state: UpdatedStatistics | undefined;
}

/**
 * α-DPO (AlphaDPO; Wu et al. 2024, arXiv 2410.10148). With `a = log π_θ / n`, nats per token:
 *
 * `−log σ(β((a_w − a_l) − sg[γ/β + α·z]))`, `z = (gap − μ)/(s + 1e-6)`,
 * `gap = (a_w − a_l) − (the reference's a_w − a_l)`.
 *
 * μ and s are exponential averages (decay 0.9) of the batch means and unbiased batch standard
 * deviations of the gap, updated before use; unlike the authors' they are corrected for starting from
 * zero, as Adam's are. A batch of one pair has no standard deviation and leaves the state as it is.
 * The paper prints the margin as γ + αz; its code and tables have the form above. Rewards are `β·a`. The
 * paper's text was not at hand.
 *
 * @param pairs Needs `chosenLength`, `rejectedLength`, and for the gap `referenceChosen` and
 * `referenceRejected`.
 * @throws for missing or misshapen inputs, options out of range, and a batch of one pair (or
 * `updateState: false`) without a state.
 */
export function alphaDpoLoss(pairs: PairLogProbs, options: AlphaDpoLossOptions = {}): AlphaDpoLoss {
  const { beta = 2.5, gammaBetaRatio = 0.6, alpha = 0.2, standardizedGap } = options;
  const { state, updateState } = options;
  checkOptions(
    "alphaDpoLoss",
    options,
    "beta",
    "gammaBetaRatio",
    "alpha",
    "state",
    "updateState",
    "standardizedGap",
  );
  checkBeta("alphaDpoLoss", beta);
  checkNumber("alphaDpoLoss", "gammaBetaRatio", gammaBetaRatio, (g) => g >= 0, "≥ 0");
  checkNumber("alphaDpoLoss", "alpha", alpha, (a) => a >= 0, "≥ 0");
  checkStatistics("alphaDpoLoss", state, updateState ?? true);
  const checked = checkPairs("alphaDpoLoss", pairs, "chosenLength", "rejectedLength");
  const { chosenLength, rejectedLength } = checked;
  const chosen = perToken(checked.chosen, chosenLength);
  const rejected = perToken(checked.rejected, rejectedLength);
  const difference = chosen.sub(rejected);

  let z = standardizedGap;
  let next: UpdatedStatistics | undefined;
  if (z === undefined) {
    const reference = checkPairs("alphaDpoLoss", pairs, "referenceChosen", "referenceRejected");
    const expected = perToken(reference.referenceChosen, chosenLength).sub(
      perToken(reference.referenceRejected, rejectedLength),
    );
    const gap = stopGradient(difference.sub(expected));
    next = updatedStatistics("alphaDpoLoss", gap, state, updateState ?? true);
    z = standardized(gap, next);
  } else if (state !== undefined || updateState !== undefined) {
    throw new TypeError("alphaDpoLoss: `standardizedGap` takes the place of `state`; give one");
  } else {
    z = perPairTensor("alphaDpoLoss", "standardizedGap", "z", z, difference);
  }
  const margin = stopGradient(z).mul(alpha).add(gammaBetaRatio);
  const perPair = smoothedLogistic(difference.sub(margin).mul(beta), 0);
  return { ...preferenceLoss(perPair, chosen.mul(beta), rejected.mul(beta)), state: next };
}
