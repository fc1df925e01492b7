/**
 * Preference losses and what surrounds them.
 * @module
 */

export {
  type AlphaDpoLoss,
  type AlphaDpoLossOptions,
  type AlphaDpoState,
  alphaDpoLoss,
} from "./alphaDpo.js";
export { type LossName, lossByName } from "./byName.js";
export { type CpoLossOptions, cpoLoss } from "./cpo.js";
export type { FDivergence, FDivergenceOptions } from "./divergence.js";
export { type DpoLossOptions, dpoLoss } from "./dpo.js";
export {
  type DpopLossOptions,
  dpopLoss,
  type LengthRegularizedDpoLossOptions,
  lengthRegularizedDpoLoss,
} from "./dpoVariants.js";
export {
  chunkedSequenceLogProbs,
  chunkedTokenLogProbs,
  sequenceLogProbs,
  tokenLogProbs,
} from "./logProbs.js";
export { type HingeLossOptions, hingeLoss, type IpoLossOptions, ipoLoss } from "./margin.js";
export { type PreferenceMetric, preferenceMetrics } from "./metrics.js";
export type { PenaltyWeightOptions, SpoState } from "./penaltyWeight.js";
export { sftLoss } from "./sft.js";
export { type SimpoLossOptions, simpoLoss } from "./simpo.js";
export { type SpoLoss, type SpoLossOptions, spoLoss } from "./spo.js";
export type { PairLogProbs, PreferenceLoss, PreferenceLossFunction } from "./types.js";
