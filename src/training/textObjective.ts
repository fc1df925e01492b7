/**
 * Supervised fine-tuning of a language model on texts.
 * @module
 */

import { gradients } from "../autograd/gradients.js";
import { checkOptions } from "../checks.js";
import type { TextRow } from "../data/rows.js";
import { div, stack } from "../ops/index.js";
import { full, tensor } from "../tensor/create.js";
import { realize, realizeInto } from "../tensor/evaluate.js";
import type { Tensor } from "../tensor/tensor.js";
import { treeLeaves, treeMap, treeUnflatten } from "../tensor/tree.js";
import { checkRowKind } from "./givenRows.js";
import type { Objective, WeightedSum } from "./objective.js";
import type { Policy } from "./policy.js";
import { checkReading } from "./preferenceObjective.js";
import { type BatchSemantics, meansAsOne } from "./rowObjective.js";
import {
  type PackedSequences,
  packSequences,
  type ReadingOptions,
  scoreSequences,
} from "./sequences.js";

/** Options of {@link textObjective}. */
export interface TextObjectiveOptions<P> extends ReadingOptions {
  /** What is trained: {@link fullPolicy} or {@link loraPolicy} of a model. */
  readonly policy: Policy<P>;
  /** How metrics are averaged; the loss is the same. Default `"whole"`. */
  readonly batchSemantics?: BatchSemantics;
}

interface TextBatch {
  readonly sequences: PackedSequences;
  readonly tokens: number;
}

/** Parameters, and the text of what is random. */
interface Place<P> {
  readonly parameters: P;
  readonly draw?: string;
}

type Metrics = Readonly<Record<string, WeightedSum>>;

/** The parts of a {@link textObjective}: sums over tokens, so that the step divides by their number once. */
type TextParts<P> = {
  readonly metrics: (at: Place<P>, batch: TextBatch) => Metrics;
  readonly gradient: (
    at: Place<P>,
    batch: TextBatch,
  ) => { readonly gradient: P; readonly metrics: Metrics; readonly tokens: Tensor };
};

/**
 * The objective of texts: `−Σ log π_θ / n` over the n learned tokens of all rows of a step, nats per token, however
 * the step is cut.
 *
 * @throws for options that are unknown or out of range.
 */
export function textObjective<P>(options: TextObjectiveOptions<P>): Objective<P, TextRow, object> {
  checkOptions("textObjective", options, "policy", "batchSemantics", "chunkSize", "multipleOf");
  const { policy, batchSemantics = "whole" } = options;
  checkReading("textObjective", options, batchSemantics);
  const isWhole = batchSemantics === "whole";

  const judged = ({ parameters, draw }: Place<P>, { sequences }: TextBatch) => {
    const scores = scoreSequences(policy, parameters, sequences, { ...options, draw });
    const { dtype } = scores.logProbs;
    const predicted = tensor(sequences.predicted, { dtype }).sum();
    const overTokens = (sums: Tensor) => stack([sums.sum(), predicted]);
    const nll = scores.logProbs.sum().neg();
    const means = {
      entropy: overTokens(scores.entropy),
      mean_token_accuracy: overTokens(scores.correct),
    };
    const loss = overTokens(scores.logProbs.neg());
    return { nll, metrics: { loss, ...(isWhole ? means : meansAsOne(means)) } };
  };
  const parts: TextParts<P> = {
    metrics: (at, batch) => judged(at, batch).metrics,
    gradient(at, batch) {
      const { nll, metrics } = judged(at, batch);
      const slopes = gradients(nll, treeLeaves(at.parameters));
      const gradient = treeUnflatten(at.parameters, slopes);
      return { gradient, metrics, tokens: full([], batch.tokens) };
    },
  };
  /** TRL logs the mean of steps' losses, whatever their tokens. */
  const logged = ({ loss, ...means }: Metrics): Metrics =>
    isWhole ? { loss: loss!, ...means } : { ...meansAsOne({ loss: loss! }), ...means };

  const objective: Objective<P, TextRow, object, TextBatch, TextParts<P>> = {
    parts,
    init: () => ({}),
    async collate(rows) {
      checkRowKind("textObjective", rows, "readTexts", "ids", "trained");
      const texts = rows.map(({ row, ids, trained }) => ({ row, ids, mask: trained }));
      return {
        sequences: await packSequences(texts, options),
        tokens: texts.reduce((total, { ids }) => total + ids.length, 0),
      };
    },
    async step({ parameters, state, step }, microBatches) {
      const given = (m: number) => ({ parameters, draw: `${step} ${m}` });
      const { gradient: sums, metrics, tokens } = await microBatches.sum("gradient", given);
      const count = metrics.loss!.at(1);
      const gradient = treeMap((g) => div(g, count), sums);
      const means = logged(metrics);
      await realizeInto(sums, gradient, means);
      return { gradient, state, metrics: means, totals: { num_tokens: tokens } };
    },
    async evaluate({ parameters }, microBatches) {
      return realize(logged(await microBatches.sum("metrics", { parameters })));
    },
  };
  return objective;
}
