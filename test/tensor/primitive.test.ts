/**
 * What the compiler finds where a primitive and its nodes do not fit together. The statements below are
 * checked by `npm run typecheck`: each expected error that does not appear is an error.
 */

import { expect, expectTypeOf, it } from "vitest";
import { NO_ATTRIBUTES, type NodeOf, primitive } from "../../src/tensor/primitive.js";
import { createNode } from "../../src/tensor/tensor.js";

const along = primitive<{ axis: number }>(
  "along",
  { kind: "read", source: (at, { attributes: { axis } }) => at.slice(axis) },
  null,
);
const rest = { inputs: [], shape: [2], dtype: "float32" } as const;

it("a node has exactly the attributes of its primitive", () => {
  expect(createNode({ primitive: along, attributes: { axis: 1 }, ...rest }).attributes).toEqual({
    axis: 1,
  });
  // @ts-expect-error a missing attribute
  createNode({ primitive: along, attributes: NO_ATTRIBUTES, ...rest });
  // @ts-expect-error a misspelt attribute
  createNode({ primitive: along, attributes: { axes: 1 }, ...rest });
  // @ts-expect-error a list in place of a number
  createNode({ primitive: along, attributes: { axis: [1] }, ...rest });
});

it("rules see the attributes by their names", () => {
  primitive<{ axis: number }>("named", { kind: "iota" }, (g, node) => {
    expectTypeOf(node).toEqualTypeOf<NodeOf<{ axis: number }>>();
    expectTypeOf(node.attributes.axis).toEqualTypeOf<number>();
    return [g];
  });
  // @ts-expect-error a rule that reads what there is not
  primitive<{ axis: number }>("unnamed", { kind: "iota" }, (_, { attributes: { axes } }) => [axes]);
});
