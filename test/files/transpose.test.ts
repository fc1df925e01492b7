import { describe, expect, it } from "vitest";
import { transposedBytes } from "../../src/files/transpose.js";

/** Bytes that tell every element of a matrix apart. */
function matrixOf(rows: number, columns: number, bytes: number, offset: number): Uint8Array {
  const all = new Uint8Array(offset + rows * columns * bytes);
  for (let i = 0; i < all.length; i++) all[i] = (i * 167 + (i >> 8) * 59) % 256;
  return all.subarray(offset);
}

function expected(matrix: Uint8Array, columns: number, bytes: number): number[] {
  const rows = matrix.length / bytes / columns;
  const result: number[] = [];
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const at = (row * columns + column) * bytes;
      result.push(...matrix.subarray(at, at + bytes));
    }
  }
  return result;
}

describe.each([1, 2, 4, 8] as const)(
  "a matrix of elements of %i bytes is turned round",
  (bytes) => {
    it.each([
      [4, 2],
      [8, 130],
      [68, 64],
      [12, 7],
      [7, 12],
      [6, 10],
      [1, 5],
      [5, 1],
    ])("%i × %i", (rows, columns) => {
      // Also where the bytes do not begin at a multiple of an element's, or of two elements'.
      for (const offset of [0, 2, 3, 8]) {
        const matrix = matrixOf(rows, columns, bytes, offset);
        const result = transposedBytes(matrix, bytes, columns, new Uint8Array(matrix.length + 8));
        expect(Array.from(result)).toEqual(expected(matrix, columns, bytes));
      }
    });
  },
);
