/**
 * Statements of gpu.js source, and loops as thread axes.
 *
 * Indices must be integers. gpu.js keeps integers only in expressions of thread positions, in loops with
 * literal bounds, and in locals that are incremented; hence the `let i = 0; i++;` before an assignment.
 * @module
 */

import { indicesOf } from "../../../kernels/expressions.js";
import type { Affine, Condition, Expression, Lookup } from "../../../kernels/kernel.js";

/** Most threads along x, y and z where several axes are used. */
const MOST_THREADS = [524_280, 524_280, 65_535] as const;

/**
 * Points that an unrolled loop computes per turn. Counting takes as long as a term of a sum, and the reads of
 * several points overlap.
 */
const UNROLLED = 4;
/** Least turns of a loop that is unrolled. */
const SHORTEST_UNROLLED = 16;
/** Most statements in a loop that is unrolled: those of a product. Copies of more take long to compile. */
const MOST_UNROLLED = 4;

/** A loop: one axis of the kernel, or adjacent ones that every index treats as one. */
export interface Loop {
  readonly size: number;
  /** The innermost of its axes; its stride is the loop's. */
  readonly axis: number;
}

export interface Body {
  readonly axes: readonly number[];
  readonly lookups: readonly Lookup[];
  readonly expressions: readonly Expression[];
}

/** Declares an integer local. */
export function integer(name: string, value: string): string {
  return `let ${name} = 0; ${name}++; ${name} = ${value};`;
}

/** Whether a condition must be tested when the kernel runs. */
export function isOpen(condition: string): boolean {
  return condition !== "true";
}

/** The statements within loops. The innermost loop is unrolled if it is long enough. */
export function nest(loops: readonly Loop[], statements: readonly string[]): string[] {
  const [loop, ...inner] = loops;
  if (!loop) return [...statements];
  const isUnrolled =
    inner.length === 0 && loop.size >= SHORTEST_UNROLLED && statements.length <= MOST_UNROLLED;
  return isUnrolled ? unrolled(loop, statements) : forEach(loop, nest(inner, statements));
}

/** A loop that starts with turn `first`. */
function forEach({ size, axis }: Loop, statements: readonly string[], first = 0): string[] {
  return [`for (let i${axis} = ${first}; i${axis} < ${size}; i${axis}++) {`, ...statements, "}"];
}

/** A loop that does {@link UNROLLED} turns at once, in their order. */
function unrolled(loop: Loop, statements: readonly string[]): string[] {
  const { size, axis } = loop;
  const turns = Math.floor(size / UNROLLED);
  const index = `i${axis}`;
  const locals = statements.flatMap((s) => /^(?:const|let) (\w+)/.exec(s)?.[1] ?? []);
  const own = new RegExp(`\\b(${[index, ...locals].join("|")})\\b`, "g");
  const copies = Array.from({ length: UNROLLED }, (_, copy) => [
    integer(`${index}x${copy}`, `turn${axis} * ${UNROLLED} + ${copy}`),
    ...statements.map((statement) => statement.replace(own, `$1x${copy}`)),
  ]);
  const rest = turns * UNROLLED;
  return [
    `for (let turn${axis} = 0; turn${axis} < ${turns}; turn${axis}++) {`,
    ...copies.flat(),
    "}",
    ...(rest < size ? forEach(loop, statements, rest) : []),
  ];
}

export function countedBlock(
  conditions: readonly string[],
  statements: readonly string[],
): string[] {
  if (conditions.length === 0) return [...statements];
  return [`if (${conditions.join(" && ")}) {`, ...statements, "}"];
}

/** Every index a kernel computes. */
export function affinesOf({ expressions }: Body, conditions: readonly Condition[]): Affine[] {
  return [...conditions.map(({ index }) => index), ...expressions.flatMap((e) => indicesOf(e))];
}

/** Axes `begin … end` as loops. Neighbours merge if every index treats them as one axis. */
export function mergeAxes(
  axes: readonly number[],
  begin: number,
  end: number,
  affines: readonly Affine[],
): Loop[] {
  const loops: Loop[] = [];
  for (let axis = begin; axis < end; axis++) {
    const size = axes[axis]!;
    if (size === 1) continue;
    const last = loops[loops.length - 1];
    const merges =
      last !== undefined &&
      affines.every(({ strides }) => (strides[last.axis] ?? 0) === (strides[axis] ?? 0) * size);
    if (merges) loops[loops.length - 1] = { size: last.size * size, axis };
    else loops.push({ size, axis });
  }
  return loops;
}

/** How output loops become threads. */
export interface Threads {
  readonly extents: readonly number[];
  /** Statements that find the indices. */
  readonly statements: readonly string[];
  /** The index of each loop. */
  readonly index: readonly string[];
}

/**
 * Loops as thread axes. The last two loops get axes of their own and the others share the third. If an axis
 * becomes too long, all loops share one.
 */
export function layOut(loops: readonly Loop[]): Threads {
  const sizes = loops.map(({ size }) => size);
  if (sizes.length === 0) return { extents: [1], statements: [], index: [] };
  const extents = [...sizes.slice(-2).reverse()];
  if (sizes.length > 2) extents.push(sizes.slice(0, -2).reduce((a, b) => a * b, 1));
  const fits = extents.length === 1 || extents.every((extent, i) => extent <= MOST_THREADS[i]!);
  const shared = fits ? Math.max(0, sizes.length - 2) : sizes.length;
  const statements: string[] = [];
  const index: string[] = [];
  const names = ["this.thread.x", "this.thread.y", "this.thread.z"];
  let rest = fits ? names[2]! : names[0]!;
  for (let i = shared - 1; i >= 0; i--) {
    if (i === 0) index[i] = rest;
    else {
      index[i] = `at${i}`;
      statements.push(integer(`at${i}`, `remainder(${rest}, ${sizes[i]})`));
      statements.push(integer(`over${i}`, `quotient(${rest}, ${sizes[i]})`));
      rest = `over${i}`;
    }
  }
  for (let i = shared; i < sizes.length; i++) index[i] = names[sizes.length - 1 - i]!;
  return { extents: fits ? extents : [sizes.reduce((a, b) => a * b, 1)], statements, index };
}
