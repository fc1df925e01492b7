/**
 * Length-desensitized log-probabilities.
 * @module
 */

import { checkNumber } from "../checks.js";
import { add, cast, cumsum, lessEqual, minimum, mul, slice, where } from "../ops/index.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkTokens, maskedCount, maskedSum } from "./tokenInputs.js";

/**
 * LD-DPO's log-probability of a completion (Liu et al. 2024, arXiv 2409.06411; TRL's `ld_alpha`), nats,
 * `[B]`: tokens past the length of the pair's shorter completion count α,
 *
 * `Σ_{t ≤ m} log π(y_t) + α·Σ_{t > m} log π(y_t)`, `m = min(n, the other completion's n)`.
 *
 * It is a reduction, not a loss: take it for both completions, under the policy and the reference
 * alike, and give the results to any loss. α = 1 is {@link sequenceLogProbs}. The paper's text was not
 * at hand.
 *
 * @param tokens [B, T−1], log-probabilities of the tokens: see {@link tokenLogProbs}.
 * @param mask [B, T]: true or 1 at the completion's tokens.
 * @param otherLength [B], tokens of the pair's other completion.
 * @param alpha α in [0, 1]; default 0.5.
 * @throws if shapes do not fit or α is out of range.
 * @example const chosen = ldDpoLogProbs(tokenLogProbs(logits, ids), mask, rejectedLength);
 */
export function ldDpoLogProbs(
  tokens: Tensor,
  mask: Tensor,
  otherLength: Tensor,
  alpha = 0.5,
): Tensor {
  checkTokens("ldDpoLogProbs", "tokens", tokens, mask);
  checkNumber("ldDpoLogProbs", "alpha", alpha, (a) => a >= 0 && a <= 1, "in [0, 1]");
  if (otherLength.rank !== 1 || otherLength.shape[0] !== tokens.shape[0]) {
    throw new RangeError(
      `ldDpoLogProbs: \`otherLength\` must have shape [${tokens.shape[0]}], got ${formatShape(otherLength.shape)}`,
    );
  }
  const whole = maskedSum(tokens, mask);
  if (alpha === 1) return whole;
  const position = cumsum(slice(cast(cast(mask, "bool"), "int32"), null, [1]));
  const shorter = minimum(maskedCount(mask, "int32"), otherLength.cast("int32"));
  const shared = lessEqual(position, shorter.reshape([tokens.shape[0]!, 1]));
  const common = maskedSum(where(shared, tokens, 0), mask);
  return add(mul(whole, alpha), mul(common, 1 - alpha));
}
