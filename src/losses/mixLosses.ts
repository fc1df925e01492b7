/**
 * Weighted sums of losses.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { checkLoss } from "./inputs.js";
import type { PairLogProbs, PreferenceLoss, PreferenceLossFunction } from "./types.js";

/** A term of {@link mixLosses}. */
export interface MixTerm<Loss extends PreferenceLossFunction<never>> {
  /** Any preference loss. */
  readonly loss: Loss;
  /** Its weight, finite. */
  readonly weight: number;
  /** Its options. */
  readonly options?: Parameters<Loss>[1];
}

/** What a mix gives. */
export interface MixedLoss<Terms extends readonly PreferenceLoss[] = readonly PreferenceLoss[]>
  extends PreferenceLoss {
  /** The terms' own results, unweighted, in order, their states included. */
  readonly terms: Terms;
}

/**
 * `Σ_k w_k·loss_k` as one preference loss, with the rewards of the first term. MPO, mixed preference
 * optimization (Wang et al. 2024, arXiv 2411.10442), is 0.8 DPO + 0.2 BCO + 1 SFT. The paper's text was
 * not at hand.
 *
 * @param terms At least one, `{ loss, weight, options }`.
 * @throws for no terms or a weight that is not finite.
 * @example
 * const mpo = mixLosses(
 *   { loss: dpoLoss, weight: 0.8, options: { beta: 0.1 } },
 *   { loss: bcoLoss, weight: 0.2 },
 *   { loss: sftLoss, weight: 1 },
 * );
 * const { loss } = mpo(pairs);
 */
export function mixLosses<Losses extends readonly PreferenceLossFunction<never>[]>(
  ...terms: { readonly [K in keyof Losses]: MixTerm<Losses[K]> }
): (
  pairs: PairLogProbs,
  options?: Record<string, unknown>,
) => MixedLoss<{ readonly [K in keyof Losses]: ReturnType<Losses[K]> }> {
  if (terms.length === 0) throw new TypeError("mixLosses: needs at least one term");
  terms.forEach((term, i) => {
    checkOptions(`mixLosses: term ${i}`, term, "loss", "weight", "options");
    const { loss, weight } = term;
    checkLoss("mixLosses", `loss of term ${i}`, loss);
    checkNumber("mixLosses", `weight of term ${i}`, weight, () => true, "that is finite");
  });
  return (pairs, options = {}) => {
    checkOptions("mixLosses", options);
    const results = terms.map((term) => term.loss(pairs, term.options as never));
    const total = (part: "loss" | "perPair") =>
      results
        .map((result, k) => result[part].mul(terms[k]!.weight))
        .reduce((sum, term) => sum.add(term));
    return {
      loss: total("loss"),
      perPair: total("perPair"),
      rewards: results[0]!.rewards,
      terms: results as never,
    };
  };
}
