/**
 * Texts to learn from a dataset.
 * @module
 */

import { checkFlag } from "../checks.js";
import type { Tokenizer } from "../models/tokenizer.js";
import { type Learned, readLearned } from "./formats.js";
import { checkTokenizer, type ReadOptions, readSettings, type Settings } from "./options.js";
import { countTokens, type ReadRows, type RowKind, readRows, type Tokenized } from "./read.js";
import type { DataSource } from "./records.js";
import type { TextRow } from "./rows.js";
import { TEXTS } from "./store.js";
import type { Tally } from "./summary.js";
import { type TextTokens, textTokenizer } from "./textTokens.js";
import { fitText } from "./truncation.js";

/** Options of {@link readTexts}. */
export interface ReadTextsOptions extends ReadOptions {
  /** Whether of a row with a prompt only the completion is learned. Default true. */
  readonly completionOnlyLoss?: boolean;
  /**
   * Whether only what the assistant wrote is learned, by the template's `{% generation %}`. Rows must be conversations.
   * Default false.
   */
  readonly assistantOnlyLoss?: boolean;
}

/**
 * Reads texts to learn, checks them, and makes them tokens: `text`, `messages` (or ShareGPT's `conversations`), or
 * `prompt` with `completion`.
 *
 * @throws DataError (the returned promise rejects) with everything that is wrong, each with its line.
 */
export async function readTexts(
  source: DataSource,
  tokenizer: Tokenizer,
  options: ReadTextsOptions = {},
): Promise<ReadRows<TextRow>> {
  const caller = "readTexts";
  checkTokenizer(caller, tokenizer);
  const settings = readSettings(caller, options, ["completionOnlyLoss", "assistantOnlyLoss"]);
  const { completionOnlyLoss = true, assistantOnlyLoss = false } = options;
  checkFlag(caller, "completionOnlyLoss", completionOnlyLoss);
  checkFlag(caller, "assistantOnlyLoss", assistantOnlyLoss);
  const only = { completionOnlyLoss, assistantOnlyLoss };
  const kind: RowKind<Learned, TextTokens, TextRow> = {
    caller,
    format: TEXTS,
    example: readLearned,
    tokens: textTokenizer(tokenizer, settings.tokenization, only),
    rows: (records, tally) => textRows(records, tally, tokenizer, settings),
  };
  return readRows(kind, source, tokenizer, settings, only);
}

async function* textRows(
  records: AsyncIterable<Tokenized<TextTokens>>,
  tally: Tally,
  tokenizer: Tokenizer,
  settings: Settings,
): AsyncGenerator<TextRow> {
  for await (const { row, tokens } of records) {
    countTokens(tally, { ...tokens, completionIds: [tokens.completionIds] }, tokenizer);
    const fitted = fitText(tokens, settings, tokenizer);
    if (typeof fitted === "string") {
      tally.skip(row, fitted);
      continue;
    }
    const { ids, trained, cut, ends } = fitted;
    tally.cut(cut, ends);
    const count = trained.reduce((sum, one) => sum + one, 0);
    tally.keep({ row, tokens: ids.length, trained: count, length: ids.length });
    yield { row, ids, trained };
  }
}
