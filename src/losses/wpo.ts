/**
 * Preference pairs weighted by how likely the policy is to produce them.
 * @module
 */

import { checkFlag, checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { exp, minimum } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { type DpoLossOptions, dpoLoss } from "./dpo.js";
import { LARGEST_EXPONENT } from "./exponents.js";
import { checkLoss, checkPairs } from "./inputs.js";
import { perPairTensor } from "./perPair.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link wpoLoss}. */
export interface WpoLossOptions<
  BaseOptions extends object = DpoLossOptions,
  Base extends PreferenceLoss = PreferenceLoss,
> {
  /** log W of the chosen completions, [batch], nats per token: see {@link wpoLogWeights}. Needed. */
  readonly chosenLogWeight?: Tensor;
  /** log W of the rejected completions. Needed. */
  readonly rejectedLogWeight?: Tensor;
  /** Take weights of at most 1 (default), as TRL does. Without it weights end at e⁸⁰. */
  readonly clamp?: boolean;
  /** The loss to weight; default {@link dpoLoss}. */
  readonly base?: (pairs: PairLogProbs, options?: BaseOptions) => Base;
  /** Options of the base loss. */
  readonly baseOptions?: BaseOptions;
}

/**
 * WPO, weighted preference optimization (Zhou et al. 2024, arXiv 2406.11827; TRL's `use_weighting`):
 *
 * `sg[min(1, W_w·W_l)]·DPO`, `W = exp(mean_t(log p_t − log Σ_v p_v²))`
 *
 * so that pairs the policy itself might have written count more. All else of the result is the base
 * loss's: its rewards, and its state if it has one. The paper's text was not at hand.
 *
 * @param pairs What the base loss needs.
 * @throws for missing or misshapen inputs, the weights among them.
 */
export function wpoLoss<
  BaseOptions extends object = DpoLossOptions,
  Base extends PreferenceLoss = PreferenceLoss,
>(pairs: PairLogProbs, options: WpoLossOptions<BaseOptions, Base> = {}): Base {
  const { base = dpoLoss as never, clamp = true } = options;
  checkOptions("wpoLoss", options, ...OPTIONS);
  checkLoss("wpoLoss", "base", base);
  checkFlag("wpoLoss", "clamp", clamp);
  const { chosen } = checkPairs("wpoLoss", pairs);
  const logWeight = (which: "chosenLogWeight" | "rejectedLogWeight") =>
    perPairTensor("wpoLoss", which, "log W of the completions", options[which], chosen);
  const sum = logWeight("chosenLogWeight").add(logWeight("rejectedLogWeight"));
  const weight = stopGradient(exp(minimum(sum, clamp ? 0 : LARGEST_EXPONENT)));
  const result = base(pairs, options.baseOptions);
  const perPair = weight.mul(result.perPair);
  return { ...result, loss: perPair.mean(), perPair };
}

const OPTIONS = ["chosenLogWeight", "rejectedLogWeight", "clamp", "base", "baseOptions"] as const;
