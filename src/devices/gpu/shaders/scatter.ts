/**
 * Scatter-add without atomic operations: each thread searches the points that go to its element.
 * @module
 */

import { sizeOf } from "../../../kernels/layout.js";
import type { GpuScatter, SortedPoints } from "../plan.js";
import { type Digit, nestedDigits } from "../target.js";
import { Emitter } from "./emitter.js";
import type { Shader } from "./shader.js";
import { countedBlock, integer, isOpen, type Loop, layOut, nest } from "./statements.js";

/**
 * The source of a scatter. Each output element sums the points that go to it, in order. If the strides of
 * axes and lookups nest, like digits of a number, the element's position determines their indices. Then only
 * the other axes are searched or, if points are sorted, one run of them.
 */
export function scatterShader(kernel: GpuScatter): Shader {
  const { axes, size, lookups, target, required, body, sorted, counted = [] } = kernel;
  const digits = nestedDigits(target, axes, lookups);
  const found = new Map(digits?.map(({ term, name }) => [term, name]));
  const searched = axes
    .map((extent, axis): Loop => ({ size: extent, axis }))
    .filter(({ size: extent, axis }) => extent > 1 && !found.has(axis));
  const pieces = sorted && sorted.pieces > 1 ? [{ size: sorted.pieces, axis: -1 }] : [];
  const threads = layOut([...pieces, { size, axis: -1 }]);
  const position = threads.index[pieces.length]!;
  const emitter = new Emitter(kernel, [], searched, threads, found);
  const conditions = counted.map((condition) => emitter.condition(condition));
  if (digits === null) conditions.push(`${emitter.affine(target)} === ${position}`);
  else {
    emitter.add("before", digitsOf(digits, target.offset, position, emitter));
    if (!sorted) conditions.push("hit === 1");
  }
  let key = "";
  lookups.forEach((_, number) => {
    const digit = found.get(axes.length + number);
    if (digit !== undefined && sorted) key = digit;
    else if (digit !== undefined) conditions.push(`${emitter.lookup(number)} === ${digit}`);
    else if (required.includes(number)) conditions.push(emitter.inRange(number));
  });
  emitter.countFrom(true);
  const term = emitter.value(body);
  const point = [
    ...emitter.lines("inside"),
    ...countedBlock(conditions.filter(isOpen), [
      ...emitter.lines("counted"),
      `accumulated += ${term};`,
    ]),
  ];
  const piece = pieces.length > 0 ? threads.index[0]! : "0";
  const loop = sorted
    ? alongRun(sorted, key, piece, searched, emitter, point)
    : nest(searched, point);
  return emitter.shader(
    [
      ...emitter.lines("before"),
      "let accumulated = 0.5;",
      "accumulated = 0;",
      ...loop,
      "return accumulated;",
    ],
    threads.extents,
  );
}

/** Statements that find the digits of a position, and `hit`: 1 if a point can go there, else 0. */
function digitsOf(
  digits: readonly Digit[],
  offset: number,
  position: string,
  emitter: Emitter,
): string[] {
  const statements = [integer("left", `${position} - ${offset}`), integer("hit", "1")];
  statements.push("if (left < 0) { hit = 0; left = 0; }");
  for (const { name, stride, size } of digits) {
    if (stride === 1) statements.push(integer(name, "left"), "left = 0;");
    else {
      const quotient = emitter.call("quotient", "left", `${stride}`);
      statements.push(integer(name, quotient), `left -= ${name} * ${stride};`);
    }
    statements.push(`if (${name} >= ${size}) { hit = 0; }`);
  }
  statements.push("if (left > 0) { hit = 0; }");
  return statements;
}

/** A loop over the run of points whose lookup found the element's digit. */
function alongRun(
  { order, starts, pieces }: SortedPoints,
  digit: string,
  piece: string,
  searched: readonly Loop[],
  emitter: Emitter,
  statements: readonly string[],
): string[] {
  const indices: string[] = [];
  let rest = "point";
  searched.forEach(({ axis }, i) => {
    const inner = sizeOf(searched.slice(i + 1).map(({ size }) => size));
    if (inner === 1) indices.push(integer(`i${axis}`, rest));
    else {
      indices.push(integer(`i${axis}`, emitter.call("quotient", rest, `${inner}`)));
      indices.push(integer(`below${axis}`, `${rest} - i${axis} * ${inner}`));
      rest = `below${axis}`;
    }
  });
  return [
    integer("at", `~~${emitter.element(starts, digit)}`),
    integer("end", `~~${emitter.element(starts, `${digit} + 1`)}`),
    "if (hit === 0) { end = at; }",
    `at += ${piece};`,
    "while (at < end) {",
    integer("point", `~~${emitter.element(order, "at")}`),
    ...indices,
    ...statements,
    `at += ${pieces};`,
    "}",
  ];
}
