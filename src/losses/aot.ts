/**
 * Alignment by optimal transport: the whole distribution of margins, not each pair's own.
 * @module
 */

import { checkFlag, checkOptions } from "../checks.js";
import { argsort, sort, takeAlongAxis } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta, checkLabelSmoothing, checkPairs } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link aotLoss}. */
export interface AotLossOptions {
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** ε in [0, ½], as in cDPO; default 0. */
  readonly labelSmoothing?: number;
  /** Compare the chosen log-ratios with the rejected ones, as if unpaired; default false. */
  readonly unpaired?: boolean;
}

/**
 * AOT (Melnyk et al. 2024, arXiv 2406.05882; TRL's `aot`, `aot_unpaired`): stochastic dominance of the
 * policy's margins over the reference's, by sorting both. With sequence log-probabilities s, nats:
 *
 * `−(1−ε) log σ(βd) − ε log σ(−βd)`, `d = sort(s_w − s_l) − sort(reference s_w − s_l)`,
 * or `unpaired` `d = sort(r_w) − sort(r_l)` with `r = log π_θ − log π_ref`.
 *
 * `perPair` is in the order of the pairs: a pair has the term of the rank its own margin has in the
 * batch, or `unpaired` its chosen completion's log-ratio; equal ones rank in their order. The loss of a
 * batch is not the mean over its parts. A batch of one is DPO. Rewards are `β·r`. The formula
 * is TRL's; the paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs and options out of range.
 */
export function aotLoss(pairs: PairLogProbs, options: AotLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, labelSmoothing = 0, unpaired = false } = options;
  checkOptions("aotLoss", options, "beta", "labelSmoothing", "unpaired");
  checkBeta("aotLoss", beta);
  checkLabelSmoothing("aotLoss", labelSmoothing);
  checkFlag("aotLoss", "unpaired", unpaired);
  const ratios = logRatios("aotLoss", pairs);
  const checked = checkPairs("aotLoss", pairs, "referenceChosen", "referenceRejected");
  const difference = unpaired
    ? aboveSameRank(ratios.chosenRatio, ratios.rejectedRatio)
    : aboveSameRank(
        checked.chosen.sub(checked.rejected),
        checked.referenceChosen.sub(checked.referenceRejected),
      );
  return ratioLoss(smoothedLogistic(difference.mul(beta), labelSmoothing), ratios, beta);
}

/** `sort(x) − sort(y)`, each difference where its element of x stands. */
function aboveSameRank(x: Tensor, y: Tensor): Tensor {
  return x.sub(takeAlongAxis(sort(y), argsort(argsort(x))));
}
