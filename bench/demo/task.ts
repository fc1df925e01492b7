/**
 * What a run learns from: generated additions or the pairs of a file, tokenized, split and padded.
 * @module
 */

import type { PreferenceRow } from "../../src/index.js";
import { arithmeticTask } from "./arithmeticTask.js";
import { fileTask } from "./fileTask.js";
import type { TokenExample } from "./pairs.js";
import type { Settings } from "./settings.js";
import type { Tokenizer } from "./tokenizer.js";

/** A held-out prompt whose answers are shown. */
export interface Sample {
  readonly prompt: string;
  /** The right answer; null where none is defined. */
  readonly right: string | null;
}

/** Data ready for training. */
export interface Task {
  readonly tokenizer: Tokenizer;
  /** Positions the model has. */
  readonly context: number;
  /** Responses of supervised fine-tuning. */
  readonly supervised: readonly TokenExample[];
  /** Pairs to train preferences on, in a random order. */
  readonly training: readonly PreferenceRow[];
  /** Pairs no training sees. */
  readonly heldOut: readonly PreferenceRow[];
  /** Held-out problems with their right answers; null where a right answer is not defined. */
  readonly exam: readonly TokenExample[] | null;
  readonly samples: readonly Sample[];
  /** Tokens of a sample's answer, at most. */
  readonly sampleLength: number;
  /** What was made or read, what was cut and what was left out: a line each. */
  readonly description: readonly string[];
}

/**
 * The data of the settings.
 * @throws (the returned promise rejects) for a file that cannot be used, or settings that do not fit the data.
 */
export async function taskOf(settings: Settings): Promise<Task> {
  const task =
    settings.data === null ? arithmeticTask(settings) : await fileTask(settings, settings.data);
  const { length: count } = task.training;
  if (settings.batchSize > count) {
    throw new RangeError(
      `--batch-size ${settings.batchSize} exceeds the ${count} training pairs; pass a smaller one`,
    );
  }
  return task;
}
