/**
 * The rows that a command is given, of whatever kind they are.
 * @module
 */

import { isPlainObject } from "../checks.js";
import type { ReadOptions } from "../data/options.js";
import type { ReadRows } from "../data/read.js";
import { readPreferences } from "../data/readPreferences.js";
import { readTexts } from "../data/readTexts.js";
import { readUnpaired } from "../data/readUnpaired.js";
import { openDataset, readRecords } from "../data/records.js";
import type { PreferenceRow, TextRow, UnpairedRow } from "../data/rows.js";
import type { Tokenizer } from "../models/tokenizer.js";
import type { OptionsOf } from "./options.js";

/** The options that say how rows are read. */
type RowOptions = Pick<
  OptionsOf<"check">,
  | "data"
  | "split"
  | "dataRevision"
  | "columns"
  | "limit"
  | "maxLength"
  | "truncation"
  | "tokenization"
  | "system"
>;

/** The options under the names that reading has for them. */
export function readOptions(options: RowOptions): ReadOptions {
  const { columns, split, dataRevision, limit, maxLength, truncation } = options;
  const { tokenization, system } = options;
  return {
    maxLength: maxLength === 0 ? null : maxLength,
    truncation,
    tokenization,
    ...(columns && { columns }),
    ...(split !== undefined && { split }),
    ...(dataRevision !== undefined && { revision: dataRevision }),
    ...(limit !== undefined && { limit }),
    ...(system !== undefined && { system }),
  };
}

/** What rows can be. */
export type AnyRow = PreferenceRow | UnpairedRow | TextRow;

/** How a dataset is read. */
interface Reader {
  /** Whether its rows are completions with labels. */
  readonly isUnpaired: boolean;
  readonly read: (tokenizer: Tokenizer, options: ReadOptions) => Promise<ReadRows<AnyRow>>;
}

/** The reader of a dataset: of pairs where its first row has them, of completions with labels, or of texts. */
export async function readerOf(options: OptionsOf<"check">): Promise<Reader> {
  const { data, columns = {}, completionOnlyLoss, assistantOnlyLoss } = options;
  const names = await columnsOf(data, readOptions(options));
  const has = (column: string): boolean => names.includes(columns[column] ?? column);
  const isUnpaired = !has("chosen") && has("label");
  return {
    isUnpaired,
    read(tokenizer, reading) {
      if (has("chosen")) return readPreferences(data, tokenizer, reading);
      if (isUnpaired) return readUnpaired(data, tokenizer, reading);
      return readTexts(data, tokenizer, { ...reading, completionOnlyLoss, assistantOnlyLoss });
    },
  };
}

/** The columns of a dataset's first row. */
async function columnsOf(
  data: string,
  { split, revision }: ReadOptions,
): Promise<readonly string[]> {
  for await (const { value } of readRecords(
    await openDataset("check", data, { split, revision }),
    1,
  )) {
    return isPlainObject(value) ? Object.keys(value) : [];
  }
  return [];
}
