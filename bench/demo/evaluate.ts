/**
 * What is measured of a model on held-out data.
 * @module
 */

import {
  type Gpt,
  type GptParameters,
  generate,
  type PreferenceRow,
  sequenceLogProbs,
  type Tensor,
  tensor,
} from "../../src/index.js";
import { largest } from "./largest.js";
import { sideOf, type TokenExample, textOf } from "./pairs.js";
import type { Task } from "./task.js";

/** Log-probabilities of both responses of each pair, summed over their tokens, nats. */
export interface Scores {
  readonly chosen: ArrayLike<number>;
  readonly rejected: ArrayLike<number>;
}

/** The figures of one model. */
export interface Figures {
  /** log π(chosen | prompt) per token: all nats over all tokens. */
  readonly chosenPerToken: number;
  /** The same of the rejected responses. */
  readonly rejectedPerToken: number;
  /** Mean of log π(chosen | prompt) − log π(rejected | prompt), nats. */
  readonly margin: number;
  /** Share of pairs with a margin > 0. */
  readonly preferenceAccuracy: number;
  /** Share of pairs with a margin greater than the SFT checkpoint's; null for that checkpoint itself. */
  readonly rewardAccuracy: number | null;
  /**
   * Mean over pairs of `max(0, 1 − p/p₀)`, where p = π(chosen | prompt) + π(rejected | prompt) and
   * p₀ is the same of the SFT checkpoint: the share of its probability that is on neither now.
   */
  readonly leftBoth: number;
  /** Share of held-out problems answered exactly right by greedy decoding; null: no such problems. */
  readonly greedyAccuracy: number | null;
  /**
   * The share that is right when answers are sampled (temperature 1), as its exact expectation: the
   * mean of π(right answer | prompt). Null: no such problems.
   */
  readonly sampledAccuracy: number | null;
}

/** How to score. */
export interface ScoreOptions {
  /** Rows of a training step; a forward pass of an evaluation has room for twice as many. */
  readonly batchSize: number;
  /** Is told how many are done after each batch. */
  readonly scored?: (done: number, total: number) => void | Promise<void>;
}

/** The scores of pairs. */
export async function scorePairs(
  model: Gpt,
  parameters: GptParameters,
  pairs: readonly PreferenceRow[],
  { batchSize, scored }: ScoreOptions,
): Promise<Scores> {
  const sides = pairs.flatMap((pair) => [sideOf(pair, "chosenIds"), sideOf(pair, "rejectedIds")]);
  const logProbs = await logProbsOf(model, parameters, sides, {
    batchSize: 2 * batchSize,
    scored: (done) => scored?.(done / 2, pairs.length),
  });
  return {
    chosen: logProbs.filter((_, i) => i % 2 === 0),
    rejected: logProbs.filter((_, i) => i % 2 === 1),
  };
}

/**
 * log π(response | prompt) of each example, a batch at a time. All batches have one shape, so that one plan serves
 * them: the last is filled up with its first example.
 */
async function logProbsOf(
  model: Gpt,
  parameters: GptParameters,
  examples: readonly TokenExample[],
  { batchSize, scored }: ScoreOptions,
): Promise<Float64Array> {
  const texts = examples.map(textOf);
  const size = Math.min(texts.length, 2 * batchSize);
  const length = largest(texts.map(({ ids }) => ids.length));
  const padded = (lists: readonly ArrayLike<number>[], dtype: "int32" | "float32"): Tensor =>
    tensor(
      lists.map((list) => Array.from({ length }, (_, t) => list[t] ?? 0)),
      { dtype },
    );
  const scores = new Float64Array(texts.length);
  for (let start = 0; start < texts.length; start += size) {
    const own = texts.slice(start, start + size);
    const batch = Array.from({ length: size }, (_, i) => own[i] ?? own[0]!);
    const ids = padded(
      batch.map((text) => text.ids),
      "int32",
    );
    const mask = padded(
      batch.map((text) => text.trained),
      "float32",
    );
    const logProbs = sequenceLogProbs(model.apply(parameters, ids), ids, mask);
    scores.set((await logProbs.data()).subarray(0, own.length), start);
    await scored?.(start + own.length, texts.length);
  }
  return scores;
}

/** The figures of scores, compared with the SFT checkpoint's; null where there is none yet. */
export function figuresOf(
  scores: Scores,
  sft: Scores | null,
  pairs: readonly PreferenceRow[],
): Omit<Figures, keyof Accuracies> {
  const count = pairs.length;
  const margins = marginsOf(scores);
  const before = sft && marginsOf(sft);
  return {
    chosenPerToken: total(scores.chosen) / total(pairs.map((pair) => pair.chosenIds.length)),
    rejectedPerToken: total(scores.rejected) / total(pairs.map((pair) => pair.rejectedIds.length)),
    margin: total(margins) / count,
    preferenceAccuracy: margins.filter((margin) => margin > 0).length / count,
    rewardAccuracy: before && margins.filter((margin, i) => margin > before[i]!).length / count,
    leftBoth: sft ? total(leftBoth(scores, sft)) / count : 0,
  };
}

function marginsOf({ chosen, rejected }: Scores): number[] {
  return Array.from(chosen, (score, i) => score - rejected[i]!);
}

/** Of each pair's probability under the SFT checkpoint, the share it lost. */
function leftBoth(scores: Scores, sft: Scores): number[] {
  const logTotal = ({ chosen, rejected }: Scores, i: number): number =>
    logAddExp(chosen[i]!, rejected[i]!);
  return Array.from(scores.chosen, (_, i) =>
    Math.max(0, -Math.expm1(logTotal(scores, i) - logTotal(sft, i))),
  );
}

/** How many of an exam's problems a model answers right. */
export type Accuracies = Pick<Figures, "greedyAccuracy" | "sampledAccuracy">;

/** The accuracies of an exam; null where there is none. */
export async function accuraciesOf(
  model: Gpt,
  parameters: GptParameters,
  task: Task,
  batchSize: number,
): Promise<Accuracies> {
  const { exam } = task;
  if (!exam) return { greedyAccuracy: null, sampledAccuracy: null };
  const prompts = exam.map(({ promptIds }) => promptIds);
  const answers = await answersOf(model, parameters, task, prompts);
  const right = answers.filter((answer, i) => String(answer) === String(exam[i]!.responseIds));
  const scores = await logProbsOf(model, parameters, exam, { batchSize });
  return {
    greedyAccuracy: right.length / answers.length,
    sampledAccuracy: total(scores.map(Math.exp)) / answers.length,
  };
}

/** The greedy answers to the task's samples, as text. */
export async function answerSamples(
  model: Gpt,
  parameters: GptParameters,
  task: Task,
): Promise<string[]> {
  const { samples, tokenizer } = task;
  const prompts = samples.map(({ prompt }) => tokenizer.encode(prompt));
  return (await answersOf(model, parameters, task, prompts)).map((ids) => tokenizer.decode(ids));
}

/** Greedy answers as tokens, each up to its end. */
function answersOf(
  model: Gpt,
  parameters: GptParameters,
  { sampleLength, tokenizer }: Task,
  prompts: readonly (readonly number[])[],
): Promise<number[][]> {
  return generate(model, parameters, prompts, {
    maxNewTokens: sampleLength,
    stopTokens: tokenizer.end,
  });
}

function total(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum;
}

/** `log(eᵃ + eᵇ)`. */
function logAddExp(a: number, b: number): number {
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}
