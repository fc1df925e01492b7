/**
 * Trees of tensors.
 */

import { beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import {
  grad,
  realize,
  setDevice,
  type Tensor,
  tensor,
  treeFromNamed,
  treeLeaves,
  treeMap,
  treeNamed,
  treeNumbers,
} from "../../src/index.js";
import { treeUnflatten } from "../../src/tensor/tree.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const [a, b, c] = [tensor(1), tensor(2), tensor(3)];
const tree = { first: a, rest: [b, { last: c }], steps: 7, name: "model", missing: null };

describe("names of tensors", () => {
  it("are the keys and indices that lead to them, joined by dots", () => {
    expect(treeNamed(tree)).toEqual({ first: a, "rest.0": b, "rest.1.last": c });
    expect(treeNamed(a)).toEqual({ "": a });
    expect(treeNamed([])).toEqual({});
  });

  it("lead back to the tree: keys that count from 0 are an array's, in any order", () => {
    const grown = { first: a, rest: [b, { last: c }] };
    expect(treeFromNamed(treeNamed(grown))).toEqual(grown);
    expect(treeFromNamed({ "rest.1.last": c, first: a, "rest.0": b })).toEqual(grown);
    expect(treeFromNamed({ "1.w": b, "2.w": c })).toEqual({ 1: { w: b }, 2: { w: c } });
    expect(treeFromNamed({ "": a })).toBe(a);
    expect(treeFromNamed({})).toEqual({});
    const many = Array.from({ length: 12 }, (_, i) => tensor(i));
    const sorted = Object.fromEntries(Object.entries(treeNamed({ many })).sort());
    expect(treeFromNamed(sorted)).toEqual({ many });
  });

  it("fill a tree that gives the structure, its order and what is no tensor", () => {
    const filled = treeFromNamed({ "rest.1.last": a, "rest.0": b, first: c }, tree);
    expect(filled).toEqual({ ...tree, first: c, rest: [b, { last: a }] });
    expectTypeOf(filled).toEqualTypeOf<typeof tree>();
    expect(treeFromNamed({ "": b }, a)).toBe(b);
  });

  it("do not reach prototypes", () => {
    const grown = treeFromNamed({ "__proto__.polluted": a, "constructor.x": b });
    expect(Object.keys(grown)).toEqual(["__proto__", "constructor"]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(() => treeFromNamed({ toString: a }, {})).toThrow('no place for "toString"');
    expect(() => treeFromNamed({}, { toString: a })).toThrow('nothing has the name "toString"');
  });

  it("that are missing, unknown, of another shape or of two tensors are refused", () => {
    expect(() => treeFromNamed({ first: a, "rest.0": b, "rest.2.last": c }, tree)).toThrow(
      'treeFromNamed: nothing has the name "rest.1.last"; the tree has no place for "rest.2.last"',
    );
    const many = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`p${i}`, a]));
    expect(() => treeFromNamed({}, many)).toThrow('"p0", "p1", "p2", "p3", "p4" and 3 more');
    expect(() => treeFromNamed({ w: tensor([1, 2]) }, { w: tensor([[1], [2]]) })).toThrow(
      'treeFromNamed: "w" has shape [2], its place in the tree [2,1]',
    );
    expect(() => treeFromNamed({ w: a, "w.bias": b })).toThrow("a name leads through a tensor");
    expect(() => treeNamed({ "a.b": a, a: { b } })).toThrow('two tensors have the name "a.b"');
    expect(() => treeNamed(new Map([["w", a]]))).toThrow("Object.fromEntries(map) makes one");
  });
});

describe("trees", () => {
  it("treeLeaves lists the tensors in order", () => {
    expect(treeLeaves(tree)).toEqual([a, b, c]);
    expect(treeLeaves(a)).toEqual([a]);
    expect(treeLeaves([])).toEqual([]);
    expect(treeLeaves({ n: 1, f: () => 0 })).toEqual([]);
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
      "treeMap: trees differ at rest.1.last: a tensor in tree 1, undefined in tree 2",
    );
    expect(() => treeMap(f, a, {})).toThrow(
      "treeMap: trees differ at the root: a tensor in tree 1, an object in tree 2",
    );
  });

  it("refuse what only looks like one, with its path and the way", async () => {
    class Layer {
      readonly weight = a;
    }
    const cases: [value: unknown, message: string][] = [
      [new Map([["w", a]]), "a Map at model.0; Object.fromEntries(map) makes one"],
      [new Layer(), "an object at model.0; keep the tensors in a plain object"],
      [new Set([a]), "a Set at model.0; keep the tensors in a plain object"],
      [new Float32Array(2), "a Float32Array at model.0; tensor(array) makes one"],
      [a.item(), "a Promise at model.0; await it first"],
    ];
    for (const [value, message] of cases) {
      const wrong = { model: [value] };
      for (const use of [treeLeaves, (t: object) => treeMap((x) => x, t)]) {
        expect(() => use(wrong)).toThrow(message);
      }
      await expect(treeNumbers(wrong)).rejects.toThrow(message);
      await expect(realize(a, wrong)).rejects.toThrow(message);
      expect(() => grad(() => a)(wrong)).toThrow(message);
      expect(() => treeMap((x) => x, { model: [a] }, { model: value })).toThrow("at model");
    }
    expect(() => treeLeaves(new Map())).toThrow("but found a Map; Object");
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
