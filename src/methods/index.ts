/**
 * Recipes that make preference pairs.
 * @module
 */

export { type RejectionSampleOptions, rejectionSample } from "./rejectionSample.js";
export {
  firstRoundRank,
  type RankedPair,
  type RewardRankOptions,
  tournament,
} from "./rewardRanking.js";
