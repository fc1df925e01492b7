/**
 * Walks over expressions: what one reads, refers to and depends on, and the same expression with its
 * references replaced. Every switch names all kinds, so a new kind does not compile until it has
 * its answers here.
 * @module
 */

import type {
  Affine,
  ConditionOver,
  Expression,
  ExpressionOver,
  LoopKernel,
  ScatterKernel,
} from "./kernel.js";

/** Where an expression and its lookups stand. */
export type ExpressionScope = Pick<LoopKernel | ScatterKernel, "axes" | "lookups">;

/** An expression that reads an element of a buffer. */
export type Load<Index = Affine> = Extract<ExpressionOver<Index>, { kind: "load" }>;

/** The expression as a read of a buffer; null if it reads none. */
export function loadIn<Index>(e: ExpressionOver<Index>): Load<Index> | null {
  switch (e.kind) {
    case "load":
      return e;
    case "constant":
    case "index":
    case "accumulator":
    case "map":
    case "guard":
      return null;
  }
}

/** The conditions an expression asks for, not those of its operands. */
export function conditionsOf<Index>(e: ExpressionOver<Index>): readonly ConditionOver<Index>[] {
  switch (e.kind) {
    case "load":
    case "guard":
      return e.conditions;
    case "constant":
    case "index":
    case "accumulator":
    case "map":
      return [];
  }
}

/** Every index an expression computes: its own, then those of its conditions. */
export function indicesOf<Index>(e: ExpressionOver<Index>): readonly Index[] {
  const ofConditions = conditionsOf(e).map(({ index }) => index);
  switch (e.kind) {
    case "index":
    case "load":
      return [e.index, ...ofConditions];
    case "constant":
    case "accumulator":
    case "map":
    case "guard":
      return ofConditions;
  }
}

/** The expressions whose values an expression uses directly; those behind lookups are not among them. */
export function operandsOf<Index>(e: ExpressionOver<Index>): readonly number[] {
  switch (e.kind) {
    case "map":
      return e.inputs;
    case "guard":
      return [e.inside];
    case "constant":
    case "index":
    case "load":
    case "accumulator":
      return [];
  }
}

/** The lookups an index of a kernel of `rank` axes uses. */
export function lookupsIn({ strides }: Affine, rank: number): number[] {
  return strides.flatMap((stride, i) => (stride !== 0 && i >= rank ? [i - rank] : []));
}

/** The lookups an expression of a kernel of `rank` axes uses: those it checks, then those of its indices. */
export function lookupsOf(e: Expression, rank: number): readonly number[] {
  const ofIndices = indicesOf(e).flatMap((index) => lookupsIn(index, rank));
  switch (e.kind) {
    case "guard":
      return [...e.lookups, ...ofIndices];
    case "constant":
    case "index":
    case "load":
    case "accumulator":
    case "map":
      return ofIndices;
  }
}

/** All expressions that must be known to compute one: its operands and those its lookups find. */
export function dependenciesOf(e: Expression, { axes, lookups }: ExpressionScope): number[] {
  const found = lookupsOf(e, axes.length).map((lookup) => lookups[lookup]!.index);
  return [...operandsOf(e), ...found];
}

/** The expression with every index replaced. */
export function mapIndices<From, To>(
  e: ExpressionOver<From>,
  f: (index: From) => To,
): ExpressionOver<To> {
  const conditions = (list: readonly ConditionOver<From>[]): ConditionOver<To>[] =>
    list.map(({ index, size }) => ({ index: f(index), size }));
  switch (e.kind) {
    case "index":
      return { ...e, index: f(e.index) };
    case "load":
      return { ...e, index: f(e.index), conditions: conditions(e.conditions) };
    case "guard":
      return { ...e, conditions: conditions(e.conditions) };
    case "constant":
    case "accumulator":
    case "map":
      return e;
  }
}

/** New numbers for what expressions refer to. */
export interface Renumbering {
  /** Of another expression. */
  readonly expression: (number: number) => number;
  /** Of a buffer; default: the same. */
  readonly buffer?: (number: number) => number;
  /** Of a constant; default: the same. */
  readonly slot?: (number: number) => number;
}

const same = (number: number): number => number;

/** The expression with what it refers to numbered anew; lookups keep their numbers. */
export function renumber<Index>(
  e: ExpressionOver<Index>,
  { expression, buffer = same, slot = same }: Renumbering,
): ExpressionOver<Index> {
  switch (e.kind) {
    case "constant":
      return { ...e, slot: slot(e.slot) };
    case "load":
      return { ...e, buffer: buffer(e.buffer) };
    case "map":
      return { ...e, inputs: e.inputs.map(expression) };
    case "guard":
      return { ...e, inside: expression(e.inside) };
    case "index":
    case "accumulator":
      return e;
  }
}

/** The numbers of all expressions behind some of them, these included, in the order of the list. */
export function reachable(
  roots: readonly number[],
  dependencies: (number: number) => readonly number[],
): number[] {
  const needed = new Set<number>();
  const open = [...roots];
  for (let number = open.pop(); number !== undefined; number = open.pop()) {
    if (needed.has(number)) continue;
    needed.add(number);
    for (const dependency of dependencies(number)) open.push(dependency);
  }
  return [...needed].sort((a, b) => a - b);
}
