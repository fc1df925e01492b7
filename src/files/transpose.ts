/**
 * Matrices the other way round: files have them as `[outputs, inputs]`, layers as `[inputs, outputs]`.
 * @module
 */

import type { StoredArray } from "../kernels/dtype.js";

/** Rows and columns of a block that are in the cache together. */
const TILE = 32;

/** The columns of a matrix from one to before another, as rows. */
export function transposedColumns<A extends StoredArray>(
  matrix: A,
  columns: number,
  from: number,
  to: number,
  into: A,
): A {
  const rows = matrix.length / columns;
  for (let left = from; left < to; left += TILE) {
    const right = Math.min(left + TILE, to);
    for (let top = 0; top < rows; top += TILE) {
      const bottom = Math.min(top + TILE, rows);
      for (let column = left; column < right; column++) {
        const start = (column - from) * rows;
        for (let row = top; row < bottom; row++)
          into[start + row] = matrix[row * columns + column]!;
      }
    }
  }
  return into;
}
