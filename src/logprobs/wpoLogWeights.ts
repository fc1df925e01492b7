/**
 * How likely completions are under the policy against what sampling would give: WPO's weights.
 * @module
 */

import { logSoftmax, logSumExp } from "../ops/activations.js";
import { stopGradient } from "../ops/composite.js";
import { div, maximum, mul } from "../ops/index.js";
import { slice } from "../ops/movement.js";
import type { Tensor } from "../tensor/tensor.js";
import { tokenLogProbs } from "./logProbs.js";
import { checkTokens, maskedCount, maskedSum } from "./tokenInputs.js";

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
