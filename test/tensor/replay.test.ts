/**
 * Evaluations that are done again give the values that building them anew gives, and build nothing.
 */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  deviceStatistics,
  matmul,
  randomNormal,
  realize,
  setDebug,
  setDevice,
  type Tensor,
  tensor,
  zeros,
} from "../../src/index.js";
import { replayed } from "../../src/tensor/replay.js";

interface Inputs {
  readonly total: Tensor;
  readonly x: Tensor;
}

const weight = randomNormal([3, 3], { seed: 0 });

const build = ({ total, x }: Inputs) => {
  const product = matmul(x, weight).add(2);
  return { total: total.add(product), norm: product.square().sum() };
};

function accumulator() {
  const make = vi.fn(build);
  return { make, advance: replayed(make, ({ total }: Inputs) => total) };
}

const row = (seed: number, rows = 1) => randomNormal([rows, 3], { seed });

beforeEach(() => setDevice("wasm", { threads: 1 }));
afterEach(() => setDebug({ checkFinite: false }));

/** Totals and norms of some rows, one after the other, from leaves. */
async function run(advance: (inputs: Inputs) => Promise<ReturnType<typeof build>>, rows = 1) {
  let total = await realize(zeros([rows, 3]).add(0));
  const found: number[] = [];
  for (let i = 0; i < 4; i++) {
    const next = await advance({ total, x: await realize(row(i, rows)) });
    total = next.total;
    found.push(...(await total.data()), await next.norm.item());
  }
  return found;
}

describe("an evaluation that is done again", () => {
  it("gives the same bits as one that is built anew, and is built once", async () => {
    const { make, advance } = accumulator();
    const anew = async (inputs: Inputs) => realize(build(inputs));
    expect(await run(advance)).toEqual(await run(anew));
    expect(make).toHaveBeenCalledTimes(1);
  });

  it("is built for each set of shapes", async () => {
    const { make, advance } = accumulator();
    await run(advance);
    await run(advance, 2);
    await run(advance);
    expect(make).toHaveBeenCalledTimes(2);
  });

  it("uses up what is given up, and holds no more memory", async () => {
    const { advance } = accumulator();
    const total = await realize(zeros([1, 3]).add(1));
    const first = await advance({ total, x: tensor([[1, 2, 3]]) });
    await expect(total.data()).rejects.toThrow("was given up in realizeInto");
    const { bytes } = await deviceStatistics();
    const x = await realize(row(1));
    const second = await advance({ total: first.total, x });
    await expect(first.total.data()).rejects.toThrow("was given up in realizeInto");
    second.norm.dispose();
    x.dispose();
    expect((await deviceStatistics()).bytes).toBe(bytes);
  });

  it("takes tensors that have elements on the host, and is built anew for those that have none yet", async () => {
    const { make, advance } = accumulator();
    const totals = async (x: Tensor) => {
      const total = await realize(zeros([1, 3]).add(0));
      return (await advance({ total, x })).total.array();
    };
    const expected = await totals(tensor([[1, 2, 3]]));
    expect(await totals(tensor([[1, 2, 3]]))).toEqual(expected);
    expect(make).toHaveBeenCalledTimes(1);
    expect(await totals(tensor([[0.5, 1, 1.5]]).mul(2))).toEqual(expected);
    expect(make).toHaveBeenCalledTimes(2);
  });

  it("evaluates anew what has a tensor twice, or numbers", async () => {
    const x = await realize(tensor([1, 2]));
    const y = await realize(tensor([3, 5]));
    const tied = replayed(
      ({ t }: { t: Tensor }) => {
        const sum = t.add(1);
        return { key: sum, value: sum, other: t.mul(2) };
      },
      () => [],
    );
    const difference = replayed(
      ({ a, b }: { a: Tensor; b: Tensor }) => ({ d: a.sub(b) }),
      () => [],
    );
    const counted = replayed(
      ({ t, n }: { t: Tensor; n: number }) => ({ t: t.add(n), n: n + 1 }),
      () => [],
    );
    for (const t of [x, y]) {
      const [one, two] = (await t.array()) as [number, number];
      const found = await tied({ t });
      expect(await found.value.array()).toEqual([one + 1, two + 1]);
      expect(await found.other.array()).toEqual([2 * one, 2 * two]);
    }
    expect(await (await difference({ a: x, b: x })).d.array()).toEqual([0, 0]);
    expect(await (await difference({ a: x, b: y })).d.array()).toEqual([-2, -3]);
    const first = await counted({ t: x, n: 1 });
    const second = await counted({ t: first.t, n: first.n });
    expect([await second.t.array(), second.n]).toEqual([[4, 5], 3]);
  });

  it("is built anew on another device, and where values are looked at", async () => {
    const { make, advance } = accumulator();
    const found = await run(advance);
    await setDevice("interpreter");
    for (const [i, value] of (await run(advance)).entries())
      expect(value).toBeCloseTo(found[i]!, 4);
    expect(make.mock.calls.length).toBeGreaterThan(1);
    const infinite = replayed(
      (t: Tensor) => t.log(),
      () => [],
    );
    await infinite(await realize(tensor([1, 2])));
    await setDebug({ checkFinite: true });
    await expect(infinite(await realize(tensor([1, 0])))).rejects.toThrow("log");
  });
});
