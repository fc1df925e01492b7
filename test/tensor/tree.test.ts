/**
 * Trees of tensors.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { setDevice, type Tensor, tensor, treeLeaves, treeMap } from "../../src/index.js";
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
});
