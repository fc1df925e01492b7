export * from "../../src/index.js";
export { sequenceLogProbs } from "../../src/losses/logProbs.js";
export { preferenceMetrics } from "../../src/losses/metrics.js";
export { spoLoss } from "../../src/losses/spo.js";
export type { PairLogProbs, PreferenceLoss } from "../../src/losses/types.js";
export { generate } from "../../src/nn/generate.js";
export { type Gpt, type GptParameters, gpt } from "../../src/nn/gpt.js";
export { type AdamWState, adamw } from "../../src/optim/adamw.js";

import { dpoLoss } from "../../src/losses/dpo.js";
import type { PreferenceLossFunction } from "../../src/losses/types.js";
export function lossByName(name: string): PreferenceLossFunction {
  if (name === "dpo") return dpoLoss as PreferenceLossFunction;
  throw new RangeError(`lossByName: unknown loss "${name}"; known: dpo`);
}
