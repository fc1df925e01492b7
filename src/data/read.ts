/**
 * From a source to tokenised rows: every record is read and checked, those that are sound become tokens, and what is
 * wrong is said at the end of the source.
 * @module
 */

import { isPlainObject, nearestName } from "../checks.js";
import { fingerprint } from "../files/fingerprint.js";
import type { Tokenizer } from "../models/tokenizer.js";
import type { Prompted, RowReading } from "./formats.js";
import type { Settings } from "./options.js";
import { Problems, type RecordPlace, RowProblem } from "./problems.js";
import { contentsOf, type DataSource, type Dataset, openDataset, readRecords } from "./records.js";
import { rowCache } from "./rowCache.js";
import type { Rows } from "./rows.js";
import { type RowFormat, rowsInMemory } from "./store.js";
import { type DataSummary, type SummaryFigures, summaryOf, Tally } from "./summary.js";

/** Tokenised rows, and what was found on the way to them. */
export interface ReadRows<Row> {
  readonly rows: Rows<Row>;
  readonly summary: ReadSummary;
}

/** What was found in a dataset, by this call or by the one that wrote the cache. */
export interface ReadSummary extends DataSummary {
  /** Whether the rows were in the cache or have been written to it; null without one. */
  readonly cache: "hit" | "written" | null;
}

/** A record's tokens. */
export interface Tokenized<Tokens> {
  readonly row: number;
  readonly tokens: Tokens;
}

/** Options that determine rows. */
type RowSettings = Omit<Settings, "cache" | "split" | "revision">;

/** A kind of rows. */
export interface RowKind<Example extends Prompted, Tokens, Row> {
  readonly caller: string;
  readonly format: RowFormat<Row>;
  /** What a record says. @throws RowProblem. */
  example(value: unknown, reading: RowReading): Example;
  /** Its tokens. @throws RowProblem. */
  tokens(example: Example): Tokens;
  /** The rows of records. */
  rows(records: AsyncIterable<Tokenized<Tokens>>, tally: Tally): AsyncIterable<Row>;
  /** What is wrong with all rows together, if anything is. */
  fault?(figures: SummaryFigures): string | undefined;
}

/** Changes where rows or their files become others. */
const VERSION = 2;

/** Reads a source; `own` are the options of its kind that determine rows. @throws DataError. */
export async function readRows<Example extends Prompted, Tokens, Row>(
  kind: RowKind<Example, Tokens, Row>,
  source: DataSource,
  tokenizer: Tokenizer,
  { cache: directory, split, revision, ...settings }: Settings,
  own: object = {},
): Promise<ReadRows<Row>> {
  const { caller, format } = kind;
  const dataset = await openDataset(caller, source, { split, revision });
  const problems = new Problems();
  const tally = new Tally();
  const rows = () => {
    const records = readRecords(dataset, settings.limit);
    return kind.rows(tokenized(kind, records, settings, tally, problems), tally);
  };
  const finish = () => {
    problems.check(caller);
    const figures = tally.figures();
    const fault = faultOf(figures, settings) ?? kind.fault?.(figures);
    if (fault !== undefined) {
      const file = "files" in dataset ? dataset.files.map(({ name }) => name).join(", ") : null;
      problems.add({ file, line: null, row: -1 }, fault);
    }
    problems.check(caller);
    return { figures, skips: tally.skips };
  };
  if (directory === undefined) {
    const kept = await rowsInMemory(format, rows());
    const { figures, skips } = finish();
    return { rows: kept, summary: { ...summaryOf(figures, skips), cache: null } };
  }
  const key = [VERSION, { ...settings, ...own }, await tokenizer.fingerprint(), dayOf(tokenizer)];
  const what = JSON.stringify(key);
  const cache = await rowCache(directory, format, await fingerprint(printed(what, dataset)));
  const hit = await cache.find();
  if (hit) return { ...hit, summary: { ...hit.summary, cache: "hit" } };
  await cache.write(rows(), finish);
  const written = (await cache.find())!;
  return { ...written, summary: { ...written.summary, cache: "written" } };

  async function* printed(text: string, contents: Dataset): AsyncGenerator<Uint8Array> {
    yield new TextEncoder().encode(text);
    yield* contentsOf(caller, contents);
  }
}

/** Today, where a template writes it into conversations. */
function dayOf({ chatTemplates }: Tokenizer): string | null {
  const dated = [...chatTemplates.values()].some((template) => template.includes("strftime_now"));
  return dated ? new Date().toDateString() : null;
}

/** The tokens of records. Behind a record that cannot be read, the others are only checked. */
async function* tokenized<Example extends Prompted, Tokens>(
  kind: RowKind<Example, Tokens, unknown>,
  records: AsyncIterable<RecordPlace & { readonly value: unknown }>,
  { columns, system, tokenization }: RowSettings,
  tally: Tally,
  problems: Problems,
): AsyncGenerator<Tokenized<Tokens>> {
  const reading = { columns, system, asTrl: tokenization === "trl" };
  const missing = new Map(Object.entries(columns));
  let names: readonly string[] = [];
  let readable = true;
  for await (const record of records) {
    tally.read++;
    if (missing.size > 0 && isPlainObject(record.value)) {
      names = Object.keys(record.value);
      for (const [name, column] of missing) if (names.includes(column)) missing.delete(name);
    }
    const example = problems.of(record, () => {
      if (record.value instanceof RowProblem) throw record.value;
      return kind.example(record.value, reading);
    });
    readable &&= example !== undefined;
    if (!readable) continue;
    const tokens = problems.of(record, () => kind.tokens(example!));
    if (tokens === undefined) continue;
    tally.add("implicit", example!.implicit);
    tally.add("repeated", example!.repeated);
    yield { row: record.row, tokens };
  }
  if (tally.read === 0) return;
  for (const [name, column] of missing) {
    const nearest = nearestName(column, names);
    problems.add(
      { file: null, line: null, row: -1 },
      `no row has ${column}, which columns.${name} names; ` +
        (nearest ? `did you mean ${nearest}?` : `rows have ${names.join(", ") || "no fields"}`),
    );
  }
}

function faultOf(
  { read, kept, conversations, dropped }: SummaryFigures,
  { maxLength, system }: RowSettings,
): string | undefined {
  if (read === 0) return "has no rows";
  if (kept === 0) {
    const reasons = Object.entries(dropped).map(([reason, count]) => `${reason} (${count})`);
    return `no row is left of ${read}: ${reasons.join(", ")}; maxLength is ${maxLength}`;
  }
  if (system !== undefined && conversations === 0) {
    return "no row is a conversation, so there is none for the option system to begin";
  }
  return undefined;
}

/** Whether two lists of tokens are the same. */
export function sameTokens(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, i) => id === other[i]);
}

/** Adds what a prompt's and its completions' tokens show. */
export function countTokens(
  tally: Tally,
  { completionIds, merged, doubleBos, conversation }: CountedTokens,
  { eosTokenId }: Tokenizer,
): void {
  tally.add("conversations", conversation);
  tally.add("merged", merged);
  tally.add("doubleBos", doubleBos);
  for (const ids of completionIds) {
    tally.add("empty", ids.length === 0);
    tally.add("noEos", eosTokenId === null || !ids.includes(eosTokenId));
  }
}

interface CountedTokens {
  readonly completionIds: readonly (readonly number[])[];
  readonly merged: boolean;
  readonly doubleBos: boolean;
  readonly conversation: boolean;
}
