/**
 * Where runs of equal keys begin in a sorted order: a bisection per key.
 * @module
 */

import type { RunStarts } from "../plan.js";
import type { Shader } from "./shader.js";
import { integer } from "./statements.js";

/** The source of a search for run starts. Buffer 1 holds the keys, buffer 2 their order. */
export function startsShader({ length, count }: RunStarts): Shader {
  const body = [
    integer("wanted", "this.thread.x"),
    integer("low", "0"),
    integer("high", `${length}`),
    // A bisection of n + 1 places takes k steps, where 2ᵏ > n.
    `for (let step = 0; step < ${Math.floor(Math.log2(length)) + 1}; step++) {`,
    "if (low < high) {",
    integer("middle", "quotient(low + high, 2)"),
    integer("point", "~~b2[middle]"),
    integer("key", "~~b1[point]"),
    "if (key < wanted) { low = middle + 1; } else { high = middle; }",
    "}",
    "}",
    "return toFloat(low);",
  ];
  return {
    body: body.join("\n"),
    buffers: [1, 2],
    packed: [],
    constants: [],
    special: [],
    functions: ["quotient", "toFloat"],
    threads: [count],
  };
}
