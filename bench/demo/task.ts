/**
 * What a run learns from: generated additions or the pairs of a file, tokenized, split and padded.
 * @module
 */

import { arithmeticTask } from "./arithmeticTask.js";
import { fileTask } from "./fileTask.js";
import { InputError } from "./inputError.js";
import type { PairSequences, Sequences } from "./pairs.js";
import type { Settings } from "./settings.js";
import type { Tokenizer } from "./tokenizer.js";

/** Prompts with the one right answer each. */
export interface Exam {
  readonly prompts: readonly (readonly number[])[];
  /** Each with the tokenizer's `end`. */
  readonly answers: readonly (readonly number[])[];
}

/** Data ready for training. */
export interface Task {
  readonly tokenizer: Tokenizer;
  /** Positions the model has. */
  readonly context: number;
  /** Responses of supervised fine-tuning. */
  readonly supervised: Sequences;
  /** Pairs to train preferences on. */
  readonly training: PairSequences;
  /** Pairs no training sees. */
  readonly heldOut: PairSequences;
  /** Held-out problems; absent where a right answer is not defined. */
  readonly exam: Exam | null;
  /** What was made or read, what was cut and what was left out: a line each. */
  readonly description: readonly string[];
}

/**
 * The data of the settings.
 * @throws InputError for a file that cannot be used, or settings that do not fit the data.
 */
export function taskOf(settings: Settings): Task {
  const task =
    settings.data === null ? arithmeticTask(settings) : fileTask(settings, settings.data);
  const { count } = task.training.chosen;
  if (settings.batchSize > count) {
    throw new InputError(
      `--batch-size ${settings.batchSize} exceeds the ${count} training pairs; pass a smaller one`,
    );
  }
  return task;
}
