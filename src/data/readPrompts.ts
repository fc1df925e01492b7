/**
 * Prompts from a dataset, as it has them and as a model reads them.
 * @module
 */

import type { Tokenizer } from "../models/tokenizer.js";
import type { FileChoice } from "./dataFiles.js";
import { begunWith, type Extras, type RowReading, readAsked, type Writing } from "./formats.js";
import { Problems, RowProblem } from "./problems.js";
import { type DataSource, openDataset, readRecords } from "./records.js";
import { promptIdsOf } from "./tokens.js";

/** A prompt of a dataset. */
export interface PromptRow extends Extras {
  /** Its number among the rows of the source, from 0. */
  readonly row: number;
  /** The prompt as the dataset has it. */
  readonly given: Writing;
  /** The same with the system's message, and as a conversation where texts are made one. */
  readonly prompt: Writing;
  /** Its tokens, those that begin the answer included. */
  readonly ids: readonly number[];
}

/** How prompts are read. */
export interface PromptReading extends FileChoice, Pick<RowReading, "columns" | "system"> {
  /** Whether a text is the message of a user. */
  readonly chat: boolean;
  /** Most rows. */
  readonly limit: number;
  /** Most tokens of a prompt, and why. */
  readonly most: number;
  readonly why: string;
}

/** Reads prompts. Other columns are left alone. @throws DataError with everything that is wrong, each with its line. */
export async function readPrompts(
  caller: string,
  source: DataSource,
  tokenizer: Tokenizer,
  { columns, system, chat, limit, most, why, ...choice }: PromptReading,
): Promise<readonly PromptRow[]> {
  const dataset = await openDataset(caller, source, choice);
  const idsOf = promptIdsOf(tokenizer);
  const problems = new Problems();
  const rows: PromptRow[] = [];
  for await (const record of readRecords(dataset, limit)) {
    problems.of(record, () => {
      if (record.value instanceof RowProblem) throw record.value;
      const { prompt: given, ...said } = readAsked(record.value, {
        columns,
        system,
        asTrl: false,
      });
      const asked: Writing =
        chat && typeof given === "string" ? [{ role: "user", content: given }] : given;
      const prompt = system === undefined ? asked : begunWith(system, asked);
      const ids = idsOf(prompt, said);
      if (ids.length === 0) throw new RowProblem("the prompt has no tokens");
      if (ids.length > most) {
        throw new RowProblem(`the prompt has ${ids.length} tokens, at most ${most} ${why}`);
      }
      rows.push({ row: record.row, given, prompt, ids, ...said });
    });
  }
  const whole = (message: string): void =>
    problems.add({ file: null, line: null, row: -1 }, message);
  problems.check(caller);
  if (rows.length === 0) whole("has no rows");
  else if (system !== undefined && rows.every(({ prompt }) => typeof prompt === "string")) {
    whole("no prompt is a conversation, so there is none for the option system to begin");
  }
  problems.check(caller);
  return rows;
}
