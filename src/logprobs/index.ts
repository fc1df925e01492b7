/**
 * Log-probabilities of completions, from logits or from hidden states.
 * @module
 */

export { chunkedSequenceLogProbs, chunkedTokenLogProbs } from "./chunkedLogProbs.js";
export { ldDpoLogProbs } from "./ldDpoLogProbs.js";
export { sequenceLogProbs, tokenLogProbs } from "./logProbs.js";
export { packedSequenceLogProbs, packedTokenLogProbs } from "./packedLogProbs.js";
export { sentenceIndices, sentenceSums } from "./sentences.js";
export { sequenceKl } from "./sequenceKl.js";
export type { HeadOptions } from "./tokenInputs.js";
export { wpoLogWeights } from "./wpoLogWeights.js";
