/**
 * What a tensor can be asked: its values, its words, its memory.
 */

import { inspect } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import {
  currentDevice,
  deviceStatistics,
  gradients,
  realize,
  setDevice,
  type Tensor,
  tensor,
} from "../../src/index.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

describe("reading", () => {
  it("data() is a fresh typed array of the dtype's kind", async () => {
    expect(await tensor([1.5]).data()).toEqual(Float32Array.of(1.5));
    expect(await tensor([1.5], { dtype: "float64" }).data()).toEqual(Float64Array.of(1.5));
    expect(await tensor([1], { dtype: "int32" }).data()).toEqual(Int32Array.of(1));
    expect(await tensor([true]).data()).toEqual(Int32Array.of(1));
    const y = tensor([1, 2]).add(1);
    const first = await y.data();
    first[0] = 100;
    expect(await y.array()).toEqual([2, 3]);
  });

  it("array() nests by shape, with booleans as such", async () => {
    expect(await tensor(3).array()).toBe(3);
    expect(await tensor(3).greater(2).array()).toBe(true);
    expect(await tensor([[true, false]]).array()).toEqual([[true, false]]);
    expect(await pg.zeros([2, 0]).array()).toEqual([[], []]);
    expect(await pg.zeros([0, 2]).array()).toEqual([]);
  });

  it("item() is the only element", async () => {
    expect(await tensor([[7]]).item()).toBe(7);
    expect(await tensor(true).item()).toBe(1);
    await expect(tensor([1, 2]).item()).rejects.toThrow(
      "item: the tensor has shape [2], not one element",
    );
    await expect(pg.zeros([0]).item()).rejects.toThrow("item: the tensor has shape [0]");
  });

  it("size and rank come from the shape", () => {
    expect([tensor(1).size, tensor(1).rank]).toEqual([1, 0]);
    expect([pg.zeros([2, 3]).size, pg.zeros([2, 3]).rank]).toEqual([6, 2]);
    expect(pg.zeros([2, 0]).size).toBe(0);
  });

  it("many readers at once get their values", async () => {
    const x = tensor([1, 2, 3]);
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => x.mul(i).sum().item()));
    expect(results).toEqual(Array.from({ length: 20 }, (_, i) => 6 * i));
  });

  it("a value is computed once, however often it is read", async () => {
    const y = tensor([1]).exp();
    await y.data();
    const before = await deviceStatistics();
    await y.data();
    await y.array();
    const after = await deviceStatistics();
    expect(after.plansCompiled + after.planCacheHits).toBe(
      before.plansCompiled + before.planCacheHits,
    );
  });
});

describe("empty and scalar tensors", () => {
  it("go through every kind of operation", async () => {
    const empty = tensor(new Float32Array(0), { shape: [0, 3] });
    const scalar = tensor(2);
    expect(await empty.exp().add(1).array()).toEqual([]);
    expect(await empty.sum(0).array()).toEqual([0, 0, 0]);
    expect(await empty.transpose().array()).toEqual([[], [], []]);
    expect(await empty.matmul(pg.ones([3, 2])).array()).toEqual([]);
    expect(await empty.transpose().matmul(empty).array()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(await pg.concat([empty, tensor([[1, 2, 3]])]).array()).toEqual([[1, 2, 3]]);
    expect(
      await empty
        .pad([
          [1, 0],
          [0, 0],
        ])
        .array(),
    ).toEqual([[0, 0, 0]]);
    expect(await empty.sort(0).array()).toEqual([]);
    expect(await scalar.exp().log().mul(scalar).array()).toBeCloseTo(4, 6);
    expect(await scalar.sum().array()).toBe(2);
    expect(await scalar.max().array()).toBe(2);
    expect(await scalar.transpose().array()).toBe(2);
    expect(await scalar.slice().array()).toBe(2);
    expect(await scalar.pad([]).array()).toBe(2);
    expect(await scalar.broadcastTo([2]).array()).toEqual([2, 2]);
    expect(await pg.logSumExp(scalar).array()).toBe(2);
  });

  it("have gradients", async () => {
    const empty = tensor(new Float32Array(0), { shape: [0, 3] });
    expect(await gradients(empty.square().sum(), [empty])[0]!.array()).toEqual([]);
    const x = tensor([1, 2, 3]);
    expect(await gradients(x.slice([3]).sum(), [x])[0]!.array()).toEqual([0, 0, 0]);
    const scalar = tensor(3);
    expect(await gradients(scalar.square(), [scalar])[0]!.array()).toBe(6);
  });
});

describe("toString", () => {
  it("shows dtype, shape, and values or origin", () => {
    expect(String(tensor([[1, 2.5]]))).toBe("Tensor float32[1,2] = [[1, 2.5]]");
    expect(String(tensor([2147483647], { dtype: "int32" }))).toBe("Tensor int32[1] = [2147483647]");
    expect(String(tensor(Array.from({ length: 9 }, (_, i) => i)))).toBe(
      "Tensor float32[9] = [0, 1, 2, …, 6, 7, 8]",
    );
    expect(String(pg.full([2, 2], 0.5))).toBe("Tensor float32[2,2] = 0.5");
    expect(String(tensor([1, 2]).add(tensor([3, 4])))).toBe(
      "Tensor float32[2] = add(float32[2], float32[2])",
    );
    expect(String(tensor([true], { dtype: "bool" }))).toBe("Tensor bool[1] = [true]");
    expect(String(tensor(0.1))).toBe("Tensor float32[] = 0.1");
  });

  it("is what Node prints", () => {
    const x = tensor([1]);
    expect(inspect({ x })).toBe("{ x: Tensor float32[1] = [1] }");
  });

  it("works at every stage of a tensor's life", async () => {
    const y = tensor([1, 2]).exp();
    await realize(y);
    expect(String(y)).toBe("Tensor float32[2] = [2.71828, 7.38906]");
    y.dispose();
    expect(String(y)).toBe("Tensor float32[2]");
  });
});

describe("printing", () => {
  it.each(["interpreter", "wasm"] as const)("nests what %s has computed", async (device) => {
    await setDevice(device);
    const x = await realize(pg.arange(8).reshape([2, 2, 2]).add(1));
    expect(String(x)).toBe("Tensor int32[2,2,2] = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]");
    expect(inspect(await realize(pg.arange(4).reshape([2, 2]).cast("float32").add(0.5)))).toBe(
      "Tensor float32[2,2] = [[0.5, 1.5],\n [2.5, 3.5]]",
    );
    const large = await realize(pg.arange(80).reshape([10, 8]).mul(2));
    expect(String(large)).toBe(
      "Tensor int32[10,8] = [[0, 2, 4, …, 10, 12, 14], [16, 18, 20, …, 26, 28, 30], " +
        "[32, 34, 36, …, 42, 44, 46], …, [112, 114, 116, …, 122, 124, 126], " +
        "[128, 130, 132, …, 138, 140, 142], [144, 146, 148, …, 154, 156, 158]]",
    );
    expect(String(await realize(pg.ones([0, 3]).mul(2)))).toBe("Tensor float32[0,3] = []");
    await setDevice("interpreter");
  });
});

describe("a tensor is no number", () => {
  const t = tensor([10]) as unknown as number;
  const message = "a tensor is no number: compute with methods, t.add(1), t.less(x), or with await";

  it("in arithmetic, comparison and Math", () => {
    for (const use of [
      () => t + 1,
      () => 2 * t,
      () => -t,
      () => t < 3,
      () => t >= 10,
      () => Math.max(t),
      () => Number(t),
    ]) {
      expect(use).toThrow(message);
    }
  });

  it("but a text in template strings", () => {
    expect(`${tensor([10])}`).toBe("Tensor float32[1] = [10]");
  });

  it("and has no value, elements or gradient to read", () => {
    const { value, grad, 0: first } = tensor(3) as unknown as Record<string, unknown>;
    expect([value, grad, first]).toEqual([undefined, undefined, undefined]);
  });
});

describe("realize", () => {
  it("refuses what is no tree", async () => {
    await expect(realize("x")).rejects.toThrow(
      'realize: expected tensors or trees of them, got "x"',
    );
    await expect(realize(tensor(1), 5)).rejects.toThrow("trees of them, got 5");
  });

  it("evaluates all tensors of its trees together and returns the first", async () => {
    const x = tensor([1, 2]);
    const tree = { a: x.add(1), list: [x.mul(2), 5, "name"], nothing: null };
    const other = x.exp();
    expect(await realize(tree, [other], undefined)).toBe(tree);
    const { plansCompiled, planCacheHits } = await deviceStatistics();
    expect(await tree.a.array()).toEqual([2, 3]);
    expect(await (tree.list[0] as Tensor).array()).toEqual([2, 4]);
    await other.data();
    const after = await deviceStatistics();
    expect([after.plansCompiled, after.planCacheHits]).toEqual([plansCompiled, planCacheHits]);
  });

  it("makes leaves: gradients behind them are an error, those taken before stay", async () => {
    const x = tensor([3]);
    const y = x.square();
    const [before] = gradients(y, [x]);
    await realize(y);
    expect(await before!.array()).toEqual([6]);
    expect(() => gradients(y, [x])).toThrow("realize forgot how");
    expect(await gradients(y.mul(2), [y])[0]!.array()).toEqual([2]);
  });

  it("data() alone keeps the history", async () => {
    const x = tensor([3]);
    const y = x.square();
    await y.data();
    expect(await gradients(y, [x])[0]!.array()).toEqual([6]);
  });

  it("of given values and of nothing is fine", async () => {
    const x = tensor([1]);
    expect(await realize(x)).toBe(x);
    expect(await realize(x)).toBe(x);
    expect(await x.array()).toEqual([1]);
    expect(await realize([])).toEqual([]);
    expect(await realize(pg.zeros([2]))).toBeInstanceOf(pg.Tensor);
    const y = x.add(1);
    await realize(y, y, [y]);
    expect(await y.array()).toEqual([2]);
  });
});

describe("memory", () => {
  it("dispose gives it back at once", async () => {
    const before = await deviceStatistics();
    const x = await realize(tensor(new Float32Array(1000)).add(1));
    const during = await deviceStatistics();
    expect(during.bytes - before.bytes).toBeGreaterThanOrEqual(4000);
    x.dispose();
    const after = await deviceStatistics();
    expect(during.bytes - after.bytes).toBe(4000);
    expect(during.buffers - after.buffers).toBe(1);
    x.dispose();
    expect((await deviceStatistics()).bytes).toBe(after.bytes);
  });

  it("a tensor that is being used is disposed of at the end of its block", async () => {
    let seen: Tensor;
    {
      using x = await realize(pg.ones([3]));
      seen = x;
      expect(await x.sum().item()).toBe(3);
    }
    await expect(seen.data()).rejects.toThrow(/used after dispose\(\)/);
  });

  it("a disposed tensor cannot be used", async () => {
    for (const x of [tensor([1, 2]), await realize(tensor([1, 2]).add(1)), pg.zeros([2])]) {
      x.dispose();
      const message = "a float32 tensor of shape [2] was used after dispose() gave its memory back";
      await expect(x.data()).rejects.toThrow(message);
      await expect(x.add(1).data()).rejects.toThrow(message);
    }
  });

  it("an evaluation that failed spoils nothing", async () => {
    const gone = tensor([1]);
    gone.dispose();
    const x = tensor([1]);
    await Promise.allSettled([gone.add(x).data(), x.add(1).data()]);
    expect(await x.add(1).array()).toEqual([2]);
  });
});

describe("devices", () => {
  it("are chosen by name", async () => {
    expect(currentDevice()).toBe("interpreter");
    await setDevice("interpreter");
    expect((await deviceStatistics()).device).toBe("interpreter");
    await expect(setDevice("abacus" as never)).rejects.toThrow(
      /setDevice: unknown device "abacus"; known: .*wasm.*interpreter/,
    );
    expect(currentDevice()).toBe("interpreter");
  });
});
