/**
 * A loss's inputs as plain arrays: their types, and the tensors they become.
 * @module
 */

import { describeValue } from "../checks.js";
import type { PairLogProbs } from "../losses/types.js";
import { tensor } from "../tensor/create.js";
import type { NestedArray, Tensor } from "../tensor/tensor.js";

/** Numbers, one for each pair. */
export type NumberArray =
  | readonly number[]
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** {@link PairLogProbs} as plain or typed arrays, each of the batch's length. */
export type PairArrays = { readonly [Name in keyof PairLogProbs]: NumberArray };

/** Names of a loss's options that may be tensors: what it takes beside {@link PairLogProbs}. */
export type TensorOption<Options extends object> = {
  [Name in keyof Options]-?: unknown extends Options[Name]
    ? Name
    : [Extract<Options[Name], Tensor>] extends [never]
      ? never
      : Name;
}[keyof Options];

/**
 * A further input of a loss: one for each pair, a row for each pair, or one number for all. A mask may be
 * of booleans.
 */
export type FurtherInput =
  | NumberArray
  | readonly boolean[]
  | readonly (NumberArray | readonly boolean[])[]
  | number;

/** All a loss takes as arrays: {@link PairArrays}, and its options that may be tensors. */
export type LossArrays<Options extends object> = PairArrays & {
  readonly [Name in TensorOption<Options>]?: FurtherInput;
};

/** The inputs all losses share; a missing one would not compile. */
const PAIRS: Readonly<Record<keyof PairLogProbs, true>> = {
  chosen: true,
  rejected: true,
  referenceChosen: true,
  referenceRejected: true,
  chosenLength: true,
  rejectedLength: true,
};

/** The arrays as tensors: the inputs all losses share, and the others. */
export function tensorsOf(arrays: PairArrays) {
  if (typeof arrays !== "object" || arrays === null) {
    throw new TypeError(`lossGradient: needs an object of arrays, got ${describeValue(arrays)}`);
  }
  for (const name of ["chosen", "rejected"] as const) {
    if (arrays[name] === undefined) throw new TypeError(`lossGradient: needs \`${name}\``);
  }
  const single = arrays.chosen instanceof Float32Array && arrays.rejected instanceof Float32Array;
  const pairs: Record<string, Tensor> = {};
  const further: Record<string, Tensor> = {};
  for (const [name, values] of Object.entries(arrays)) {
    if (values === undefined) continue;
    const isPairs = Object.hasOwn(PAIRS, name);
    if (isPairs) checkLength(name, values, arrays.chosen.length);
    const numbers = finite(name, values, !isPairs);
    (isPairs ? pairs : further)[name] = tensor(numbers, { dtype: single ? "float32" : "float64" });
  }
  return { pairs: pairs as unknown as PairLogProbs, further };
}

function isArray(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function checkLength(name: string, values: unknown, batch: number): void {
  if (!isArray(values)) {
    const found = typeof values === "object" && values !== null ? "object" : describeValue(values);
    throw new TypeError(`lossGradient: \`${name}\` must be an array of numbers, got ${found}`);
  }
  if (values.length !== batch) {
    throw new RangeError(
      `lossGradient: \`${name}\` has ${values.length} elements, \`chosen\` has ${batch}`,
    );
  }
}

/** The numbers in plain arrays, and marks as 0 and 1. */
function finite(
  name: string,
  value: unknown,
  marks: boolean,
  at: readonly number[] = [],
): NestedArray {
  if (isArray(value)) {
    const items = Array.from(value, (item, i) => finite(name, item, marks, [...at, i]));
    const sizes = new Set(items.map((item) => (Array.isArray(item) ? item.length : 0)));
    if (sizes.size > 1) throw new RangeError(`lossGradient: rows of \`${name}\` differ in length`);
    return items;
  }
  if (Number.isFinite(value)) return value as number;
  if (marks && typeof value === "boolean") return Number(value);
  const place = at.length > 0 ? ` at ${at.join(",")}` : "";
  throw new RangeError(
    `lossGradient: \`${name}\` must hold finite numbers, got ${describeValue(value)}${typeof value === "bigint" ? "n" : ""}${place}`,
  );
}
