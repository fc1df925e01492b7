/**
 * Functions of rows and their gradients, rows of 128 … 50,257 numbers, beside a copy of as many.
 */

import type { Results, RowsProblem } from "../problem.js";
import { type Case, defineCase } from "../runner/case.js";
import { close, norm, result } from "../runner/check.js";
import { draws, integers, uniform } from "../workloads/numbers.js";
import { referenceRow } from "../workloads/reference.js";

/** Numbers in all rows together, about: 16 MB. */
const ELEMENTS = 2 ** 22;
const WIDTHS = [128, 1024, 8192, 50257] as const;
const FUNCTIONS = ["softmax", "layerNorm", "gelu", "tokenLogProbs"] as const;

/** A function of rows, or its gradient. */
export interface RowsShape {
  readonly name: RowsProblem["function"];
  readonly width: number;
  readonly gradient: boolean;
  /** Numbers in all rows together, about. */
  readonly elements: number;
}

function problem({ name, width, gradient, elements }: RowsShape): RowsProblem {
  const rows = Math.round(elements / width);
  const next = draws(width);
  return {
    function: name,
    gradient,
    rows,
    width,
    x: uniform(rows * width, next, { spread: 4 }),
    cotangent: uniform(name === "tokenLogProbs" ? rows : rows * width, next),
    weight: uniform(width, next, { centre: 1, spread: 1 / 8 }),
    bias: uniform(width, next, { spread: 1 / 16 }),
    ids: integers(rows, next, width),
  };
}

/** Every row in double precision, to a bound that the least accurate of the peers keeps. */
function checker(problem: RowsProblem): (results: Results) => void {
  const { rows, width, gradient, function: name } = problem;
  const sums = { weight: new Float64Array(width), bias: new Float64Array(width) };
  const expected = Array.from({ length: rows }, (_, row) => referenceRow(problem, row, sums));
  return (results) => {
    const each = expected[0]!.length;
    const values = result(results, gradient ? "x" : "values", rows * each);
    expected.forEach((row, i) => {
      // What is summed over a row has errors in proportion to the row, not to the entry.
      const tolerance = 4e-6 * Math.max(norm(row) / Math.sqrt(each), name === "gelu" ? 1 : 0);
      for (let j = 0; j < each; j++) {
        const bound = tolerance + 1e-3 * Math.abs(row[j]!);
        close(`${name} [${i},${j}]`, values[i * each + j]!, row[j]!, bound);
      }
    });
    if (!gradient || name !== "layerNorm") return;
    for (const part of ["weight", "bias"] as const) {
      const found = result(results, part, width);
      const tolerance = 1e-5 * Math.sqrt(rows) * Math.max(1, Math.log2(rows));
      sums[part].forEach((value, j) => {
        close(`gradient of ${part}[${j}]`, found[j]!, value, tolerance);
      });
    }
  };
}

/** Bytes that must be read and written at least. */
function traffic({ name, gradient, elements }: RowsShape): number {
  const arrays = name === "tokenLogProbs" ? (gradient ? 2 : 1) : gradient ? 3 : 2;
  return 4 * arrays * elements;
}

/** A case of its shape; `size` tells shapes of different size apart. */
export function rowCase(shape: RowsShape, long: boolean, size = ""): Case {
  return defineCase({
    family: shape.gradient ? "rows, gradient" : "rows, forward",
    name: `${shape.name}, ${size}rows of ${shape.width}`,
    kind: "rows",
    problem: () => problem(shape),
    checker,
    work: { unit: "GB/s", amount: traffic(shape) },
    contenders: (contender) => contender !== "Math loop",
    long,
  });
}

export const rowCases: readonly Case[] = FUNCTIONS.flatMap((name) =>
  WIDTHS.flatMap((width) =>
    [false, true].map((gradient) =>
      rowCase({ name, width, gradient, elements: ELEMENTS }, width !== 1024),
    ),
  ),
);
