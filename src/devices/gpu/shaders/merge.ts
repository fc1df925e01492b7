/**
 * Sorting: the passes of a merge sort.
 * @module
 */

import type { MergePass } from "../plan.js";
import type { Shader } from "./shader.js";
import { integer, layOut } from "./statements.js";

/**
 * The source of one pass of a stable merge sort of each row. Buffer 1 holds the values, buffer 2 the
 * positions that the pass before found; the first pass has no buffer 2. Of the `d` elements before one of the
 * output, a bisection finds how many come from the first run of its pair.
 */
export function mergeShader({ rows, length, width }: MergePass): Shader {
  const threads = layOut([
    { size: rows, axis: 0 },
    { size: length, axis: 1 },
  ]);
  const [row = "0", column] = threads.index.length === 2 ? threads.index : ["0", threads.index[0]!];
  const isFirst = width === 1;
  const start = integer("start", `${row} * ${length}`);
  const order = (i: string): string => (isFirst ? `(${i})` : `b2[start + ${i}]`);
  const value = (name: string, i: string): string[] =>
    isFirst
      ? [`const ${name} = b1[start + ${i}];`]
      : [integer(`${name}At`, `~~${order(i)}`), `const ${name} = b1[start + ${name}At];`];
  const body = [
    ...threads.statements,
    start,
    integer("place", column!),
    integer("first", `quotient(place, ${2 * width}) * ${2 * width}`),
    integer("second", `clamped(first + ${width}, ${length + 1})`),
    integer("end", `clamped(first + ${2 * width}, ${length + 1})`),
    integer("d", "place - first"),
    // At least `low` and at most `high` elements of the first run are among the d.
    integer("low", `clamped(d - (end - second), ${length + 1})`),
    integer("high", "second - first"),
    "if (high > d) { high = d; }",
    `for (let step = 0; step < ${Math.ceil(Math.log2(width)) + 1}; step++) {`,
    "if (low < high) {",
    integer("middle", "low"),
    "middle = ~~Math.floor((low + high) / 2);",
    ...value("x", "first + middle"),
    ...value("y", "second + d - 1 - middle"),
    "if (inOrder(x, y) > 0.5) { low = middle + 1; } else { high = middle; }",
    "}",
    "}",
    integer("left", "first + low"),
    integer("right", "second + d - low"),
    integer("chosen", "left"),
    "if (left >= second) { chosen = right; }",
    "if (left < second && right < end) {",
    ...value("p", "left"),
    ...value("q", "right"),
    "if (inOrder(p, q) < 0.5) { chosen = right; }",
    "}",
    isFirst ? "return toFloat(chosen);" : "return b2[start + chosen];",
  ];
  return {
    body: body.join("\n"),
    buffers: isFirst ? [1] : [1, 2],
    packed: [],
    constants: [],
    special: [],
    functions: ["quotient", "clamped", "inOrder", "remainder", "toFloat"],
    threads: threads.extents,
  };
}
