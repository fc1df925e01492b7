/**
 * Sorting rows on the host, for devices whose buffers the host can reach.
 * @module
 */

import type { TypedArray } from "../kernels/dtype.js";

/** The stable ascending order of each row, NaN last. */
export function argsortRows(
  values: TypedArray,
  output: TypedArray,
  rows: number,
  length: number,
): void {
  for (let row = 0; row < rows; row++) {
    const start = row * length;
    const order = Array.from({ length }, (_, i) => i);
    order.sort((i, j) => {
      const [x, y] = [values[start + i]!, values[start + j]!];
      if (Number.isNaN(x) || Number.isNaN(y))
        return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
      return x - y;
    });
    output.set(order, start);
  }
}
