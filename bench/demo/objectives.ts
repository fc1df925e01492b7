/**
 * What the steps of each phase descend: a loss of the model's parameters on the step's batch.
 * @module
 */

import {
  type Gpt,
  type GptParameters,
  lossByName,
  type PairLogProbs,
  preferenceMetrics,
  sequenceLogProbs,
  slice,
  spoLoss,
  sum,
  type Tensor,
  zeros,
} from "../../src/index.js";
import type { Scores } from "./evaluate.js";
import { InputError } from "./inputError.js";
import { batchOf, type PairSequences, rowsOf, type Sequences } from "./pairs.js";
import { phasesOf, type Settings } from "./settings.js";
import { dataOrder } from "./shuffle.js";

/** The loss of a step, and what else to record of it. */
export interface StepLoss {
  readonly loss: Tensor;
  readonly metrics: Readonly<Record<string, Tensor>>;
}

/** The loss of the parameters on the batch of a step. */
export type Objective = (parameters: GptParameters, step: number) => StepLoss;

/** Negative log-likelihood of the responses, nats per token of the batch. */
export function supervisedObjective(
  model: Gpt,
  { seed, batchSize }: Settings,
  responses: Sequences,
): Objective {
  const rowsAt = dataOrder(`${seed} sft`, responses.count, 2 * batchSize);
  return (parameters, step) => {
    const { ids, mask } = batchOf([responses], rowsAt(step));
    const logProbs = sequenceLogProbs(model.apply(parameters, ids), ids, mask);
    return { loss: sum(logProbs).div(sum(mask)).neg(), metrics: {} };
  };
}

/** The rows of each preference step's batch, the same in all preference runs. */
export function preferenceOrder(
  { seed, batchSize }: Settings,
  count: number,
): (step: number) => number[] {
  return dataOrder(`${seed} preference`, count, batchSize);
}

/** A loss of preference pairs; `references` are the scores of the frozen reference model. */
export function preferenceObjective(
  model: Gpt,
  settings: Settings,
  { chosen, rejected }: PairSequences,
  references: Scores,
  lossOf: (pairs: PairLogProbs) => StepLoss,
): Objective {
  const { batchSize } = settings;
  const rowsAt = preferenceOrder(settings, chosen.count);
  return (parameters, step) => {
    const rows = rowsAt(step);
    const { ids, mask } = batchOf([chosen, rejected], rows);
    const logProbs = sequenceLogProbs(model.apply(parameters, ids), ids, mask);
    return lossOf({
      chosen: slice(logProbs, [0, batchSize]),
      rejected: slice(logProbs, [batchSize, 2 * batchSize]),
      referenceChosen: rowsOf(references.chosen, rows),
      referenceRejected: rowsOf(references.rejected, rows),
      chosenLength: rowsOf(chosen.responseLengths, rows),
      rejectedLength: rowsOf(rejected.responseLengths, rows),
    });
  };
}

/** The base loss of the settings, or that loss with SPO around it. */
export function preferenceLoss(
  settings: Settings,
  stable: boolean,
): (pairs: PairLogProbs) => StepLoss {
  const base = lossByName(settings.base);
  const baseOptions = settings.beta === null ? {} : { beta: settings.beta };
  const { gamma, hinge, epsilon } = settings;
  return (pairs) => {
    if (!stable) {
      const result = base(pairs, baseOptions);
      return { loss: result.loss, metrics: preferenceMetrics(result, pairs) };
    }
    const result = spoLoss(pairs, { base, baseOptions, gamma, hinge, epsilon });
    const metrics = { ...preferenceMetrics(result, pairs), "spo/gap": result.gap };
    return { loss: result.loss, metrics };
  };
}

/**
 * Whether the settings' loss can be built: an expression that is never evaluated.
 * @throws InputError with the loss's own words, such as the list of known names.
 */
export function checkLoss(settings: Settings): void {
  if (settings.base === phasesOf(settings)[0]) {
    throw new InputError(
      `--base ${settings.base}: is no preference loss; every run starts with it`,
    );
  }
  const lengths = zeros([2]);
  const scores = { chosen: zeros([2]), rejected: zeros([2]) };
  const references = { referenceChosen: zeros([2]), referenceRejected: zeros([2]) };
  try {
    const lossOf = preferenceLoss(settings, true);
    lossOf({ ...scores, ...references, chosenLength: lengths, rejectedLength: lengths });
  } catch (error) {
    throw new InputError(`--base ${settings.base}: ${(error as Error).message}`);
  }
}
