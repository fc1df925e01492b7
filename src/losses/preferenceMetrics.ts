/**
 * What training on preferences reports.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { greater } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Names of the metrics, as in TRL. */
export type PreferenceMetric =
  | "rewards/chosen"
  | "rewards/rejected"
  | "rewards/accuracies"
  | "rewards/margins"
  | "logps/chosen"
  | "logps/rejected";

/**
 * Batch means under TRL's names, scalars without gradient, evaluated when asked for: the implicit
 * rewards, the share of pairs whose chosen reward is strictly greater (`rewards/accuracies`), the
 * mean difference (`rewards/margins`), and the log-probabilities of the completions (`logps/…`, nats
 * per sequence).
 */
export function preferenceMetrics(
  result: PreferenceLoss,
  pairs: PairLogProbs,
): Record<PreferenceMetric, Tensor> {
  const { chosen, rejected } = result.rewards;
  return {
    "rewards/chosen": chosen.mean(),
    "rewards/rejected": rejected.mean(),
    "rewards/accuracies": greater(chosen, rejected).cast(chosen.dtype).mean(),
    "rewards/margins": chosen.sub(rejected).mean(),
    "logps/chosen": stopGradient(pairs.chosen).mean(),
    "logps/rejected": stopGradient(pairs.rejected).mean(),
  };
}
