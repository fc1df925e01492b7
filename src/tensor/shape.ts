/**
 * Shapes: sizes, axes, broadcasting, and the words errors use for them.
 * @module
 */

import { describeValue } from "../checks.js";

/** Dimensions of a tensor, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

export { sizeOf } from "../kernels/layout.js";

/** `[2,3]`. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(",")}]`;
}

/** Whether two shapes are the same. */
export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let d = 0; d < a.length; d++) if (a[d] !== b[d]) return false;
  return true;
}

/** Rejects what is not a shape. */
export function checkShape(operation: string, shape: Shape): void {
  if (!Array.isArray(shape) || !shape.every((extent) => Number.isInteger(extent) && extent >= 0)) {
    throw new TypeError(
      `${operation}: a shape is an array of integers ≥ 0, not ${JSON.stringify(shape)}` +
        (typeof shape === "number" ? `; write [${shape}]` : ""),
    );
  }
}

/** An axis as 0 ≤ axis < rank; negative axes count from the end. */
export function normalizeAxis(operation: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    const range = rank === 0 ? "a scalar has no axes" : `axes are ${-rank} … ${rank - 1}`;
    throw new RangeError(`${operation}: axis ${axis} is out of range: ${range}`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** Distinct axes in ascending order; all of them by default. */
export function normalizeAxes(
  operation: string,
  axes: number | readonly number[] | undefined,
  rank: number,
): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, axis) => axis);
  const list = typeof axes === "number" ? [axes] : axes;
  if (!Array.isArray(list)) {
    throw new TypeError(
      `${operation}: axes are an integer or an array of them, got ${describeValue(axes)}`,
    );
  }
  const normal = list.map((axis) => normalizeAxis(operation, axis, rank));
  if (new Set(normal).size !== normal.length) {
    throw new RangeError(`${operation}: axes ${formatShape(list)} name an axis twice`);
  }
  return normal.sort((a, b) => a - b);
}

/** The common shape under NumPy's rule: aligned at the end, extents equal or 1. */
export function broadcastShapes(operation: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const shape: number[] = new Array(rank);
  for (let fromEnd = 1; fromEnd <= rank; fromEnd++) {
    const x = a[a.length - fromEnd] ?? 1;
    const y = b[b.length - fromEnd] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new RangeError(
        `${operation}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast: ` +
          `axis −${fromEnd} has ${x} and ${y}, which must be equal or 1`,
      );
    }
    shape[rank - fromEnd] = x === 1 ? y : x;
  }
  return shape;
}
