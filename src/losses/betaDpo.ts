/**
 * DPO whose β follows the data, and which leaves out pairs with unusual margins.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { argsort, log, maximum, neg, square } from "../ops/index.js";
import { iota } from "../tensor/create.js";
import { randomUniform } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import {
  checkStatistics,
  correctedMean,
  type RunningStatistics,
  standardized,
  type UpdatedStatistics,
  updatedStatistics,
} from "./runningStatistics.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

const SMALLEST_BETA = 1e-3;

/** Options of {@link betaDpoLoss}. */
export interface BetaDpoLossOptions {
  /** β > 0 of a pair with an average margin; default 0.1. */
  readonly beta?: number;
  /** ρ in [0, 1), the share of pairs left out; default 0.2. */
  readonly dropRatio?: number;
  /** a ≥ 0, how far β follows the margin, per nat; default 0.6. */
  readonly scale?: number;
  /** Seed of the draw of pairs, together with the number of batches seen; default 0. */
  readonly seed?: number | string;
  /** The previous result's `state`; default: none, so the batch's own statistics are taken. */
  readonly state?: RunningStatistics;
  /** Whether this batch enters the statistics; default true. False in evaluation: needs `state`. */
  readonly updateState?: boolean;
}

/** What {@link betaDpoLoss} gives. */
export interface BetaDpoLoss extends PreferenceLoss {
  /** For the next step. */
  readonly state: UpdatedStatistics;
  /** β' of this batch, a scalar. */
  readonly beta: Tensor;
  /** [batch], true for the pairs that count. */
  readonly kept: Tensor;
}

/**
 * β-DPO (Wu et al. 2024, arXiv 2407.08639). With margins `A = sg[r_w − r_l]`, `r = log π_θ − log π_ref`,
 * nats, and running mean μ and standard deviation s of A: of the N pairs of a batch, ⌊N(1−ρ)⌋ (at least
 * one) are drawn without replacement, in proportion to `exp(−½((A − μ)/s)²)`, and
 *
 * `−log σ(β'(r_w − r_l))`, `β' = max(0.001, β(1 + a(mean A of those kept − μ)))`
 *
 * averaged over those kept: `perPair` is N/kept times that for them and 0 for the others. μ and s are
 * exponential averages (decay 0.9) updated before use and corrected for starting from zero; a batch of
 * one pair leaves them as they are. The draw is the largest of `log weight + Gumbel noise`, from `seed`
 * and the batches seen. Rewards are `β·r`. The paper's text was not at hand; the correction and the
 * seeding are this implementation's.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs, options out of range, and a batch of one pair (or
 * `updateState: false`) without a state.
 */
export function betaDpoLoss(pairs: PairLogProbs, options: BetaDpoLossOptions = {}): BetaDpoLoss {
  const { beta = 0.1, dropRatio = 0.2, scale = 0.6, seed = 0, updateState = true } = options;
  checkOptions("betaDpoLoss", options, ...OPTIONS);
  checkBeta("betaDpoLoss", beta);
  checkNumber("betaDpoLoss", "dropRatio", dropRatio, (p) => p >= 0 && p < 1, "in [0, 1)");
  checkNumber("betaDpoLoss", "scale", scale, (a) => a >= 0, "≥ 0");
  checkStatistics("betaDpoLoss", options.state, updateState);
  const ratios = logRatios("betaDpoLoss", pairs);
  const margin = ratios.chosenRatio.sub(ratios.rejectedRatio);
  const observed = stopGradient(margin);
  const state = updatedStatistics("betaDpoLoss", observed, options.state, updateState);
  const count = Math.max(1, Math.floor(observed.size * (1 - dropRatio) + 1e-9));
  const logWeight = square(standardized(observed, state)).mul(-0.5);
  const kept = drawn(logWeight, count, `${seed} ${state.count}`);
  const share = kept.cast(observed.dtype).div(count);
  const ahead = observed.mul(share).sum().sub(correctedMean(state));
  const adapted = maximum(ahead.mul(scale).add(1).mul(beta), SMALLEST_BETA);
  const perPair = smoothedLogistic(margin.mul(adapted), 0).mul(share.mul(observed.size));
  return { ...ratioLoss(perPair, ratios, beta), state, beta: adapted, kept };
}

const OPTIONS = ["beta", "dropRatio", "scale", "seed", "state", "updateState"] as const;

/** Where `count` elements drawn without replacement, in proportion to e^logWeight, stand. */
function drawn(logWeight: Tensor, count: number, seed: string): Tensor {
  const { size, dtype } = logWeight;
  if (count === size) return iota([size]).less(size);
  // −log(−log u) of a uniform u is Gumbel noise.
  const noise = neg(
    log(neg(log(randomUniform([size], { seed, low: 1e-7, high: 1 - 1e-7, dtype })))),
  );
  return argsort(argsort(neg(logWeight.add(noise)))).less(count);
}
