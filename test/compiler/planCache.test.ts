/**
 * Equal graphs share a plan, different ones do not.
 */

import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import {
  deviceStatistics,
  gradients,
  randomNormal,
  realize,
  setDevice,
  type Tensor,
  tensor,
  treeMap,
  valueAndGrad,
} from "../../src/index.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const plans = async (): Promise<[compiled: number, hits: number]> => {
  const { plansCompiled, planCacheHits } = await deviceStatistics();
  return [plansCompiled, planCacheHits];
};

/** Plans compiled and reused by evaluating some tensors, one after the other. */
async function work(...tensors: Tensor[]): Promise<[compiled: number, hits: number]> {
  const before = await plans();
  for (const t of tensors) await t.data();
  const after = await plans();
  return [after[0] - before[0], after[1] - before[1]];
}

let seed = 0;
const random = (...shape: number[]): Tensor => randomNormal(shape, { seed: seed++ });

describe("the plan cache", () => {
  it("knows a graph again, with other elements and other constants", async () => {
    const make = (factor: number): Tensor => random(3, 7).mul(factor).exp().sum(0);
    expect(await work(make(2), make(3), make(-0.5))).toEqual([1, 2]);
    const [a, b] = [tensor([1]).mul(2).tanh(), tensor([1]).mul(3).tanh()];
    await work(a, b);
    expect([await a.item(), await b.item()]).toEqual([Math.tanh(2), Math.tanh(3)].map(Math.fround));
  });

  it("a training step compiles once for 100 steps while the learning rate changes", async () => {
    const inputs = random(16, 4);
    const targets = random(16, 1);
    let parameters = { w1: random(4, 8), b1: pg.zeros([8]), w2: random(8, 1), b2: pg.zeros([1]) };
    let momentum = treeMap((p) => pg.zerosLike(p), parameters);
    await realize(inputs, targets, parameters, momentum);
    const loss = (p: typeof parameters): Tensor =>
      inputs.matmul(p.w1).add(p.b1).tanh().matmul(p.w2).add(p.b2).sub(targets).square().mean();
    const before = await plans();
    const losses: number[] = [];
    for (let step = 0; step < 100; step++) {
      const rate = 0.1 / (1 + 0.01 * step);
      const [value, gradient] = valueAndGrad(loss)(parameters);
      momentum = treeMap((m, g) => m.mul(0.9).add(g), momentum, gradient);
      parameters = treeMap((p, m) => p.sub(m.mul(rate)), parameters, momentum);
      await realize(parameters, momentum, value);
      losses.push(await value.item());
    }
    const after = await plans();
    expect([after[0] - before[0], after[1] - before[1]]).toEqual([1, 99]);
    expect(losses[99]).toBeLessThan(0.5 * losses[0]!);
  });

  it("tells sharing from equality", async () => {
    const [x, y] = [tensor([2]), tensor([5])];
    await realize(x, y);
    expect(await work(x.add(x).neg(), x.add(y).neg())).toEqual([2, 0]);
    expect(await x.add(x).neg().item()).toBe(-4);
    expect(await x.add(y).neg().item()).toBe(-7);
    // Once shared, once computed twice.
    const shared = x.exp();
    expect(await work(shared.mul(shared).sqrt(), x.exp().mul(x.exp()).sqrt())).toEqual([2, 0]);
  });

  it("tells the order of operands", async () => {
    const [x, y] = [tensor([2]), tensor([5])];
    expect([await x.sub(y).exp().log().item(), await y.sub(x).exp().log().item()]).toEqual([
      expect.closeTo(-3, 5),
      expect.closeTo(3, 5),
    ]);
    const e = x.exp();
    expect([await e.sub(x).item(), await x.sub(e).item()]).toEqual([
      expect.closeTo(Math.exp(2) - 2, 5),
      expect.closeTo(2 - Math.exp(2), 5),
    ]);
  });

  it("tells shapes, dtypes and attributes", async () => {
    const x = random(4, 4);
    await realize(x);
    const different: Tensor[][] = [
      [random(5).erf(), random(6).erf(), random(5, 1).erf(), random(1, 5).erf()],
      [
        random(5).log1p(),
        randomNormal([5], { seed: 1, dtype: "float64" }).log1p(),
        random(5).cast("float64").log1p(),
      ],
      [x.sum(0).expm1(), x.sum(1).expm1(), x.sum().expm1(), x.max(0).expm1()],
      [x.transpose().sign(), x.sign(), pg.flip(x).sign(), pg.flip(x, 0).sign()],
      [
        x.slice([0, 2]).abs(),
        x.slice([1, 3]).abs(),
        x.slice([0, 4, 2]).abs(),
        x.slice([0, 3]).abs(),
      ],
      [
        x
          .pad([
            [1, 0],
            [0, 0],
          ])
          .floor(),
        x
          .pad([
            [0, 1],
            [0, 0],
          ])
          .floor(),
      ],
    ];
    for (const list of different) expect(await work(...list)).toEqual([list.length, 0]);
  });

  it("tells which values are asked for", async () => {
    const make = (): [Tensor, Tensor] => {
      const a = tensor([3]).square();
      return [a, a.exp()];
    };
    const before = await plans();
    const [first, second, third] = [make(), make(), make()];
    await realize(first[1]);
    await realize(second);
    await realize(third[1], third[0]);
    const after = await plans();
    expect(after[0] - before[0]).toBe(3);
    for (const [a, b] of [second, third]) {
      expect([await a.item(), await b.item()]).toEqual([9, Math.fround(Math.exp(9))]);
    }
  });

  it("gradients of equal functions are equal graphs", async () => {
    const make = (): Tensor => {
      const x = random(3);
      return gradients(pg.softmax(x).square().sum(), [x])[0]!;
    };
    expect(await work(make(), make())).toEqual([1, 1]);
  });

  it("computes right whatever was computed before", async () => {
    // Many small graphs that differ in one respect each, twice.
    for (let round = 0; round < 2; round++) {
      for (let n = 1; n < 20; n++) {
        const x = pg.arange(n).cast("float32");
        expect(await x.add(n).sum().item()).toBe((n * (n - 1)) / 2 + n * n);
        expect(
          await x
            .slice([n - 1])
            .mul(2)
            .item(),
        ).toBe(2 * (n - 1));
      }
    }
  });
});
