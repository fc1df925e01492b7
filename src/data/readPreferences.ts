/**
 * Pairs of completions from a dataset.
 * @module
 */

import type { Tokenizer } from "../models/tokenizer.js";
import { type Prompted, readPair } from "./formats.js";
import { checkTokenizer, type ReadOptions, readSettings, type Settings } from "./options.js";
import {
  countTokens,
  type ReadRows,
  type RowKind,
  readRows,
  sameTokens,
  type Tokenized,
} from "./read.js";
import type { DataSource } from "./records.js";
import type { PreferenceRow } from "./rows.js";
import { PAIRS } from "./store.js";
import type { Tally } from "./summary.js";
import { type PromptTokens, promptTokenizer } from "./tokens.js";
import { fitPrompt } from "./truncation.js";

/**
 * Reads pairs of completions, `prompt`, `chosen` and `rejected`, checks them, and makes them tokens. The texts are
 * strings or conversations; a prompt may be left out, and is then what both begin with.
 *
 * @throws DataError (the returned promise rejects) with everything that is wrong, each with its line.
 * @example
 * const { tokenizer } = await loadModel("path/to/model");
 * const { rows, summary } = await readPreferences("pairs.jsonl", tokenizer, { maxLength: 512 });
 */
export async function readPreferences(
  source: DataSource,
  tokenizer: Tokenizer,
  options: ReadOptions = {},
): Promise<ReadRows<PreferenceRow>> {
  const caller = "readPreferences";
  checkTokenizer(caller, tokenizer);
  const settings = readSettings(caller, options);
  const kind: RowKind<Prompted, PromptTokens, PreferenceRow> = {
    caller,
    format: PAIRS,
    example: readPair,
    tokens: promptTokenizer(tokenizer, settings.tokenization),
    rows: (records, tally) => pairRows(records, tally, tokenizer, settings),
  };
  return readRows(kind, source, tokenizer, settings);
}

async function* pairRows(
  records: AsyncIterable<Tokenized<PromptTokens>>,
  tally: Tally,
  tokenizer: Tokenizer,
  settings: Settings,
): AsyncGenerator<PreferenceRow> {
  const safe = settings.tokenization === "safe";
  for await (const { row, tokens } of records) {
    countTokens(tally, tokens, tokenizer);
    const areSame = ([chosen, rejected]: PromptTokens["completionIds"]) =>
      sameTokens(chosen!, rejected!);
    const identical = areSame(tokens.completionIds);
    tally.add("identical", identical);
    if (safe && identical) {
      tally.skip(row, "chosen and rejected are identical");
      continue;
    }
    const fitted = fitPrompt(tokens, settings, tokenizer);
    if (typeof fitted === "string") {
      tally.skip(row, fitted);
      continue;
    }
    const { promptIds, completionIds, cut, ends } = fitted;
    if (safe && areSame(completionIds)) {
      tally.skip(row, "chosen and rejected are identical up to maxLength");
      continue;
    }
    tally.cut(cut, ends);
    const [chosenIds, rejectedIds] = [completionIds[0]!, completionIds[1]!];
    const trained = chosenIds.length + rejectedIds.length;
    tally.keep({
      row,
      tokens: 2 * promptIds.length + trained,
      trained,
      length: promptIds.length + Math.max(chosenIds.length, rejectedIds.length),
    });
    yield { row, promptIds, chosenIds, rejectedIds };
  }
}
