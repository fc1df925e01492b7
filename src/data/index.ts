/**
 * Datasets: reading, checking and tokenising them.
 * @module
 */

export type { ColumnName } from "./formats.js";
export type { ReadOptions } from "./options.js";
export { DataError, type DataProblem, type RecordPlace } from "./problems.js";
export type { ReadRows, ReadSummary } from "./read.js";
export { readPreferences } from "./readPreferences.js";
export { type ReadTextsOptions, readTexts } from "./readTexts.js";
export { type ReadUnpairedOptions, readUnpaired } from "./readUnpaired.js";
export type { DataSource } from "./records.js";
export { type PreferenceRow, type Rows, rowsOf, type TextRow, type UnpairedRow } from "./rows.js";
export {
  type SentenceSimilarity,
  type WithSentences,
  type WithSentencesOptions,
  withSentences,
} from "./sentences.js";
export type { DataSummary, SkippedRow } from "./summary.js";
export type { Tokenization } from "./tokens.js";
export type { SkipReason, Truncation } from "./truncation.js";
