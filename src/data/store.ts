/**
 * Tokenised rows as whole numbers of 32 bits, one row behind the other, with an index of where each begins.
 * @module
 */

import { Numbers } from "./numbers.js";
import type { PreferenceRow, Rows, TextRow, UnpairedRow } from "./rows.js";

/** A row as numbers: how many lists there are is the format's, their lengths stand in front of them. */
export interface RowFormat<Row> {
  readonly name: string;
  /** Numbers, then lists of numbers. */
  parts(row: Row): readonly [numbers: readonly number[], lists: readonly ArrayLike<number>[]];
  /** How many numbers and lists there are. */
  readonly counts: readonly [numbers: number, lists: number];
  row(numbers: readonly number[], lists: readonly ArrayLike<number>[]): Row;
}

/** Pairs as numbers. */
export const PAIRS: RowFormat<PreferenceRow> = {
  name: "pairs",
  counts: [1, 3],
  parts: ({ row, promptIds, chosenIds, rejectedIds }) => [
    [row],
    [promptIds, chosenIds, rejectedIds],
  ],
  row: ([row], [promptIds, chosenIds, rejectedIds]) => ({
    row: row!,
    promptIds: promptIds!,
    chosenIds: chosenIds!,
    rejectedIds: rejectedIds!,
  }),
};

/** Completions with labels as numbers. */
export const UNPAIRED: RowFormat<UnpairedRow> = {
  name: "unpaired",
  counts: [2, 3],
  parts: ({ row, desirable, promptIds, completionIds, mismatchedIds }) => [
    [row, Number(desirable)],
    [promptIds, completionIds, mismatchedIds],
  ],
  row: ([row, desirable], [promptIds, completionIds, mismatchedIds]) => ({
    row: row!,
    desirable: desirable === 1,
    promptIds: promptIds!,
    completionIds: completionIds!,
    mismatchedIds: mismatchedIds!,
  }),
};

/** Texts as numbers. */
export const TEXTS: RowFormat<TextRow> = {
  name: "texts",
  counts: [1, 2],
  parts: ({ row, ids, trained }) => [[row], [ids, trained]],
  row: ([row], [ids, trained]) => ({ row: row!, ids: ids!, trained: trained! }),
};

/** Numbers that are written at a time. */
const BLOCK = 2 ** 18;

/** Rows as they are written: blocks of numbers, and where each row begins. */
export class RowWriter<Row> {
  /** Where each row begins, in numbers. */
  readonly starts = new Numbers();
  private block = new Int32Array(BLOCK);
  private filled = 0;
  private written = 0;

  constructor(private readonly format: RowFormat<Row>) {}

  /** Numbers of all rows. */
  get size(): number {
    return this.written + this.filled;
  }

  /** Adds a row. The block before it, where it does not fit into that. */
  add(row: Row): Int32Array | null {
    const [numbers, lists] = this.format.parts(row);
    const size = lists.reduce((sum, { length }) => sum + 1 + length, numbers.length);
    const full = this.filled + size > this.block.length ? this.take(size) : null;
    this.starts.push(this.size);
    this.block.set(numbers, this.filled);
    this.filled += numbers.length;
    for (const { length } of lists) this.block[this.filled++] = length;
    for (const list of lists) {
      this.block.set(list, this.filled);
      this.filled += list.length;
    }
    return full;
  }

  /** What is not yet in a block that was given out; the next has room for `size` numbers. */
  take(size = 0): Int32Array {
    const full = this.block.subarray(0, this.filled);
    this.written += this.filled;
    this.filled = 0;
    this.block = new Int32Array(Math.max(size, size > 0 ? BLOCK : 0));
    return full;
  }
}

/** The row that numbers begin with. */
export function rowAt<Row>({ counts, row }: RowFormat<Row>, numbers: Int32Array): Row {
  const [head, lists] = counts;
  let from = head + lists;
  const parts = Array.from({ length: lists }, (_, i) => {
    const part = numbers.subarray(from, from + numbers[head + i]!);
    from += part.length;
    return part;
  });
  return row(Array.from(numbers.subarray(0, head)), parts);
}

/** Rows in memory. */
export async function rowsInMemory<Row>(
  format: RowFormat<Row>,
  rows: AsyncIterable<Row>,
): Promise<Rows<Row>> {
  const writer = new RowWriter(format);
  const blocks: Int32Array[] = [];
  /** Where each block begins. */
  const begins: number[] = [];
  const keep = (block: Int32Array | null): void => {
    if (block === null || block.length === 0) return;
    begins.push(blocks.length === 0 ? 0 : begins.at(-1)! + blocks.at(-1)!.length);
    blocks.push(block);
  };
  for await (const row of rows) keep(writer.add(row));
  keep(writer.take());
  const { starts } = writer;
  return {
    length: starts.length,
    read: async (indices) =>
      indices.map((index) => {
        const start = starts.at(checkedIndex(index, starts.length));
        const block = lastAtMost(begins, start);
        return rowAt(format, blocks[block]!.subarray(start - begins[block]!));
      }),
  };
}

/** The place of the last number that is at most `value`, in ascending order. */
function lastAtMost(numbers: readonly number[], value: number): number {
  let [low, high] = [0, numbers.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! <= value) low = middle;
    else high = middle;
  }
  return low;
}

/** Rejects an index that no row has. */
export function checkedIndex(index: number, length: number): number {
  if (Number.isInteger(index) && index >= 0 && index < length) return index;
  throw new RangeError(`rows have indices from 0 to ${length - 1}, got ${index}`);
}
