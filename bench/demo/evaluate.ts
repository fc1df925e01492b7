/**
 * What is measured of a model on held-out data.
 * @module
 */

import { type Gpt, type GptParameters, generate, sequenceLogProbs } from "../../src/index.js";
import { batchOf, type PairSequences } from "./pairs.js";
import type { Exam, Task } from "./task.js";

/** Log-probabilities of both responses of each pair, summed over their tokens, nats. */
export interface Scores {
  readonly chosen: Float32Array;
  readonly rejected: Float32Array;
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
  readonly answerAccuracy: number | null;
}

/** Sequences per forward pass of an evaluation, as a multiple of a training step's. */
const EVALUATION_BATCHES = 2;

/** What to score, and how. */
export interface ScoreOptions {
  /** Pairs per forward pass, before {@link EVALUATION_BATCHES}. */
  readonly batchSize: number;
  /** The rows to score; default all. Others are NaN. */
  readonly rows?: readonly number[];
  /** Is told how many are done after each batch. */
  readonly scored?: (done: number, total: number) => void | Promise<void>;
}

/**
 * The scores of pairs, a batch at a time. The last batch is filled up with its first row, so that
 * one plan serves all.
 */
export async function scorePairs(
  model: Gpt,
  parameters: GptParameters,
  pairs: PairSequences,
  { batchSize, rows = [...pairs.chosen.responseLengths.keys()], scored }: ScoreOptions,
): Promise<Scores> {
  const { count } = pairs.chosen;
  const chosen = new Float32Array(count).fill(Number.NaN);
  const rejected = new Float32Array(count).fill(Number.NaN);
  const size = Math.min(rows.length, EVALUATION_BATCHES * batchSize);
  for (let start = 0; start < rows.length; start += size) {
    const own = rows.slice(start, start + size);
    const batch = Array.from({ length: size }, (_, i) => own[i] ?? own[0]!);
    const { ids, mask } = batchOf([pairs.chosen, pairs.rejected], batch);
    const logProbs = await sequenceLogProbs(model.apply(parameters, ids), ids, mask).data();
    for (const [i, row] of own.entries()) {
      chosen[row] = logProbs[i]!;
      rejected[row] = logProbs[size + i]!;
    }
    await scored?.(start + own.length, rows.length);
  }
  return { chosen, rejected };
}

/** The figures of scores, compared with the SFT checkpoint's; null where there is none yet. */
export function figuresOf(
  scores: Scores,
  sft: Scores | null,
  pairs: PairSequences,
): Omit<Figures, "answerAccuracy"> {
  const count = scores.chosen.length;
  const margins = marginsOf(scores);
  const before = sft && marginsOf(sft);
  return {
    chosenPerToken: total(scores.chosen) / total(pairs.chosen.responseLengths),
    rejectedPerToken: total(scores.rejected) / total(pairs.rejected.responseLengths),
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

/** Share of the exam's problems answered exactly right by greedy decoding. */
export async function examine(
  model: Gpt,
  parameters: GptParameters,
  exam: Exam,
  { tokenizer }: Task,
): Promise<number> {
  const answers = await generate(model, parameters, exam.prompts, {
    maxNewTokens: Math.max(...exam.answers.map((answer) => answer.length)),
    stopToken: tokenizer.end,
  });
  const right = answers.filter((answer, i) => String(answer) === String(exam.answers[i]));
  return right.length / answers.length;
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
