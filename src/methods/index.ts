/**
 * Recipes that make preference pairs, and rewards.
 * @module
 */

export { type RejectionSampleOptions, rejectionSample } from "./rejectionSample.js";
export { type Reward, rewardsOf } from "./reward.js";
export {
  firstRoundRank,
  type RankedPair,
  type RewardRankOptions,
  tournament,
} from "./rewardRanking.js";
