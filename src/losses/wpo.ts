/**
 * Preference pairs weighted by how likely the policy is to produce them.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { div, exp, logSoftmax, logSumExp, maximum, minimum, mul, slice } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { type DpoLossOptions, dpoLoss } from "./dpo.js";
import { LARGEST_EXPONENT } from "./exponents.js";
import { checkFlag, checkOptions, checkPairs } from "./inputs.js";
import { tokenLogProbs } from "./logProbs.js";
import { perPairTensor } from "./perPair.js";
import { checkTokens, maskedCount, maskedSum } from "./tokenInputs.js";
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

/**
 * WPO's `log W` of each completion, [B]: `mean_t(log p_t − log Σ_v p_v²)`, nats per token, the mean
 * taken over the completion's tokens: how likely each is against what sampling would give on average.
 * Without gradient. A row with an empty mask gives 0.
 *
 * @param logits [B, T, V]. What is not floating point is computed in float32.
 * @param ids [B, T], integers.
 * @param mask [B, T]: true or 1 at the completion's tokens.
 * @throws if shapes or dtypes do not fit.
 */
export function wpoLogWeights(logits: Tensor, ids: Tensor, mask: Tensor): Tensor {
  const tokens = tokenLogProbs(logits, ids);
  checkTokens("wpoLogWeights", "logits' tokens", tokens, mask);
  const all = logSoftmax(slice(logits, null, [0, -1]));
  const sum = maskedSum(tokens.sub(logSumExp(mul(all, 2), -1)), mask);
  return stopGradient(div(sum, maximum(maskedCount(mask, sum.dtype), 1)));
}
