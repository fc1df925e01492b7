/**
 * Options of reading, which are the same for all kinds of rows.
 * @module
 */

import { checkChoice, checkCount, checkOptions, describeValue, isPlainObject } from "../checks.js";
import type { DirectoryTarget } from "../files/outputDirectory.js";
import { COLUMNS, type ColumnName } from "./formats.js";
import type { Tokenization } from "./tokens.js";
import type { Truncation } from "./truncation.js";

/** Options of {@link readPreferences}. */
export interface ReadOptions {
  /** The most tokens of a prompt with a completion; null for no limit. Default 1024, as in TRL. */
  readonly maxLength?: number | null;
  /** What of longer rows is kept. Default `"keep_start"`, as in TRL. */
  readonly truncation?: Truncation;
  /** `"trl"` gives TRL's tokens, `"safe"` differs where they lose something. Default `"safe"`. */
  readonly tokenization?: Tokenization;
  /** Names that columns have in the data: `{ prompt: "question" }`. Default their own. */
  readonly columns?: Readonly<Partial<Record<ColumnName, string>>>;
  /** The split that is read of a directory or of an id of the hub. Default `"train"`, or all where no name says one. */
  readonly split?: string;
  /** A branch, a tag or a commit of an id of the hub. Default `"main"`. */
  readonly revision?: string;
  /** How many rows are read, from the first. Default all. */
  readonly limit?: number;
  /** A system message for conversations that begin with none. Default none is added. */
  readonly system?: string;
  /**
   * A directory for the tokenised rows, so that they need no memory, and are found again by the next call for the same
   * data, tokenizer and options. Default none: the rows are in memory.
   */
  readonly cache?: DirectoryTarget;
}

/** Options with their defaults. */
export interface Settings {
  readonly maxLength: number;
  readonly truncation: Truncation;
  readonly tokenization: Tokenization;
  readonly columns: Readonly<Partial<Record<ColumnName, string>>>;
  readonly limit: number;
  readonly system: string | undefined;
  readonly split: string | undefined;
  readonly revision: string | undefined;
  readonly cache: DirectoryTarget | undefined;
}

/** Rejects what is no tokenizer. */
export function checkTokenizer(caller: string, tokenizer: unknown): void {
  const has = (name: string): boolean => name in Object(tokenizer);
  if (has("encode") && has("applyChatTemplate")) return;
  throw new TypeError(
    `${caller}: tokenizer must be one of loadTokenizer or loadModel, got ` +
      (has("tokenizer")
        ? "a model; give its tokenizer, model.tokenizer"
        : describeValue(tokenizer)),
  );
}

/** Options that are checked. @throws for unknown ones and for values that are none. */
export function readSettings<Options extends ReadOptions>(
  caller: string,
  options: Options,
  own: readonly (keyof Options & string)[] = [],
): Settings {
  checkOptions(
    caller,
    options,
    "maxLength",
    "truncation",
    "tokenization",
    "columns",
    "split",
    "revision",
    "limit",
    "system",
    "cache",
    ...own,
  );
  const {
    maxLength = 1024,
    truncation = "keep_start",
    tokenization = "safe",
    columns = {},
    split,
    revision,
    limit,
    system,
    cache,
  } = options;
  for (const [name, value] of Object.entries({ split, revision, system })) {
    if (value === undefined || (typeof value === "string" && value !== "")) continue;
    throw new TypeError(`${caller}: ${name} must be a text, got ${describeValue(value)}`);
  }
  if (maxLength !== null) checkCount(caller, "maxLength", maxLength, 2);
  checkChoice(caller, "truncation", truncation, ["keep_start", "keep_end", "drop"]);
  checkChoice(caller, "tokenization", tokenization, ["safe", "trl"]);
  if (!isPlainObject(columns)) {
    throw new TypeError(
      `${caller}: columns must be an object as { prompt: "question" }, got ${describeValue(columns)}`,
    );
  }
  for (const [name, column] of Object.entries(columns)) {
    checkChoice(caller, "columns: a name", name, COLUMNS);
    if (typeof column !== "string") {
      throw new TypeError(
        `${caller}: columns.${name} must be a name, got ${describeValue(column)}`,
      );
    }
  }
  if (limit !== undefined) checkCount(caller, "limit", limit, 1);
  if (cache !== undefined && typeof cache !== "string" && !("getFileHandle" in Object(cache))) {
    throw new TypeError(
      `${caller}: cache must be the path of a directory or a FileSystemDirectoryHandle, got ${describeValue(cache)}`,
    );
  }
  return {
    maxLength: maxLength ?? Number.POSITIVE_INFINITY,
    truncation,
    tokenization,
    columns,
    limit: limit ?? Number.POSITIVE_INFINITY,
    system,
    split,
    revision,
    cache,
  };
}
