/**
 * Loops that sample from a policy, score and train, and what they are made of.
 * @module
 */

export { type ApoOptions, apo } from "./apo.js";
export {
  type AspoModel,
  type AspoOptions,
  type AspoProgress,
  type AspoResult,
  type AspoState,
  aspo,
} from "./aspo.js";
export type {
  CandidateOptions,
  PromptText,
  SampledModel,
  TextTokenizer,
} from "./candidates.js";
export { type AiSdkCall, type AiSdkModel, aiSdkModel } from "./chat/aiSdkModel.js";
export {
  ChatError,
  type ChatFailure,
  type ChatModel,
  type ChatOptions,
  type ChatTurn,
  type ChatUsage,
} from "./chat/chatModel.js";
export { type EndpointOptions, endpointModel } from "./chat/endpointModel.js";
export { type LocalModelOptions, localModel } from "./chat/localModel.js";
export type { PlatformFetch, PlatformSignal } from "./chat/platform.js";
export type { Clock, RequestBudget, RequestOptions } from "./chat/requests.js";
export {
  type Exchange,
  type OpenTranscript,
  openTranscript,
  type Transcript,
  type TranscriptOptions,
} from "./chat/transcript.js";
export {
  type AlignDiffusionOptions,
  alignDiffusion,
  type DiffusionLoss,
  type DiffusionSpoOptions,
  type SamplePair,
} from "./diffusion/alignDiffusion.js";
export {
  type Ddpm,
  type DdpmOptions,
  type DdpmSampleOptions,
  ddpm,
  ddpmSample,
  timestepEmbedding,
} from "./diffusion/ddpm.js";
export {
  type Denoiser,
  type DenoisingInputs,
  type DenoisingPairs,
  denoisingError,
  denoisingErrors,
  type NoiseDraws,
} from "./diffusion/denoising.js";
export {
  type DiffusionFitOptions,
  type DiffusionModel,
  type SampleRow,
  type TrainDiffusionOptions,
  trainDiffusion,
} from "./diffusion/trainDiffusion.js";
export { extrapolate } from "./extrapolate.js";
export { type ImplicitRewardOptions, implicitReward } from "./implicitReward.js";
export type { RoundTraining, TrainedModel } from "./pairTraining.js";
export { type Aspects, REWARD_ASPECTS } from "./prompts/aspects.js";
export { type PromptExample, promptMessages } from "./prompts/examples.js";
export {
  type JudgeCounts,
  type JudgeReward,
  type JudgeRewardOptions,
  judgeReward,
} from "./prompts/judge.js";
export {
  type OptimizedPrompt,
  type OptimizePromptOptions,
  optimizePrompt,
  type PromptProgress,
  type PromptState,
} from "./prompts/optimizePrompt.js";
export { type RejectionSampleOptions, rejectionSample } from "./rejectionSample.js";
export { type Reward, rewardsOf } from "./reward.js";
export {
  bestWorst,
  firstRoundRank,
  type Pairing,
  type RankedPair,
  type RewardRankOptions,
  tournament,
} from "./rewardRanking.js";
export type {
  LoopOptions,
  LoopProgress,
  LoopResult,
  LoopRound,
  LoopState,
} from "./rounds.js";
export { type RsoOptions, rso } from "./rso.js";
