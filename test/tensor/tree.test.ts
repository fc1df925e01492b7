/**
 * Trees of tensors.
 */

import { beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import {
  setDevice,
  type Tensor,
  tensor,
  treeLeaves,
  treeMap,
  treeNumbers,
} from "../../src/index.js";
import { treeUnflatten } from "../../src/tensor/tree.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const [a, b, c] = [tensor(1), tensor(2), tensor(3)];
const tree = { first: a, rest: [b, { last: c }], steps: 7, name: "model", missing: null };

describe("trees", () => {
  it("treeLeaves lists the tensors in order", () => {
    expect(treeLeaves(tree)).toEqual([a, b, c]);
    expect(treeLeaves(a)).toEqual([a]);
    expect(treeLeaves([])).toEqual([]);
    expect(treeLeaves({ values: new Float32Array(2), n: 1 })).toEqual([]);
  });

  it("treeMap keeps the structure and what is no tensor", async () => {
    const doubled = treeMap((t) => t.mul(2), tree);
    expect(await Promise.all(treeLeaves(doubled).map((t) => t.item()))).toEqual([2, 4, 6]);
    expect(Array.isArray(doubled.rest)).toBe(true);
    expect([doubled.steps, doubled.name, doubled.missing]).toEqual([7, "model", null]);
    expect(doubled).not.toBe(tree);
  });

  it("treeMap walks several trees together", async () => {
    const sum = treeMap((x, y, z) => x.add(y).add(z), [a, { b }], [b, { b: c }], [c, { b: a }]);
    expect(await Promise.all(treeLeaves(sum).map((t) => t.item()))).toEqual([6, 6]);
  });

  it("treeMap says where trees differ", () => {
    const f = (x: Tensor): Tensor => x;
    expect(() => treeMap(f, tree, { first: a, rest: [b, {}] })).toThrow(
      "treeMap: trees differ at rest.1.last: expected a tensor",
    );
    expect(() => treeMap(f, a, {})).toThrow("treeMap: trees differ at the root: expected a tensor");
  });

  it("treeUnflatten puts leaves back", () => {
    const other = treeUnflatten(tree, [c, b, a]);
    expect(treeLeaves(other)).toEqual([c, b, a]);
    expect(other.name).toBe("model");
  });

  it("treeNumbers reads scalars, keeps the rest, and names what is no scalar", async () => {
    const numbers = await treeNumbers(tree);
    expect(numbers).toEqual({
      first: 1,
      rest: [2, { last: 3 }],
      steps: 7,
      name: "model",
      missing: null,
    });
    expectTypeOf(numbers.first).toEqualTypeOf<number>();
    expect(JSON.parse(JSON.stringify(numbers))).toEqual(numbers);
    await expect(treeNumbers({ rest: [a, tensor([1, 2])] })).rejects.toThrow(
      "treeNumbers: the tensor at rest.1 has shape [2]; only scalars become numbers",
    );
  });

  it("with tensors in them are refused by JSON, which names the way", () => {
    expect(() => JSON.stringify(tree)).toThrow(
      "JSON cannot hold a tensor (float32[]): write `await treeNumbers(state)`",
    );
  });
});
