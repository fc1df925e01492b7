/**
 * Completions that are desirable or not from a dataset.
 * @module
 */

import { checkCount } from "../checks.js";
import type { Tokenizer } from "../models/tokenizer.js";
import { type Labelled, readLabelled } from "./formats.js";
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
import type { UnpairedRow } from "./rows.js";
import { UNPAIRED } from "./store.js";
import type { Tally } from "./summary.js";
import { type PromptTokens, promptTokenizer } from "./tokens.js";
import { type Fitted, fitPrompt, type SkipReason } from "./truncation.js";

/** Options of {@link readUnpaired}. */
export interface ReadUnpairedOptions extends ReadOptions {
  /**
   * How many rows, one after the other, exchange their completions for `mismatchedIds`: the rows of a micro-batch.
   * Default 8, as in TRL.
   */
  readonly batchSize?: number;
}

/** One completion of a record that is short enough, as it was and as it is kept. */
interface Single {
  readonly row: number;
  readonly desirable: boolean;
  readonly promptIds: readonly number[];
  readonly completionIds: readonly number[];
  readonly fitted: Fitted;
}

/** Records whose pairs are taken apart together, as in TRL: the chosen ones first, then the rejected ones. */
const TOGETHER = 1000;

/**
 * Reads completions with labels, `prompt`, `completion` and `label`, checks them, and makes them tokens. Pairs, as
 * `readPreferences` reads them, are taken apart: of each thousand the chosen completions come first, so that neighbours
 * answer different prompts. `mismatchedIds` is the completion of the row before, within each `batchSize` rows that are
 * kept, and the last one's for the first.
 *
 * @throws DataError (the returned promise rejects) with everything that is wrong, each with its line.
 */
export async function readUnpaired(
  source: DataSource,
  tokenizer: Tokenizer,
  options: ReadUnpairedOptions = {},
): Promise<ReadRows<UnpairedRow>> {
  const caller = "readUnpaired";
  checkTokenizer(caller, tokenizer);
  const settings = readSettings(caller, options, ["batchSize"]);
  const { batchSize = 8 } = options;
  checkCount(caller, "batchSize", batchSize, 2);
  const tokens = promptTokenizer(tokenizer, settings.tokenization);
  const kind: RowKind<Labelled, LabelledTokens, UnpairedRow> = {
    caller,
    format: UNPAIRED,
    example: readLabelled,
    tokens: (example) => ({ ...tokens(example), desirable: example.desirable }),
    rows: (records, tally) =>
      mismatched(singles(records, tally, tokenizer, settings), batchSize, settings, tally),
    fault: ({ desirable, kept }) =>
      desirable === 0 || desirable === kept
        ? `label is ${desirable > 0} in all ${kept} rows, so there is nothing to tell apart; give rows of both labels`
        : undefined,
  };
  return readRows(kind, source, tokenizer, settings, { batchSize });
}

interface LabelledTokens extends PromptTokens {
  readonly desirable: readonly boolean[];
}

/** Each completion for itself, where it is short enough. A row is skipped once, whichever of its completions is not. */
async function* singles(
  records: AsyncIterable<Tokenized<LabelledTokens>>,
  tally: Tally,
  tokenizer: Tokenizer,
  settings: Settings,
): AsyncGenerator<Single> {
  const safe = settings.tokenization === "safe";
  let rejected: Single[] = [];
  let end = TOGETHER;
  for await (const { row, tokens } of records) {
    countTokens(tally, tokens, tokenizer);
    if (row >= end) {
      yield* rejected;
      rejected = [];
      end = row - (row % TOGETHER) + TOGETHER;
    }
    const areSame = ([chosen, rejected]: PromptTokens["completionIds"]): boolean =>
      rejected !== undefined && sameTokens(chosen!, rejected);
    const identical = areSame(tokens.completionIds);
    tally.add("identical", identical);
    if (safe && identical) {
      tally.skip(row, "chosen and rejected are identical");
      continue;
    }
    const kept: Single[] = [];
    let reason: SkipReason | undefined;
    for (const [i, desirable] of tokens.desirable.entries()) {
      const completionIds = tokens.completionIds[i]!;
      const fitted = fitPrompt({ ...tokens, completionIds: [completionIds] }, settings, tokenizer);
      if (typeof fitted === "string") reason = fitted;
      else kept.push({ row, desirable, promptIds: tokens.promptIds, completionIds, fitted });
    }
    if (safe && areSame(kept.map(({ fitted }) => fitted.completionIds[0]!))) {
      tally.skip(row, "chosen and rejected are identical up to maxLength");
      continue;
    }
    // Of a pair, one completion may be too long, or both.
    if (reason !== undefined) tally.skip(row, reason);
    for (const single of kept) {
      if (single.desirable || tokens.desirable.length === 1) yield single;
      else rejected.push(single);
    }
  }
  yield* rejected;
}

/** Rows that follow one another, `size` at a time. */
async function* batches(
  all: AsyncIterable<Single>,
  size: number,
): AsyncGenerator<readonly Single[]> {
  let batch: Single[] = [];
  for await (const single of all) {
    batch.push(single);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

/** Rows with the completion of the row before, or, safely, of the nearest before it that has another prompt. */
async function* mismatched(
  all: AsyncIterable<Single>,
  batchSize: number,
  { maxLength, tokenization }: Settings,
  tally: Tally,
): AsyncGenerator<UnpairedRow> {
  const safe = tokenization === "safe";

  /** `near` are rows of other batches, which one takes from that has no other prompt in its own. */
  function* exchanged(batch: readonly Single[], near: readonly Single[]): Generator<UnpairedRow> {
    for (const [i, single] of batch.entries()) {
      const { row, desirable, fitted } = single;
      const { promptIds, completionIds, cut, ends } = fitted;
      const others = [...batch.slice(0, i).reverse(), ...batch.slice(i + 1).reverse(), ...near];
      const isOther = (one: Single): boolean => !sameTokens(one.promptIds, single.promptIds);
      const other = safe ? (others.find(isOther) ?? others[0] ?? single) : batch.at(i - 1)!;
      const trained = completionIds[0]!.length;
      const length = promptIds.length + trained;
      tally.add("desirable", desirable);
      tally.cut(cut, ends);
      tally.keep({ row, tokens: length, trained, length });
      yield {
        row,
        desirable,
        promptIds,
        completionIds: completionIds[0]!,
        mismatchedIds: other.completionIds.slice(0, maxLength - promptIds.length),
      };
    }
  }

  let [before, batch]: (readonly Single[])[] = [[], []];
  for await (const next of batches(all, batchSize)) {
    yield* exchanged(batch!, [...[...before!].reverse(), ...next]);
    [before, batch] = [batch, next];
  }
  yield* exchanged(batch!, [...before!].reverse());
}
