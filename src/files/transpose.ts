/**
 * Matrices the other way round: files have them as `[outputs, inputs]`, layers as `[inputs, outputs]`.
 * @module
 */

import type { StoredArray } from "../kernels/dtype.js";

/** Columns whose ends, as rows, are in the cache together. */
const TILE = 64;

/** The halves of four bytes: the first and the second of two elements. */
const [LOW, HIGH] = [0xffff, 0xffff0000];

const RAW = { 1: Uint8Array, 2: Uint16Array, 4: Int32Array, 8: Float64Array };

/** The bytes of a matrix, of elements of so many bytes, the other way round. `into` begins an array buffer. */
export function transposedBytes(
  matrix: Uint8Array,
  bytes: 1 | 2 | 4 | 8,
  columns: number,
  into: Uint8Array,
): Uint8Array {
  const elements = (all: Uint8Array) =>
    new RAW[bytes](all.buffer as ArrayBuffer, all.byteOffset, matrix.length / bytes);
  const aligned = matrix.byteOffset % bytes === 0 ? matrix : new Uint8Array(matrix);
  const rows = matrix.length / bytes / columns;
  if (bytes === 2 && columns % 2 === 0 && rows % 4 === 0 && aligned.byteOffset % 4 === 0) {
    const pairs = (all: Uint8Array) =>
      new Int32Array(all.buffer as ArrayBuffer, all.byteOffset, matrix.length / 4);
    transposePairs(pairs(aligned), columns, pairs(into));
  } else transposedColumns(elements(aligned), columns, 0, columns, elements(into));
  return into.subarray(0, matrix.length);
}

/** Elements of two bytes, two at a time: of neighbouring columns as they are read, of neighbouring rows as they are written. */
function transposePairs(matrix: Int32Array, columns: number, into: Int32Array): void {
  const width = columns / 2;
  const height = matrix.length / columns;
  for (let left = 0; left < width; left += TILE / 2) {
    const right = Math.min(left + TILE / 2, width);
    for (let row = 0; row < height; row += 2) {
      let [a, b] = [2 * row * width + left, (2 * row + 1) * width + left];
      let [c, d] = [b + width, b + 2 * width];
      let at = 2 * left * height + row;
      for (let pair = left; pair < right; pair++) {
        const p = matrix[a++]!;
        const q = matrix[b++]!;
        const r = matrix[c++]!;
        const s = matrix[d++]!;
        into[at] = (p & LOW) | (q << 16);
        into[at + 1] = (r & LOW) | (s << 16);
        at += height;
        into[at] = (p >>> 16) | (q & HIGH);
        into[at + 1] = (r >>> 16) | (s & HIGH);
        at += height;
      }
    }
  }
}

/** The columns of a matrix from one to before another, as rows. */
export function transposedColumns<A extends StoredArray | Uint8Array>(
  matrix: A,
  columns: number,
  from: number,
  to: number,
  into: A,
): A {
  const rows = matrix.length / columns;
  const inFours = rows - (rows % 4);
  for (let left = from; left < to; left += TILE) {
    const right = Math.min(left + TILE, to);
    // Four rows at a time: their elements of a column are neighbours.
    for (let row = 0; row < inFours; row += 4) {
      let [a, b] = [row * columns + left, (row + 1) * columns + left];
      let [c, d] = [b + columns, b + 2 * columns];
      const end = (right - from) * rows;
      for (let at = (left - from) * rows + row; at < end; at += rows) {
        into[at] = matrix[a++]!;
        into[at + 1] = matrix[b++]!;
        into[at + 2] = matrix[c++]!;
        into[at + 3] = matrix[d++]!;
      }
    }
    for (let row = inFours; row < rows; row++) {
      for (let column = left; column < right; column++) {
        into[(column - from) * rows + row] = matrix[row * columns + column]!;
      }
    }
  }
  return into;
}
