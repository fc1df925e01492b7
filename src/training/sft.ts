/**
 * Supervised fine-tuning of a model, from texts to a directory with the result.
 * @module
 */

import type { TextRow } from "../data/rows.js";
import { checkRowKind } from "./givenRows.js";
import { type GivenRows, RUN_OPTIONS, type RunOptions, type RunResult, trainRun } from "./run.js";
import { settingsOf, type TrainingOptions } from "./settings/options.js";
import { textObjective } from "./textObjective.js";

/** Options of {@link sft}; the settings of training among them are those of the command line, under the same names. */
export interface SftOptions extends RunOptions, TrainingOptions<"sft"> {
  /** Texts, as {@link readTexts} gives them. */
  readonly texts: GivenRows<TextRow>;
  /** Held-out texts. Default: `evalShare` of the rows. */
  readonly evaluation?: GivenRows<TextRow>;
}

/**
 * Fine-tunes a model, or an adapter beside it, on texts: holds rows out, trains with {@link fit}, and writes a run's directory
 * as {@link align} does.
 *
 * @throws as {@link align} does.
 * @example await sft({ lm, texts: await readTexts("texts.jsonl", lm.tokenizer!), lora: true, output: "tuned" });
 */
export async function sft(options: SftOptions): Promise<RunResult> {
  const settings = settingsOf("sft", options, [...RUN_OPTIONS, "texts", "evaluation"]);
  const { texts, evaluation } = options;
  if (texts === undefined) throw new TypeError("sft: texts are needed, as readTexts gives them");
  const { batchSemantics, learningRate = 2e-5, order = "random" } = settings;
  return trainRun<TextRow, TextRow>(
    {
      command: "sft",
      settings,
      loss: null,
      learningRate,
      order,
      check: (rows) => checkRowKind("sft", rows, "readTexts", "ids", "trained"),
      prepare: async ({ policy }, rows, held) => ({
        rows,
        held,
        objective: textObjective({ policy, batchSemantics }),
      }),
    },
    options,
    texts,
    evaluation,
  );
}
