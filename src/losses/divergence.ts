/**
 * f-divergences between policy and reference: the score that takes the log-ratio's place in a loss.
 * @module
 */

import { checkChoice, checkNumber } from "../checks.js";
import { exp, logSigmoid, minimum, mul, neg } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { cutFor, LARGEST_EXPONENT } from "./exponents.js";
import { type LogRatios, logRatios } from "./logRatios.js";
import type { PairLogProbs } from "./types.js";

/** Names of the f-divergences, as in TRL. */
export type FDivergence = "reverse_kl" | "forward_kl" | "js_divergence" | "alpha_divergence";

const DIVERGENCES: readonly FDivergence[] = [
  "reverse_kl",
  "forward_kl",
  "js_divergence",
  "alpha_divergence",
];

/** Options of losses whose log-ratio r may be replaced by a score s = g(r). */
export interface FDivergenceOptions {
  /**
   * Divergence that keeps the policy near the reference (Wang et al. 2023, arXiv 2309.16240):
   * `"reverse_kl"` g(r) = r (default), `"forward_kl"` −e^(−r), `"js_divergence"` log σ(r),
   * `"alpha_divergence"` e^((α−1)r)/(α−1). Exponents are cut at 80, at 40 in losses that square, and
   * lower as far as the factor 1/(α−1), or a β > 1, would lift the score above e to that.
   */
  readonly fDivergence?: FDivergence;
  /** α of `"alpha_divergence"`, and only of it; default 0.5. At 1 it is the reverse KL. */
  readonly fAlphaDivergenceCoef?: number;
}

/** Their names, for a loss's list of its own. */
export const DIVERGENCE_OPTIONS = ["fDivergence", "fAlphaDivergenceCoef"] as const;

export { LARGEST_SQUARED_EXPONENT } from "./exponents.js";

/** Log-ratios `r` (nats) of a batch of pairs and their scores `s = g(r)`; [batch] each. */
export interface Scores extends LogRatios {
  readonly chosenScore: Tensor;
  readonly rejectedScore: Tensor;
}

/**
 * The scores of pairs under a divergence.
 * @param options With the loss's β where it is given; every default is below 1.
 * @param largestExponent A score of a divergence that is an exponential, and β times it, are at most e to this.
 */
export function divergenceScores(
  loss: string,
  pairs: PairLogProbs,
  options: FDivergenceOptions & { readonly beta?: number },
  largestExponent = LARGEST_EXPONENT,
): Scores {
  const score = scoreFunction(loss, options, cutFor(largestExponent, options.beta ?? 1));
  const ratios = logRatios(loss, pairs);
  return {
    ...ratios,
    chosenScore: score(ratios.chosenRatio),
    rejectedScore: score(ratios.rejectedRatio),
  };
}

function scoreFunction(
  loss: string,
  { fDivergence = "reverse_kl", fAlphaDivergenceCoef: alpha }: FDivergenceOptions,
  largestExponent: number,
): (ratio: Tensor) => Tensor {
  checkChoice(loss, "fDivergence", fDivergence, DIVERGENCES);
  if (alpha !== undefined && fDivergence !== "alpha_divergence") {
    throw new TypeError(
      `${loss}: fAlphaDivergenceCoef belongs to fDivergence "alpha_divergence", not "${fDivergence}"`,
    );
  }
  switch (fDivergence) {
    case "reverse_kl":
      return (r) => r;
    case "forward_kl":
      return (r) => neg(exp(minimum(neg(r), largestExponent)));
    case "js_divergence":
      return logSigmoid;
    case "alpha_divergence": {
      const coefficient = alpha ?? 0.5;
      checkNumber(loss, "fAlphaDivergenceCoef", coefficient, () => true, "that is finite");
      const order = coefficient - 1;
      if (Math.abs(order) < 1e-6) return (r) => r;
      const cut = cutFor(largestExponent, 1 / Math.abs(order));
      return (r) => mul(exp(minimum(mul(r, order), cut)), 1 / order);
    }
  }
}
