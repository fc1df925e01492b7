/**
 * Statistical rejection sampling: which of a prompt's candidates to keep.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { generatorOf, type RandomGenerator } from "../tensor/random.js";

/** Options of {@link rejectionSample}. */
export interface RejectionSampleOptions {
  /** How many candidates to accept: an integer from 0 to their number. */
  readonly count: number;
  /**
   * β ≥ 0, in units of the reward; default 0.5. At 0 the best candidates are taken, best first;
   * `Infinity` takes the first ones as they come.
   */
  readonly beta?: number;
  /** Same seed, same draw; a generator continues its sequence. */
  readonly seed: number | string | RandomGenerator;
}

/**
 * Statistical rejection sampling (RSO; Liu et al. 2023, arXiv 2309.06657, algorithm 1): of candidates
 * sampled from a policy π, those that are as if sampled from the policy `∝ π·e^(r/β)`, which maximises
 * the reward r under a KL penalty. It sweeps over the candidates not yet accepted, in their order, and
 * accepts each with probability
 *
 * `e^((r − r_max)/β)`, r_max the largest reward of those left when the sweep began,
 *
 * until it has `count`. Candidates are told apart by index, not by text. {@link firstRoundRank} and
 * {@link tournament} make pairs of them for {@link rsoLoss}, {@link hingeLoss} or {@link slicLoss}, whose
 * own scale is another matter than β.
 *
 * @param rewards Reward of each candidate, finite.
 * @returns the indices of the accepted candidates, in the order of acceptance.
 * @throws for a reward that is not finite, more asked for than there are, and options out of range.
 * @example const kept = rejectionSample(rewards, { count: 8, seed: 0 });
 */
export function rejectionSample(
  rewards: ArrayLike<number>,
  options: RejectionSampleOptions,
): number[] {
  const { count, beta = 0.5, seed } = options;
  checkOptions("rejectionSample", options, "count", "beta", "seed");
  const { length } = rewards;
  for (let i = 0; i < length; i++) {
    checkNumber("rejectionSample", `reward ${i}`, rewards[i]!, () => true, "that is finite");
  }
  const isCount = (n: number): boolean => Number.isInteger(n) && n >= 0 && n <= length;
  checkNumber("rejectionSample", "count", count, isCount, `that is an integer in [0, ${length}]`);
  if (beta !== Number.POSITIVE_INFINITY) {
    checkNumber("rejectionSample", "beta", beta, (b) => b >= 0, "≥ 0, or Infinity");
  }
  const next = generatorOf("rejectionSample", seed);
  let left = Array.from(rewards, (_, i) => i);
  if (beta === 0) return left.sort((i, j) => rewards[j]! - rewards[i]!).slice(0, count);
  const accepted: number[] = [];
  while (accepted.length < count) {
    const best = left.reduce((most, i) => Math.max(most, rewards[i]!), Number.NEGATIVE_INFINITY);
    left = left.filter((i) => {
      const accepts = accepted.length < count && next() < Math.exp((rewards[i]! - best) / beta);
      if (accepts) accepted.push(i);
      return !accepts;
    });
  }
  return accepted;
}
