/**
 * Scatter-add without atomic operations: a thread searches the points that hit its element.
 * @module
 */

import type { Affine, Lookup, ScatterKernel } from "../../../kernels/kernel.js";
import type { Counted } from "../plan.js";
import { Emitter } from "./emitter.js";
import type { Shader } from "./shader.js";
import { countedBlock, integer, isOpen, type Loop, layOut, nest } from "./statements.js";

/**
 * The source of a scatter: each output element sums the points that hit it, in order. Axes and
 * lookups whose strides nest (like digits) follow from the element's position; only the other axes
 * are searched.
 */
export function scatterShader(kernel: Counted<ScatterKernel>): Shader {
  const { axes, size, lookups, target, required, body, counted = [] } = kernel;
  const digits = nestedDigits(target, axes, lookups);
  const found = new Map(digits?.map(({ term, name }) => [term, name]));
  const searched = axes
    .map((extent, axis): Loop => ({ size: extent, axis }))
    .filter(({ size: extent, axis }) => extent > 1 && !found.has(axis));
  const threads = layOut([{ size, axis: -1 }]);
  const emitter = new Emitter(kernel, [], searched, threads, found);
  const position = threads.index[0]!;
  const conditions = counted.map((condition) => emitter.condition(condition));
  if (digits === null) conditions.push(`${emitter.affine(target)} === ${position}`);
  else emitter.add("before", digitsOf(digits, target.offset, position, emitter));
  lookups.forEach((_, number) => {
    const digit = found.get(axes.length + number);
    if (digit !== undefined) conditions.push(`${emitter.lookup(number)} === ${digit}`);
    else if (required.includes(number)) conditions.push(emitter.inRange(number));
  });
  const open = [...(digits === null ? [] : ["hit === 1"]), ...conditions.filter(isOpen)];
  emitter.countFrom(true);
  const term = emitter.value(body);
  return emitter.shader(
    [
      ...emitter.lines("before"),
      "let accumulated = 0.5;",
      "accumulated = 0;",
      ...nest(searched, [
        ...emitter.lines("inside"),
        ...countedBlock(open, [...emitter.lines("counted"), `accumulated += ${term};`]),
      ]),
      "return accumulated;",
    ],
    threads.extents,
  );
}

/** A term of a target and the local that holds its digit. Terms number axes, then lookups. */
interface Digit {
  readonly term: number;
  readonly name: string;
  readonly stride: number;
  readonly size: number;
}

/** The terms of a target, largest stride first, where a position determines them; else null. */
function nestedDigits(
  { strides }: Affine,
  axes: readonly number[],
  lookups: readonly Lookup[],
): Digit[] | null {
  const sizes = [...axes, ...lookups.map(({ size }) => size)];
  const digits = sizes
    .map((size, term): Digit => ({ term, name: `digit${term}`, stride: strides[term] ?? 0, size }))
    .filter(({ stride, size, term }) => stride !== 0 && (size > 1 || term >= axes.length))
    .sort((a, b) => b.stride - a.stride);
  let span = 1;
  for (const { stride, size } of [...digits].reverse()) {
    if (stride < span) return null;
    span = stride * (size - 1) + span;
  }
  return digits;
}

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
