/**
 * What reading found out about a dataset: what a person wants to know before training on it.
 * @module
 */

import { Numbers } from "./numbers.js";
import type { SkipReason } from "./truncation.js";

/** A row that is not trained on. */
export interface SkippedRow {
  /** Its number among the rows of the source, from 0. */
  readonly row: number;
  readonly reason: SkipReason;
}

/** What was found in a dataset. */
export interface DataSummary {
  /** Rows that were read. A pair that is taken apart is one. */
  readonly read: number;
  /** Rows that are trained on. A pair that is taken apart is two. */
  readonly kept: number;
  /** How many of the rows that were read are not, by the reason, also where it is one completion of a pair only. */
  readonly dropped: Readonly<Partial<Record<SkipReason, number>>>;
  /** Which rows are not, in their order. */
  readonly skipped: Iterable<SkippedRow>;
  /** Rows that were cut, the tokens they lost, and completions that lost their end. */
  readonly truncated: { readonly rows: number; readonly tokens: number; readonly ends: number };
  /** Tokens that the model reads in one pass: of a pair, those of the prompt count twice. */
  readonly tokens: number;
  /** Tokens whose log-probabilities count. */
  readonly trained: number;
  /** The longest rows, prompt and longest completion together, at most five. */
  readonly longest: readonly { readonly row: number; readonly tokens: number }[];
  /** Rows that are conversations. */
  readonly conversations: number;
  /** Pairs without a prompt of their own: it is what both completions begin with. */
  readonly implicit: number;
  /** Rows whose completions begin with the prompt that stands beside them: `"safe"` takes it away. */
  readonly repeated: number;
  /** Completions without a token. */
  readonly empty: number;
  /** Pairs whose chosen and rejected completions are the same. */
  readonly identical: number;
  /** Rows in which the prompt's last token and the completion's first are one when they are written together. */
  readonly merged: number;
  /** Rows that begin with two BOS, or would: `"safe"` takes one away. */
  readonly doubleBos: number;
  /** Completions, before they were cut, in which there is no EOS. */
  readonly noEos: number;
  /** Of rows with labels, those that are desirable. */
  readonly desirable: number;
}

/** A summary without its list of skipped rows, as it is written to a file. */
export type SummaryFigures = Omit<DataSummary, "skipped">;

export const REASONS: readonly SkipReason[] = [
  "the prompt is too long",
  "the row is too long",
  "chosen and rejected are identical",
  "chosen and rejected are identical up to maxLength",
  "nothing is left to learn",
];

/** Rows whose lengths are told. */
const LONGEST = 5;

/** What one row adds. */
export interface RowTokens {
  readonly row: number;
  /** Tokens read and trained. */
  readonly tokens: number;
  readonly trained: number;
  /** Tokens of its longest text. */
  readonly length: number;
}

/** Counts that rows add to, one at a time. */
type Count =
  | "conversations"
  | "implicit"
  | "repeated"
  | "empty"
  | "identical"
  | "merged"
  | "doubleBos"
  | "noEos"
  | "desirable";

/** A summary in the making. */
export class Tally {
  read = 0;
  private readonly counts: Record<Count, number> = {
    conversations: 0,
    implicit: 0,
    repeated: 0,
    empty: 0,
    identical: 0,
    merged: 0,
    doubleBos: 0,
    noEos: 0,
    desirable: 0,
  };
  private readonly truncated = { rows: 0, tokens: 0, ends: 0 };
  private readonly sums = { kept: 0, tokens: 0, trained: 0 };
  private readonly longest: { row: number; tokens: number }[] = [];
  private readonly dropped: Partial<Record<SkipReason, number>> = {};
  /** Row and reason in one number. */
  readonly skips = new Numbers();

  add(what: Count, count: number | boolean = 1): void {
    this.counts[what] += Number(count);
  }

  cut(tokens: number, ends: number): void {
    if (tokens === 0) return;
    this.truncated.rows++;
    this.truncated.tokens += tokens;
    this.truncated.ends += ends;
  }

  skip(row: number, reason: SkipReason): void {
    this.dropped[reason] = (this.dropped[reason] ?? 0) + 1;
    this.skips.push(row * REASONS.length + REASONS.indexOf(reason));
  }

  keep({ row, tokens, trained, length }: RowTokens): void {
    this.sums.kept++;
    this.sums.tokens += tokens;
    this.sums.trained += trained;
    const place = this.longest.findIndex((one) => one.tokens < length);
    if (place < 0 && this.longest.length === LONGEST) return;
    this.longest.splice(place < 0 ? this.longest.length : place, 0, { row, tokens: length });
    this.longest.length = Math.min(LONGEST, this.longest.length);
  }

  figures(): SummaryFigures {
    const { read, sums, counts, dropped, truncated, longest } = this;
    return { read, ...sums, ...counts, dropped, truncated, longest };
  }
}

/** A summary of its figures and of the rows that are skipped. */
export function summaryOf(
  figures: SummaryFigures,
  skips: { readonly length: number; at(index: number): number | undefined },
): DataSummary {
  return {
    ...figures,
    skipped: {
      *[Symbol.iterator]() {
        for (let i = 0; i < skips.length; i++) yield skippedOf(skips.at(i)!);
      },
    },
  };
}

function skippedOf(code: number): SkippedRow {
  const reason = REASONS[code % REASONS.length]!;
  return { row: Math.floor(code / REASONS.length), reason };
}
