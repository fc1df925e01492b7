/**
 * Tokenised rows: what a step of training reads by index.
 * @module
 */

/** Rows that are read by index, as those of a cache on the disk are. An array is made one by {@link rowsOf}. */
export interface Rows<Row> {
  readonly length: number;
  /** The rows of these indices, in their order. */
  read(indices: readonly number[]): Promise<readonly Row[]>;
}

/** A pair of completions of one prompt, as token ids. `[...promptIds, ...chosenIds]` is what the model reads. */
export interface PreferenceRow {
  /** Its number among the rows of the source, from 0. */
  readonly row: number;
  readonly promptIds: ArrayLike<number>;
  readonly chosenIds: ArrayLike<number>;
  readonly rejectedIds: ArrayLike<number>;
}

/** A completion that is desirable or not. */
export interface UnpairedRow {
  /** Its number among the rows of the source, from 0. */
  readonly row: number;
  readonly promptIds: ArrayLike<number>;
  readonly completionIds: ArrayLike<number>;
  readonly desirable: boolean;
  /** A completion of another prompt, by which KTO estimates how far the policy is from the reference. */
  readonly mismatchedIds: ArrayLike<number>;
}

/** A text and which of its tokens are learned. */
export interface TextRow {
  /** Its number among the rows of the source, from 0. */
  readonly row: number;
  readonly ids: ArrayLike<number>;
  /** Of the length of `ids`: 1 where a token's log-probability counts, else 0. */
  readonly trained: ArrayLike<number>;
}

/** An array as {@link Rows}. */
export function rowsOf<Row>(rows: readonly Row[]): Rows<Row> {
  return { length: rows.length, read: async (indices) => indices.map((i) => rows[i]!) };
}
