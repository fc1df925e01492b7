/**
 * Walks over expressions, on one expression of each kind.
 */

import { describe, expect, it } from "vitest";
import {
  conditionsOf,
  dependenciesOf,
  indicesOf,
  loadIn,
  lookupsOf,
  mapIndices,
  operandsOf,
  reachable,
  renumber,
} from "../../src/kernels/expressions.js";
import type { Affine, Expression } from "../../src/kernels/kernel.js";

// Two axes and two lookups; lookup 0 finds expression 7, lookup 1 expression 8.
const scope = {
  axes: [2, 3],
  lookups: [
    { index: 7, size: 5 },
    { index: 8, size: 5 },
  ],
};
const plain: Affine = { offset: 0, strides: [3, 1, 0, 0] };
const looked: Affine = { offset: 1, strides: [0, 1, 5, 0] };
const shifted: Affine = { offset: -1, strides: [0, 1, 0, 0] };

const EXPRESSIONS: Record<Expression["kind"], Expression> = {
  constant: { kind: "constant", dtype: "float32", slot: 4 },
  index: { kind: "index", dtype: "int32", index: plain },
  load: {
    kind: "load",
    dtype: "float32",
    buffer: 2,
    index: looked,
    conditions: [{ index: shifted, size: 3 }],
  },
  accumulator: { kind: "accumulator", dtype: "float32" },
  map: { kind: "map", operation: "add", dtype: "float32", inputs: [5, 6] },
  guard: {
    kind: "guard",
    dtype: "float32",
    conditions: [{ index: shifted, size: 3 }],
    lookups: [1],
    inside: 6,
    otherwise: 0,
  },
};
const answers = <T>(ask: (e: Expression) => T): Record<Expression["kind"], T> =>
  Object.fromEntries(Object.entries(EXPRESSIONS).map(([kind, e]) => [kind, ask(e)])) as never;

describe("what an expression needs", () => {
  it("only a load reads a buffer", () => {
    expect(answers((e) => loadIn(e)?.buffer ?? null)).toEqual({
      constant: null,
      index: null,
      load: 2,
      accumulator: null,
      map: null,
      guard: null,
    });
  });

  it("loads and guards have conditions, whose indices count", () => {
    const conditions = [{ index: shifted, size: 3 }];
    expect(answers(conditionsOf)).toMatchObject({ load: conditions, guard: conditions });
    expect(answers(indicesOf)).toEqual({
      constant: [],
      index: [plain],
      load: [looked, shifted],
      accumulator: [],
      map: [],
      guard: [shifted],
    });
  });

  it("operands are the inputs of a function and the inside of a guard", () => {
    expect(answers(operandsOf)).toEqual({
      constant: [],
      index: [],
      load: [],
      accumulator: [],
      map: [5, 6],
      guard: [6],
    });
  });

  it("lookups are those that addresses use and those that a guard checks", () => {
    expect(answers((e) => lookupsOf(e, 2))).toMatchObject({ index: [], load: [0], guard: [1] });
    expect(answers((e) => dependenciesOf(e, scope))).toMatchObject({
      index: [],
      load: [7],
      map: [5, 6],
      guard: [6, 8],
    });
  });

  it("everything behind the roots is reachable, in the order of the list", () => {
    const behind = [[], [0], [], [1, 2], [3]];
    expect(reachable([3], (number) => behind[number]!)).toEqual([0, 1, 2, 3]);
    expect(reachable([1], (number) => behind[number]!)).toEqual([0, 1]);
  });
});

describe("an expression with its references replaced", () => {
  it("has every index mapped and nothing else", () => {
    const moved = answers((e) => mapIndices(e, ({ offset }) => offset + 10));
    expect(moved.load).toEqual({
      ...EXPRESSIONS.load,
      index: 11,
      conditions: [{ index: 9, size: 3 }],
    });
    expect(moved.index).toEqual({ ...EXPRESSIONS.index, index: 10 });
    expect(moved.guard).toEqual({ ...EXPRESSIONS.guard, conditions: [{ index: 9, size: 3 }] });
    for (const kind of ["constant", "accumulator", "map"] as const) {
      expect(moved[kind]).toEqual(EXPRESSIONS[kind]);
    }
  });

  it("has operands, buffers and constants numbered anew, and lookups as they were", () => {
    const numbered = answers((e) =>
      renumber(e, { expression: (n) => n + 10, buffer: (n) => n + 20, slot: (n) => n + 30 }),
    );
    expect(numbered.constant).toEqual({ ...EXPRESSIONS.constant, slot: 34 });
    expect(numbered.load).toEqual({ ...EXPRESSIONS.load, buffer: 22 });
    expect(numbered.map).toEqual({ ...EXPRESSIONS.map, inputs: [15, 16] });
    expect(numbered.guard).toEqual({ ...EXPRESSIONS.guard, inside: 16 });
    expect(numbered.index).toEqual(EXPRESSIONS.index);
    expect(numbered.accumulator).toEqual(EXPRESSIONS.accumulator);
  });
});
