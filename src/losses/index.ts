/**
 * Preference losses, and the log-probabilities they take.
 * @module
 */

export * from "../logprobs/index.js";
export { type AlphaDpoLoss, type AlphaDpoLossOptions, alphaDpoLoss } from "./alphaDpo.js";
export { type AlphaPoLossOptions, alphaPoLoss } from "./alphaPo.js";
export { type AotLossOptions, aotLoss } from "./aot.js";
export { type ApoDownLossOptions, apoDownLoss } from "./apoDown.js";
export { type ApoZeroLossOptions, apoZeroLoss } from "./apoZero.js";
export { type AspoLossOptions, aspoLoss } from "./aspo.js";
export { type AspoWeightsOptions, aspoWeights } from "./aspoWeights.js";
export { type BcoLoss, type BcoLossOptions, type BcoState, bcoLoss } from "./bco.js";
export { type BetaDpoLoss, type BetaDpoLossOptions, betaDpoLoss } from "./betaDpo.js";
export { type CalDpoLossOptions, calDpoLoss } from "./calDpo.js";
export { type CpoLossOptions, cpoLoss } from "./cpo.js";
export { type DiffusionDpoLossOptions, diffusionDpoLoss, type PairErrors } from "./diffusionDpo.js";
export { type DiscopopLossOptions, discopopLoss } from "./discopop.js";
export type { FDivergence, FDivergenceOptions } from "./divergence.js";
export { type DmpoLossOptions, dmpoLoss } from "./dmpo.js";
export { type DpoLossOptions, dpoLoss } from "./dpo.js";
export { type DpoNormLossOptions, dpoNormLoss } from "./dpoNorm.js";
export { type DpopLossOptions, dpopLoss } from "./dpop.js";
export { type ExoLossOptions, exoLoss } from "./exo.js";
export { type HingeLossOptions, hingeLoss } from "./hinge.js";
export { type IpoLossOptions, ipoLoss } from "./ipo.js";
export { ktoKl, ktoLoss } from "./kto.js";
export type { KtoLossOptions } from "./ktoValue.js";
export {
  type LengthRegularizedDpoLossOptions,
  lengthRegularizedDpoLoss,
} from "./lengthRegularizedDpo.js";
export { type MixedLoss, type MixTerm, mixLosses } from "./mixLosses.js";
export { lossByName, type NamedLoss, type NamedResults } from "./names/lossByName.js";
export type { LossConfig } from "./names/lossConfig.js";
export type { LossName } from "./names/lossNames.js";
export { type NcaLossOptions, ncaLoss } from "./nca.js";
export { type OffsetDpoLossOptions, offsetDpoLoss } from "./offsetDpo.js";
export { type OrpoLossOptions, orpoLoss } from "./orpo.js";
export type { PenaltyWeightOptions, SpoState } from "./penaltyWeight.js";
export { type PreferenceMetric, preferenceMetrics } from "./preferenceMetrics.js";
export { type RobustDpoLossOptions, robustDpoLoss } from "./robustDpo.js";
export { type RsoLossOptions, rsoLoss } from "./rso.js";
export type { RunningStatistics, UpdatedStatistics } from "./runningStatistics.js";
export { sftLoss } from "./sft.js";
export {
  type SgdpoLossOptions,
  type SgdpoPilotsOptions,
  sgdpoLoss,
  sgdpoPilots,
  type TokenRatios,
} from "./sgdpo.js";
export { type SimpoLossOptions, simpoLoss } from "./simpo.js";
export { type SlicLossOptions, slicLoss } from "./slic.js";
export { type SpoLoss, type SpoLossOptions, spoLoss } from "./spo.js";
export { type SppoLossOptions, sppoLoss } from "./sppo.js";
export { type TdpoLossOptions, tdpoLoss } from "./tdpo.js";
export type { PairLogProbs, PreferenceLoss, PreferenceLossFunction } from "./types.js";
export { type UdmWeightsOptions, udmWeights } from "./udmWeights.js";
export { type JudgedLogProbs, type UnpairedLoss, unpairedKtoLoss } from "./unpairedKto.js";
export { type WpoLossOptions, wpoLoss } from "./wpo.js";
