/**
 * Centered hidden embedding similarity: which pairs are likely to be displaced, from hidden states
 * alone.
 * @module
 */

import { isFloating } from "../kernels/dtype.js";
import { div, maximum, mul, slice, sub, sum, where } from "../ops/index.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** Hidden states of a batch of sequences, each a prompt and one of its completions. */
export interface CompletionStates {
  /** `[B, T, D]`: the states the output head reads. Their unit is the model's own. */
  readonly hidden: Tensor;
  /** `[B, T]`: true or 1 at the completion's tokens, as {@link sequenceLogProbs} takes it. */
  readonly mask: Tensor;
}

/** What {@link chesScore} gives, `[B]` each. */
export interface ChesScore {
  /** The score of sums of hidden states. */
  readonly sum: Tensor;
  /** The score of means: length-normalised, the form the authors use to select data. */
  readonly normalized: Tensor;
}

/**
 * The CHES score of each pair (Razin et al. 2024, arXiv 2410.05779, and the authors' code). With
 * `H = Σ_t h_{t−1}` over the completion's tokens t, `h_{t−1}` being the state its token t is predicted
 * from, and n the number of tokens,
 *
 * `⟨H_w, H_l⟩ − ‖H_w‖²`, normalised `⟨H_w/n_w, H_l/n_l⟩ − ‖H_w/n_w‖²`.
 *
 * The higher, the more similar the pair is to the model and the more its chosen response tends to lose
 * probability in preference optimization: it ranks pairs, and its zero is no threshold. No gradient is
 * needed: the authors propose dropping the pairs that score highest. An empty completion has the state 0.
 *
 * @param chosen `hidden` `[B, T, D]`, `mask` `[B, T]`. States at masked positions may be anything, also NaN.
 * @param rejected The same of the rejected completions; T may differ.
 * @throws if shapes or dtypes do not fit.
 * @example chesScore({ hidden: gpt.hidden(parameters, ids), mask }, rejected).normalized
 */
export function chesScore(chosen: CompletionStates, rejected: CompletionStates): ChesScore {
  check("chosen", chosen);
  check("rejected", rejected);
  const [batch, , width] = chosen.hidden.shape;
  const [otherBatch, , otherWidth] = rejected.hidden.shape;
  if (batch !== otherBatch || width !== otherWidth) {
    throw new RangeError(
      `chesScore: hidden states of ${formatShape(chosen.hidden.shape)} and ${formatShape(rejected.hidden.shape)} differ in batch or width`,
    );
  }
  const w = summed(chosen);
  const l = summed(rejected);
  return { sum: score(w.sum, l.sum), normalized: score(w.mean, l.mean) };
}

/** `⟨w, l⟩ − ‖w‖² = ⟨w, l − w⟩`, the form that does not cancel when the two are close. */
function score(w: Tensor, l: Tensor): Tensor {
  return sum(mul(w, sub(l, w)), 1);
}

/** Sum and mean of the states that completion tokens are predicted from, `[B, D]`. */
function summed({ hidden, mask }: CompletionStates): { sum: Tensor; mean: Tensor } {
  const length = hidden.shape[1]!;
  const predicting = slice(hidden, null, [0, length - 1]);
  const counted = slice(mask, null, [1, length]).notEqual(0).expandDims(2);
  const total = sum(where(counted, predicting, 0), 1);
  return { sum: total, mean: div(total, maximum(sum(counted.cast(hidden.dtype), 1), 1)) };
}

function check(which: string, { hidden, mask }: CompletionStates): void {
  if (hidden.rank !== 3 || hidden.shape[1] === 0) {
    throw new RangeError(
      `chesScore: ${which}.hidden must have shape [B,T,D] with T ≥ 1, got ${formatShape(hidden.shape)}`,
    );
  }
  if (!isFloating(hidden.dtype)) {
    throw new TypeError(`chesScore: ${which}.hidden must be floating point, got ${hidden.dtype}`);
  }
  const expected = formatShape(hidden.shape.slice(0, 2));
  if (formatShape(mask.shape) !== expected) {
    throw new RangeError(
      `chesScore: ${which}.mask must have shape ${expected}, got ${formatShape(mask.shape)}`,
    );
  }
}
