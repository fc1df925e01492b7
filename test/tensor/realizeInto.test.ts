/**
 * Giving tensors up: the numbers of `realize` for any graph, the memory it saves, and what goes wrong.
 */

import { afterEach, describe, expect, it, vi } from "vitest";
import { Kernels } from "../../src/devices/wasm/kernels.js";
import * as pg from "../../src/index.js";
import {
  explainInto,
  realize,
  realizeInto,
  setDevice,
  type Tensor,
  tensor,
} from "../../src/index.js";
import { build, programs } from "../compiler/randomGraph.js";
import { forAll } from "../ops/reference.js";

afterEach(() => pg.setDebug({ checkFinite: false }));

const random = (shape: readonly number[], seed: number): Tensor => pg.randomNormal(shape, { seed });
const GIVEN_UP = /^a float32 tensor of shape \[3\] was used after it was given up in realizeInto/;

for (const [device, runs] of [
  ["interpreter", 300],
  ["wasm", 100],
] as const) {
  it(`random graphs have the bits that realize gives: ${device}`, async () => {
    await setDevice(device);
    await forAll(
      [programs(14)],
      async (program) => {
        const make = async (): Promise<[Tensor[], Tensor[]]> => {
          const leaves = await realize(
            program.leaves.map(({ shape, seed }) => random(shape, seed)),
          );
          return [leaves, await build(program, { dtype: "float32", leaves })];
        };
        const [, expected] = await make();
        await realize(expected);
        const [leaves, found] = await make();
        // Some leaves are results themselves.
        await realizeInto(leaves, found);
        for (const [i, t] of found.entries()) {
          expect(Array.from(await t.data())).toEqual(Array.from(await expected[i]!.data()));
        }
        for (const leaf of leaves) {
          if (!found.includes(leaf)) await expect(leaf.data()).rejects.toThrow("given up");
        }
      },
      runs,
    );
  });
}

describe("a step of AdamW", () => {
  it("holds parameters and moments once, and beside them no more than gradients", async () => {
    await setDevice("wasm");
    const n = 300;
    const optimizer = pg.adamw({ learningRate: 0.1 });
    let parameters = await realize([random([n, n], 1), random([n, n], 2)]);
    let state = optimizer.init(parameters);
    await realize(state);
    const x = await realize(random([4, n], 3));
    const bytes = 4 * n * n;
    for (let step = 0; step < 2; step++) {
      const [a, b] = parameters as [Tensor, Tensor];
      const loss = pg.matmul(pg.matmul(x, a).tanh(), b).square().mean();
      const updated = optimizer.update(pg.gradients(loss, parameters), state, parameters);
      const plan = await explainInto([parameters, state], updated, loss);
      expect(plan.reusedBytes).toBeGreaterThanOrEqual(6 * bytes);
      expect(plan.peakBytes).toBeLessThan(2.1 * bytes);
      expect(String(plan)).toContain("in given-up memory");
      expect((await pg.explain(updated, loss)).peakBytes).toBeGreaterThan(6 * bytes);
      const before = await pg.deviceStatistics();
      [parameters, state] = await realizeInto([parameters, state], updated, loss);
      const after = await pg.deviceStatistics();
      expect(after.bytes - before.bytes).toBeLessThan(100);
    }
  });
});

describe("plans", () => {
  it("are told apart by what is given up, and found again", async () => {
    await setDevice("wasm");
    const step = (x: Tensor): Tensor => pg.sin(x.mul(3));
    const compiled = async (work: () => Promise<unknown>): Promise<number> => {
      const { plansCompiled } = await pg.deviceStatistics();
      await work();
      return (await pg.deviceStatistics()).plansCompiled - plansCompiled;
    };
    const [a, b, c] = await realize([1, 2, 3].map((seed) => random([11], seed)));
    expect(await compiled(() => realize(step(a!)))).toBe(1);
    expect(await compiled(() => realizeInto(a!, step(a!)))).toBe(1);
    expect(await compiled(() => realizeInto(b!, step(b!)))).toBe(0);
    expect(await compiled(() => realize(step(c!)))).toBe(0);
  });
});

describe("a failed evaluation leaves given-up tensors as they were:", () => {
  const kept = async (x: Tensor, work: Promise<unknown>, message: RegExp): Promise<void> => {
    await expect(work).rejects.toThrow(message);
    expect(await x.array()).toEqual([1, 2, 3]);
  };

  for (const device of ["wasm", "interpreter"] as const) {
    it(`values that are not finite, ${device}`, async () => {
      await setDevice(device);
      await pg.setDebug({ checkFinite: true });
      const x = await realize(tensor([1, 2, 3]));
      await kept(x, realizeInto(x, x.add(1), x.mul(-1).log()), /^log\(float32\[3\]\) made/);
      expect(await (await realizeInto(x, x.add(1))).array()).toEqual([2, 3, 4]);
      await expect(x.data()).rejects.toThrow(GIVEN_UP);
    });
  }

  it("no memory", async () => {
    await setDevice("wasm");
    const x = await realize(tensor([1, 2, 3]));
    const large = pg.zeros([2 ** 20, 2 ** 10]).add(x.sum());
    await kept(x, realizeInto(x, x.add(1), large), /^out of memory/);
  });

  it("another tensor that was given up", async () => {
    await setDevice("wasm");
    const [x, y] = [await realize(tensor([1, 2, 3])), await realize(tensor([4, 5, 6]))];
    await realizeInto(y, y.add(1));
    await kept(x, realizeInto(x, x.add(y)), GIVEN_UP);
  });
});

it("an evaluation that fails in the middle of its work says that given-up tensors are lost", async () => {
  await setDevice("wasm");
  const [x, y] = await realize([tensor([1, 2, 3]), tensor([4, 5, 6])]);
  const original = Kernels.prototype.get;
  const get = vi.spyOn(Kernels.prototype, "get").mockImplementation(function (this: Kernels, key) {
    const kernel = original.call(this, key);
    return (
      kernel && {
        ...kernel,
        run: () => {
          throw new Error("a worker ended");
        },
      }
    );
  });
  try {
    await expect(realizeInto(x!, x!.mul(7).sub(y!))).rejects.toThrow(
      "a worker ended. It had begun to overwrite what was given up in realizeInto: these tensors are lost",
    );
  } finally {
    get.mockRestore();
  }
  await expect(x!.data()).rejects.toThrow(GIVEN_UP);
  expect(await y!.array()).toEqual([4, 5, 6]);
  expect(await y!.add(1).array()).toEqual([5, 6, 7]);
});

describe("what is given up", () => {
  it("may be a tensor that was never computed, and no results need be named", async () => {
    await setDevice("wasm");
    const x = await realize(tensor([1, 2, 3]));
    const late = x.mul(2);
    await realizeInto([late], x.add(1));
    await expect(late.data()).rejects.toThrow(GIVEN_UP);
    await realizeInto(x, {});
    await expect(x.data()).rejects.toThrow(GIVEN_UP);
  });

  it("may lie on another device", async () => {
    await setDevice("interpreter");
    const [x, unread] = [await realize(tensor([1, 2, 3])), await realize(tensor([1, 2, 3]))];
    await setDevice("wasm");
    expect(await (await realizeInto([x, unread], x.mul(2))).array()).toEqual([2, 4, 6]);
    await expect(unread.data()).rejects.toThrow(GIVEN_UP);
  });

  it("is a tree of tensors", async () => {
    await expect(realizeInto(3, tensor([1]))).rejects.toThrow(
      "realizeInto: expected tensors or trees of them, got 3",
    );
    await expect(realizeInto([], 3)).rejects.toThrow(
      "realizeInto: expected tensors or trees of them, got 3",
    );
  });
});
