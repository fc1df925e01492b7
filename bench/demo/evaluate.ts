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

/**
 * The scores of all pairs, a batch at a time. The last batch is filled up with its first row, so
 * that one plan serves all. `scored` is told the number of pairs after each batch.
 */
export async function scorePairs(
  model: Gpt,
  parameters: GptParameters,
  pairs: PairSequences,
  batchSize: number,
  scored: (count: number) => void | Promise<void> = () => {},
): Promise<Scores> {
  const { count } = pairs.chosen;
  const size = Math.min(count, EVALUATION_BATCHES * batchSize);
  const scores = { chosen: new Float32Array(count), rejected: new Float32Array(count) };
  for (let start = 0; start < count; start += size) {
    const rows = Array.from({ length: size }, (_, i) => (start + i < count ? start + i : start));
    const { ids, mask } = batchOf([pairs.chosen, pairs.rejected], rows);
    const logProbs = await sequenceLogProbs(model.apply(parameters, ids), ids, mask).data();
    const used = Math.min(size, count - start);
    scores.chosen.set(logProbs.subarray(0, used), start);
    scores.rejected.set(logProbs.subarray(size, size + used), start);
    await scored(start + used);
  }
  return scores;
}

/** The figures of scores, compared with the SFT checkpoint's. */
export function figuresOf(
  scores: Scores,
  sft: Scores,
  pairs: PairSequences,
): Omit<Figures, "answerAccuracy"> {
  const count = scores.chosen.length;
  const margins = Array.from(scores.chosen, (chosen, i) => chosen - scores.rejected[i]!);
  const left = margins.map((_, i) => {
    const now = logAddExp(scores.chosen[i]!, scores.rejected[i]!);
    const before = logAddExp(sft.chosen[i]!, sft.rejected[i]!);
    return Math.max(0, -Math.expm1(now - before));
  });
  return {
    chosenPerToken: total(scores.chosen) / total(pairs.chosen.responseLengths),
    rejectedPerToken: total(scores.rejected) / total(pairs.rejected.responseLengths),
    margin: total(margins) / count,
    preferenceAccuracy: margins.filter((margin) => margin > 0).length / count,
    leftBoth: total(left) / count,
  };
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
