/**
 * What a preference loss takes and gives.
 * @module
 */

import type { Tensor } from "../tensor/tensor.js";

/** Sequence log-probabilities of a batch of preference pairs. Every tensor has shape [batch]. */
export interface PairLogProbs {
  /** `Σ_t log π_θ(y_t)` over the chosen completion's tokens, nats. See {@link sequenceLogProbs}. */
  readonly chosen: Tensor;
  /** The same for the rejected completion. */
  readonly rejected: Tensor;
  /** The chosen completion's log-probability under the frozen reference model, nats. */
  readonly referenceChosen?: Tensor;
  /** The rejected completion's log-probability under the frozen reference model, nats. */
  readonly referenceRejected?: Tensor;
  /** Tokens of the chosen completion. An empty completion counts as one token of log-probability 0. */
  readonly chosenLength?: Tensor;
  /** Tokens of the rejected completion. */
  readonly rejectedLength?: Tensor;
}

/** What a preference loss gives. */
export interface PreferenceLoss {
  /** Scalar to descend: the mean of `perPair`. */
  readonly loss: Tensor;
  /** The loss of each pair, `[batch]`. */
  readonly perPair: Tensor;
  /**
   * [batch] each, without gradient: the implicit rewards. `β·(log π_θ − log π_ref)` for losses with a
   * reference, whatever the divergence; what stands in its place otherwise.
   */
  readonly rewards: { readonly chosen: Tensor; readonly rejected: Tensor };
}

/** A preference loss: any of this family can be the base of {@link spoLoss} or a trainer's loss. */
export type PreferenceLossFunction<Options extends object = Record<string, unknown>> = (
  pairs: PairLogProbs,
  options?: Options,
) => PreferenceLoss;
