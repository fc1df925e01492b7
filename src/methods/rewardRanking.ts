/**
 * Preference pairs of a prompt's candidates, ranked by reward.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { generatorOf, type RandomGenerator } from "../tensor/random.js";

/** Options of {@link firstRoundRank} and {@link tournament}. */
export interface RewardRankOptions {
  /** Same seed, same pairs; a generator continues its sequence. */
  readonly seed: number | string | RandomGenerator;
}

/** Two candidates of a prompt, by index. */
export interface RankedPair {
  /** The one with the larger reward. */
  readonly chosen: number;
  /** The other. */
  readonly rejected: number;
}

/** Makes pairs of candidates, as {@link firstRoundRank}, {@link tournament} and {@link bestWorst} do. */
export type Pairing = (
  candidates: readonly number[],
  rewards: ArrayLike<number>,
  options: RewardRankOptions,
) => readonly RankedPair[];

/**
 * Pairs candidates at random, each in one pair, and ranks each pair by reward: ⌊n/2⌋ pairs of n (RSO's
 * first-round ranking, arXiv 2309.06657). With an odd number one is left over. Of equal rewards the
 * chosen one is random.
 *
 * @param candidates Indices of rewards, as {@link rejectionSample} gives them.
 * @param rewards Reward of each candidate there is, finite.
 * @throws for a candidate without a finite reward or named twice, and no seed.
 */
export function firstRoundRank(
  candidates: readonly number[],
  rewards: ArrayLike<number>,
  options: RewardRankOptions,
): RankedPair[] {
  return ranked(shuffled("firstRoundRank", candidates, rewards, options), rewards);
}

/**
 * Pairs candidates at random, ranks each pair by reward, and goes on with the winners until one is left:
 * n − 1 pairs of n, round by round (RSO's tournament ranking, arXiv 2309.06657). With an odd number in a
 * round, the last goes on without a match. Of equal rewards the chosen one is random.
 *
 * @param candidates Indices of rewards, as {@link rejectionSample} gives them.
 * @param rewards Reward of each candidate there is, finite.
 * @throws for a candidate without a finite reward or named twice, and no seed.
 * @example
 * const kept = rejectionSample(rewards, { count: 8, seed: 0 });
 * for (const { chosen, rejected } of tournament(kept, rewards, { seed: 1 })) { … }
 */
export function tournament(
  candidates: readonly number[],
  rewards: ArrayLike<number>,
  options: RewardRankOptions,
): RankedPair[] {
  const pairs: RankedPair[] = [];
  let round = shuffled("tournament", candidates, rewards, options);
  while (round.length > 1) {
    const matches = ranked(round, rewards);
    for (const match of matches) pairs.push(match);
    round = [...matches.map(({ chosen }) => chosen), ...round.slice(2 * matches.length)];
  }
  return pairs;
}

/**
 * One pair: the candidate with the largest reward and the one with the smallest, the first ones of equals; none of fewer
 * than two candidates. Nothing is drawn. Where a reward errs at random, the pair is its largest error: {@link firstRoundRank} is
 * not drawn to it.
 *
 * @param candidates Indices of rewards, as {@link rejectionSample} gives them.
 * @param rewards Reward of each candidate there is, finite.
 * @throws for a candidate without a finite reward or named twice.
 */
export function bestWorst(candidates: readonly number[], rewards: ArrayLike<number>): RankedPair[] {
  checkRanked("bestWorst", candidates, rewards);
  if (candidates.length < 2) return [];
  const first = (isBetter: (own: number, than: number) => boolean): number =>
    candidates.reduce((best, i) => (isBetter(rewards[i]!, rewards[best]!) ? i : best));
  return [{ chosen: first((own, than) => own > than), rejected: first((own, than) => own < than) }];
}

/**
 * A prompt's pairs: of those of its candidates that are accepted, but for pairs of equal rewards, which say nothing.
 *
 * @param seed Of what is drawn.
 */
export function rankedPairs(
  rewards: readonly number[],
  seed: string,
  {
    accepted,
    pairing,
  }: {
    readonly accepted: (rewards: readonly number[], seed: string) => readonly number[];
    readonly pairing: Pairing;
  },
): { readonly kept: readonly number[]; readonly pairs: readonly RankedPair[] } {
  const kept = accepted(rewards, `${seed} accepted`);
  const pairs = pairing(kept, rewards, { seed: `${seed} pairs` });
  return { kept, pairs: pairs.filter((pair) => rewards[pair.chosen] !== rewards[pair.rejected]) };
}

/** Neighbours as pairs; of equals the first is chosen. */
function ranked(order: readonly number[], rewards: ArrayLike<number>): RankedPair[] {
  return Array.from({ length: Math.floor(order.length / 2) }, (_, k) => {
    const [i, j] = [order[2 * k]!, order[2 * k + 1]!];
    const firstWins = rewards[i]! >= rewards[j]!;
    return firstWins ? { chosen: i, rejected: j } : { chosen: j, rejected: i };
  });
}

/** Rejects what cannot be ranked. */
function checkRanked(
  name: string,
  candidates: readonly number[],
  rewards: ArrayLike<number>,
): void {
  for (const i of candidates) {
    checkNumber(name, `reward of candidate ${i}`, rewards[i]!, () => true, "that is finite");
  }
  if (new Set(candidates).size < candidates.length) {
    throw new RangeError(`${name}: candidates must be distinct, got ${candidates.join(", ")}`);
  }
}

/** The candidates in random order (Fisher–Yates). */
function shuffled(
  name: string,
  candidates: readonly number[],
  rewards: ArrayLike<number>,
  options: RewardRankOptions,
): number[] {
  checkOptions(name, options, "seed");
  checkRanked(name, candidates, rewards);
  const next = generatorOf(name, options.seed);
  const order = [...candidates];
  for (let last = order.length - 1; last > 0; last--) {
    const k = Math.floor(next() * (last + 1));
    [order[last], order[k]] = [order[k]!, order[last]!];
  }
  return order;
}
