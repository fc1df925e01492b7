/**
 * Preference optimization of the workload's GPT.
 * @module
 */

import { valueAndGrad } from "../../src/autograd/transforms.js";
import { sequenceLogProbs } from "../../src/logprobs/logProbs.js";
import { packedSequenceLogProbs } from "../../src/logprobs/packedLogProbs.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { spoLoss } from "../../src/losses/spo.js";
import type { GptParameters } from "../../src/models/gpt.js";
import { packBatch } from "../../src/nn/packing.js";
import { slice } from "../../src/ops/movement.js";
import { adamw } from "../../src/optim/adamw.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { data, makeBatch, makeParameters, model } from "./gptWorkload.js";

/** The losses PyTorch's numbers are for. */
export const GPT_LOSSES = ["gpt-dpo", "gpt-spo"] as const;
export type GptLoss = (typeof GPT_LOSSES)[number];

/** How far the losses may be from PyTorch's, relatively. */
export const LOSS_TOLERANCE = { "gpt-dpo": 5e-5, "gpt-spo": 1e-5 } as const;

export const batch = makeBatch();
export const ids = tensor(batch.tokens, { dtype: "int32" });
export const mask = tensor(batch.mask);
const referenceChosen = tensor(data.refChosen);
const referenceRejected = tensor(data.refRejected);
const chosenLength = tensor(data.chosenLengths);

/** A loss and what it is made of, per pair. */
export interface Evaluation {
  chosen: Tensor;
  rejected: Tensor;
  margins: Tensor;
  loss: Tensor;
}

const packed = await packBatch(ids, mask);

/** Log-probabilities of the sequences: of everything, and of what the loss needs. */
export const LOG_PROBS = {
  plain: (parameters: GptParameters): Tensor =>
    sequenceLogProbs(model.apply(parameters, ids), ids, mask),
  packed: (parameters: GptParameters): Tensor =>
    packedSequenceLogProbs(
      model.packedHidden(parameters, packed),
      model.headWeight(parameters),
      packed,
    ),
} as const;

export type GptForm = keyof typeof LOG_PROBS;

/** The loss of the batch. */
export function evaluate(
  name: GptLoss,
  parameters: GptParameters,
  form: GptForm = "plain",
): Evaluation {
  const { B } = data.config;
  const logps = LOG_PROBS[form](parameters);
  const [chosen, rejected] = [slice(logps, [0, B]), slice(logps, [B])];
  const pairs = { chosen, rejected, referenceChosen, referenceRejected, chosenLength };
  // With v* = 0 the penalty is the mean over pairs of −log π(y_w)/|y_w|.
  const { loss, rewards } = name === "gpt-dpo" ? dpoLoss(pairs) : spoLoss(pairs, { floor: 0 });
  return { chosen, rejected, margins: rewards.chosen.sub(rewards.rejected), loss };
}

/**
 * Steps of AdamW, one at least: losses and mean margins before each and after the last, and what the
 * first started from.
 */
export async function train(name: GptLoss, steps: number, form: GptForm = "plain") {
  const optimizer = adamw({ learningRate: 1e-3, weightDecay: 0.01 });
  let parameters = makeParameters();
  let state = optimizer.init(parameters);
  const losses: number[] = [];
  const meanMargins: number[] = [];
  let start: (Evaluation & { gradients: GptParameters }) | undefined;
  for (let step = 0; step < steps; step++) {
    let seen: Evaluation | undefined;
    const [loss, gradients] = valueAndGrad((p: GptParameters) => {
      seen = evaluate(name, p, form);
      return seen.loss;
    })(parameters);
    const margin = seen!.margins.mean();
    [parameters, state] = optimizer.update(gradients, state, parameters);
    await realize(seen, gradients, margin, parameters, state);
    losses.push(await loss.item());
    meanMargins.push(await margin.item());
    start ??= { ...seen!, gradients };
  }
  const end = evaluate(name, parameters, form);
  const margin = end.margins.mean();
  await realize(end, margin);
  losses.push(await end.loss.item());
  meanMargins.push(await margin.item());
  return { losses, meanMargins, parameters, start: start!, end };
}

/** The Euclidean norm. */
export function norm(values: ArrayLike<number>): number {
  return Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));
}
