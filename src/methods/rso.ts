/**
 * RSO: rounds of rejection sampling from a policy, and of training on pairs of what was accepted.
 * @module
 */

import { checkCount, checkNumber } from "../checks.js";
import type { LossChoice } from "../training/preferenceLosses.js";
import type { PromptText } from "./candidates.js";
import { rejectionSample } from "./rejectionSample.js";
import { firstRoundRank, type Pairing } from "./rewardRanking.js";
import { type LoopOptions, type LoopResult, trainRounds } from "./rounds.js";

/** Options of {@link rso}. */
export interface RsoOptions<P, Text extends PromptText = string> extends LoopOptions<P, Text> {
  /** Default 1. */
  readonly rounds?: number;
  /** Default 64. */
  readonly samples?: number;
  /** Candidates of each prompt that are accepted; default 8. */
  readonly accepted?: number;
  /** β of the sampling, in units of the reward; default 0.5. The loss's own is in `lossOptions`. */
  readonly beta?: number;
  /** Default `"rso"`. */
  readonly loss?: LossChoice;
  /** Default {@link firstRoundRank}. */
  readonly pairing?: Pairing;
}

/**
 * Statistical rejection sampling optimization (RSO; Liu et al. 2023, arXiv 2309.06657). In each round it samples
 * candidates of every prompt from the policy π, accepts some so that they are as if sampled from `π·e^(r/β)`
 * ({@link rejectionSample}), ranks them into pairs, and trains with a loss of pairs whose reference is π. The next round
 * begins with what this one ended at.
 *
 * Same options, same bits, on one device; a loop that goes on from a state ends with those of one that never stopped.
 *
 * @throws (the returned promise rejects) for options that are unknown or out of range, before anything is computed; and
 * what the reward and {@link fit} throw.
 * @example
 * const { parameters } = await rso({
 *   lm, prompts, reward, maxNewTokens: 64, samples: 32, training: { learningRate: 1e-5, epochs: 1 },
 * });
 */
export async function rso<P, Text extends PromptText = string>(
  options: RsoOptions<P, Text>,
): Promise<LoopResult<P>> {
  const { rounds = 1, samples = 64, accepted = 8, beta = 0.5 } = options ?? {};
  const { loss = "rso", lossOptions = {}, pairing = firstRoundRank } = options ?? {};
  checkCount("rso", "accepted", accepted, 2);
  checkNumber("rso", "accepted", accepted, (n) => n <= samples, `≤ samples, ${samples}`);
  if (beta !== Number.POSITIVE_INFINITY) {
    checkNumber("rso", "beta", beta, (b) => b >= 0, "≥ 0, or Infinity");
  }
  return trainRounds(
    {
      name: "rso",
      rounds,
      samples,
      loss,
      lossOptions,
      pairing,
      alpha: 0,
      own: { accepted, beta },
      accepted: (rewards, seed) => rejectionSample(rewards, { count: accepted, beta, seed }),
    },
    options,
  );
}
