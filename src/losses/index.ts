/**
 * Preference losses and what surrounds them.
 * @module
 */

export { type AlphaDpoLoss, type AlphaDpoLossOptions, alphaDpoLoss } from "./alphaDpo.js";
export {
  type ApoDownLossOptions,
  type ApoZeroLossOptions,
  apoDownLoss,
  apoZeroLoss,
  type NcaLossOptions,
  ncaLoss,
  type SppoLossOptions,
  sppoLoss,
} from "./anchored.js";
export { type AotLossOptions, aotLoss } from "./aot.js";
export { type AspoLossOptions, aspoLoss } from "./aspo.js";
export {
  type BcoLoss,
  type BcoLossOptions,
  type BcoState,
  bcoLoss,
  type UdmWeightsOptions,
  udmWeights,
} from "./bco.js";
export { type BetaDpoLoss, type BetaDpoLossOptions, betaDpoLoss } from "./betaDpo.js";
export { lossByName, type NamedLoss, type NamedResults } from "./byName.js";
export { type CalDpoLossOptions, calDpoLoss } from "./calDpo.js";
export { chunkedSequenceLogProbs, chunkedTokenLogProbs } from "./chunkedLogProbs.js";
export { type CpoLossOptions, cpoLoss } from "./cpo.js";
export {
  type DiffusionDpoLossOptions,
  type DmpoLossOptions,
  diffusionDpoLoss,
  dmpoLoss,
  type PairErrors,
} from "./diffusion.js";
export { type DiscopopLossOptions, discopopLoss } from "./discopop.js";
export type { FDivergence, FDivergenceOptions } from "./divergence.js";
export { type DpoLossOptions, type DpoNormLossOptions, dpoLoss, dpoNormLoss } from "./dpo.js";
export {
  type DpopLossOptions,
  dpopLoss,
  type LengthRegularizedDpoLossOptions,
  lengthRegularizedDpoLoss,
} from "./dpoVariants.js";
export {
  type JudgedLogProbs,
  type KtoLossOptions,
  ktoKl,
  ktoLoss,
  type UnpairedLoss,
  unpairedKtoLoss,
} from "./kto.js";
export {
  type ExoLossOptions,
  exoLoss,
  type RobustDpoLossOptions,
  robustDpoLoss,
} from "./labelNoise.js";
export { ldDpoLogProbs } from "./ldDpo.js";
export { sequenceLogProbs, tokenLogProbs } from "./logProbs.js";
export type { LossConfig } from "./lossConfig.js";
export type { LossName } from "./lossNames.js";
export { type HingeLossOptions, hingeLoss, type IpoLossOptions, ipoLoss } from "./margin.js";
export { type PreferenceMetric, preferenceMetrics } from "./metrics.js";
export { type MixedLoss, type MixTerm, mixLosses } from "./mix.js";
export { type OffsetDpoLossOptions, offsetDpoLoss } from "./offsetDpo.js";
export { type OrpoLossOptions, orpoLoss } from "./orpo.js";
export { packedSequenceLogProbs, packedTokenLogProbs } from "./packedLogProbs.js";
export type { PenaltyWeightOptions, SpoState } from "./penaltyWeight.js";
export { type RejectionSampleOptions, rejectionSample } from "./rejectionSampling.js";
export {
  firstRoundRank,
  type RankedPair,
  type RewardRankOptions,
  tournament,
} from "./rewardRanking.js";
export type { RunningStatistics, UpdatedStatistics } from "./runningStatistics.js";
export {
  type AspoWeightsOptions,
  aspoWeights,
  sentenceIndices,
  sentenceSums,
} from "./sentences.js";
export { sequenceKl } from "./sequenceKl.js";
export { sftLoss } from "./sft.js";
export {
  type SgdpoLossOptions,
  type SgdpoPilotsOptions,
  sgdpoLoss,
  sgdpoPilots,
  type TokenRatios,
} from "./sgdpo.js";
export {
  type AlphaPoLossOptions,
  alphaPoLoss,
  type SimpoLossOptions,
  simpoLoss,
} from "./simpo.js";
export { type RsoLossOptions, rsoLoss, type SlicLossOptions, slicLoss } from "./slic.js";
export { type SpoLoss, type SpoLossOptions, spoLoss } from "./spo.js";
export { type TdpoLossOptions, tdpoLoss } from "./tdpo.js";
export type { PairLogProbs, PreferenceLoss, PreferenceLossFunction } from "./types.js";
export { type WpoLossOptions, wpoLogWeights, wpoLoss } from "./wpo.js";
