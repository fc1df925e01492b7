/**
 * Rows as callers give them, and what of a row has to be there before a model reads it.
 * @module
 */

import { describeValue } from "../checks.js";
import { type Rows, rowsOf } from "../data/rows.js";

/** Given rows, an array or {@link Rows}. What is read has as many rows as were asked for. @throws for anything else. */
export function givenRows<Row>(
  caller: string,
  name: string,
  given: Rows<Row> | readonly Row[],
): Rows<Row> {
  const rows = Array.isArray(given) ? rowsOf<Row>(given) : (given as Rows<Row>);
  if (typeof rows?.read !== "function" || !Number.isInteger(rows.length)) {
    const isResult = typeof given === "object" && given !== null && "rows" in given;
    throw new TypeError(
      `${caller}: ${name} must be an array of rows, or { length, read(indices) }, got ${describeValue(given)}` +
        (isResult ? " that has rows: give these" : ""),
    );
  }
  return {
    length: rows.length,
    async read(indices) {
      const found = await rows.read(indices);
      if (found?.length === indices.length) return found;
      throw new RangeError(
        `${caller}: read of ${name} must give the ${indices.length} rows it is asked for, in their order, got ` +
          (Array.isArray(found) ? found.length : describeValue(found)),
      );
    },
  };
}

/** Rejects rows of another kind: those in which one of the fields is no list of token ids. */
export function checkRowKind<Row extends { readonly row: number }>(
  caller: string,
  rows: readonly Row[],
  reader: string,
  ...fields: readonly (keyof Row & string)[]
): void {
  for (const row of rows) {
    for (const field of fields) {
      const ids = row?.[field] as ArrayLike<number> | undefined;
      if (typeof ids === "object" && typeof ids?.length === "number") continue;
      throw new TypeError(
        `${caller}: row ${row?.row} has no ${field}; rows that ${reader} gives have it`,
      );
    }
  }
}
