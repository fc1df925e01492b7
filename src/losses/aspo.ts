/**
 * Sentence-level preference optimization.
 * @module
 */

import { checkChoice, checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { abs, add, div, equal, greater, mul, sub, sum, where } from "../ops/index.js";
import { full } from "../tensor/create.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import { perPairTensor } from "./perPair.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** A sum of weighted rewards nearer to 0 than this is left as it is. */
const SMALLEST_REWARD = 1e-6;

/** Options of {@link aspoLoss}. */
export interface AspoLossOptions {
  /** `log π_θ` of each sentence of the chosen completion, nats, [batch, K]: see {@link sentenceSums}. Needed. */
  readonly sentences?: Tensor;
  /** The same under the reference, [batch, K]. Needed. */
  readonly referenceSentences?: Tensor;
  /** w ≥ 0, [batch, K]: see {@link aspoWeights}. Needed. */
  readonly weights?: Tensor;
  /** [batch, K], true or 1 for sentences that are there; default: all. */
  readonly mask?: Tensor;
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** ρ: `"weights"` (default) K/Σ(1 + w); `"rewards"` the unweighted reward over the weighted one. */
  readonly normalize?: "weights" | "rewards";
}

/**
 * ASPO (arXiv 2505.19100), a reconstruction: the paper's text was not at hand. The chosen completion's
 * sentences weigh differently: with log-ratios `r = log π_θ − log π_ref`, nats, and `r(s_i)` of its
 * sentences, which together are the completion,
 *
 * `−log σ(M)`, `M = ρ Σ_i β(1 + w_i) r(s_i) − β r_l`
 *
 * w and ρ have no gradient; ρ of rewards is 1 where the weighted reward is within 1e-6 of 0. With one
 * sentence, or equal weights, this is DPO. Rewards are `β·r`.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs (the sentences among them) and options out of range.
 */
export function aspoLoss(pairs: PairLogProbs, options: AspoLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, normalize = "weights" } = options;
  checkOptions("aspoLoss", options, ...OPTIONS);
  checkBeta("aspoLoss", beta);
  checkChoice("aspoLoss", "normalize", normalize, ["weights", "rewards"]);
  const ratios = logRatios("aspoLoss", pairs);
  const { given, reference, weights, mask } = sentenceInputs(pairs, options);
  const reward = where(mask, sub(given, reference), 0);
  const weight = where(mask, add(stopGradient(weights), 1), 0);
  const weighted = sum(mul(reward, weight), -1);
  let scale: Tensor;
  if (normalize === "weights") {
    const total = sum(weight, -1);
    scale = div(sum(mask.cast(weight.dtype), -1), where(equal(total, 0), 1, total));
  } else {
    const guarded = greater(abs(weighted), SMALLEST_REWARD);
    scale = where(guarded, div(sum(reward, -1), where(guarded, weighted, 1)), 1);
  }
  // ρ Σ (1 + w_i) r(s_i), written as what the weights change of r_w.
  const change = weighted.mul(stopGradient(scale)).sub(sum(reward, -1));
  const margin = ratios.chosenRatio.add(change).sub(ratios.rejectedRatio);
  return ratioLoss(smoothedLogistic(margin.mul(beta), 0), ratios, beta);
}

const OPTIONS = [
  "sentences",
  "referenceSentences",
  "weights",
  "mask",
  "beta",
  "normalize",
] as const;

function sentenceInputs(pairs: PairLogProbs, options: AspoLossOptions) {
  const { sentences, mask } = options;
  const like = sentences ?? pairs.chosen;
  const given = perPairTensor("aspoLoss", "sentences", "log π of the sentences", sentences, like);
  if (given.rank !== 2 || given.shape[0] !== pairs.chosen.shape[0]) {
    throw new RangeError(
      `aspoLoss: sentences must have shape [${pairs.chosen.shape[0]},K], got ${formatShape(given.shape)}`,
    );
  }
  const also = (option: "referenceSentences" | "weights", meaning: string) =>
    perPairTensor("aspoLoss", option, meaning, options[option], given);
  const present = mask ?? full(given.shape, true);
  if (!sameShape(present.shape, given.shape)) {
    throw new RangeError(
      `aspoLoss: mask must have shape ${formatShape(given.shape)}, got ${formatShape(present.shape)}`,
    );
  }
  return {
    given: given.cast(pairs.chosen.dtype),
    reference: also("referenceSentences", "log π_ref of the sentences").cast(pairs.chosen.dtype),
    weights: also("weights", "weights of the sentences").cast(pairs.chosen.dtype),
    mask: present.cast("bool"),
  };
}
