/**
 * What becomes of graphs: which operations share a kernel, and what is stored.
 */

import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import {
  type Explanation,
  explain,
  gradients,
  randomNormal,
  setDevice,
  type Tensor,
  tensor,
} from "../../src/index.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

let seed = 0;
const random = (...shape: number[]): Tensor => randomNormal(shape, { seed: seed++ });
const kinds = ({ kernels }: Explanation): string[] => kernels.map(({ kind }) => kind);

describe("elementwise chains", () => {
  it("gelu is one kernel without temporaries", async () => {
    for (const approximate of ["tanh", "none"] as const) {
      const plan = await explain(pg.gelu(random(8, 8), { approximate }));
      expect(kinds(plan)).toEqual(["loop"]);
      expect(plan.temporaryBytes).toBe(0);
    }
  });

  it("stable activations and their gradients are one kernel each", async () => {
    for (const f of [pg.sigmoid, pg.logSigmoid, pg.softplus, pg.silu, pg.relu, pg.log1mexp]) {
      const x = random(16);
      expect(kinds(await explain(f(x)))).toEqual(["loop"]);
      expect(kinds(await explain(gradients(f(x), [x])))).toEqual(["loop"]);
    }
  });

  it("broadcasts inside", async () => {
    const plan = await explain(random(4, 1).mul(random(5)).add(random(4, 5)).sub(2));
    expect(kinds(plan)).toEqual(["loop"]);
    expect(plan.kernels[0]!.reads).toBe(3);
  });

  it("several results are several kernels, but of one plan", async () => {
    const x = random(10);
    expect(kinds(await explain(x.exp(), x.tanh()))).toEqual(["loop", "loop"]);
  });

  it("what many kernels need and is expensive is computed once", async () => {
    const shared = random(10).erf().exp().tanh();
    const plan = await explain(shared.add(1), shared.mul(2), shared.square());
    expect(plan.kernels.filter(({ operations }) => operations.includes("erf"))).toHaveLength(1);
  });

  it("what is cheap is computed again rather than stored", async () => {
    const shared = random(10).add(1);
    const plan = await explain(shared.exp(), shared.tanh());
    expect(plan.temporaryBytes).toBe(0);
  });

  it("longer chains than a kernel holds are cut", async () => {
    let x = random(10);
    for (let i = 0; i < 200; i++) x = x.mul(0.5).add(1);
    const plan = await explain(x);
    expect(plan.kernels.length).toBeGreaterThan(1);
    expect(plan.kernels.length).toBeLessThan(12);
    expect(await x.array()).toEqual(Array.from({ length: 10 }, () => expect.closeTo(2, 6)));
  });
});

describe("reductions", () => {
  it("absorb what they reduce and what follows", async () => {
    const [x, y] = [random(6, 7), random(6, 7)];
    const plan = await explain(x.sub(y).square().mean().sqrt().add(1));
    expect(kinds(plan)).toEqual(["reduce"]);
    expect(plan.temporaryBytes).toBe(0);
  });

  it("logSoftmax is at most three kernels and keeps two numbers per row", async () => {
    for (const axis of [0, -1]) {
      const plan = await explain(pg.logSoftmax(random(8, 9), axis));
      expect(plan.kernels.length).toBeLessThanOrEqual(3);
      expect(plan.temporaryBytes).toBeLessThanOrEqual(2 * 9 * 4);
    }
  });

  it("softmax and its gradient compute each exponential once", async () => {
    for (const axis of [0, -1]) {
      const [x, weights] = [random(8, 9), random(8, 9)];
      const p = pg.softmax(x, axis);
      for (const result of [p, pg.gradients(p.mul(weights).sum(), [x])]) {
        const { kernels } = await explain(result);
        const exponentials = kernels.filter(({ operations }) => operations.includes("exp"));
        expect(exponentials).toHaveLength(1);
        expect(exponentials[0]!.outputSize).toBe(72);
      }
    }
  });

  it("of a maximum store what it is taken of where others read it, too, and it is computed", async () => {
    const x = random(4, 5);
    const compared = x.mul(x).sub(x);
    for (const results of [
      [pg.argmax(compared)],
      [pg.softmax(compared)],
      [pg.equal(compared.transpose(), compared.max())],
      gradients(compared.max(1), [x]),
    ]) {
      const { kernels } = await explain(results);
      const computing = kernels.filter(({ operations }) => operations.includes("sub"));
      expect(computing.some(({ outputSize, reads }) => outputSize === 20 && reads === 1)).toBe(
        true,
      );
      const maximum = kernels.find(({ operations }) => operations.includes("max"))!;
      expect(maximum.operations).not.toContain("sub");
    }
  });

  it("of a maximum store nothing where none compares, or where nothing is rounded", async () => {
    const x = random(4, 5);
    const alone = await explain(x.mul(x).max(1));
    expect(alone.temporaryBytes).toBe(0);
    const selected = pg.where(x.less(0), 0, x.neg());
    // The maximum and the sum of each row.
    expect((await explain(pg.logSumExp(selected, 1))).temporaryBytes).toBeLessThanOrEqual(2 * 16);
  });

  it("layer normalisation is at most three kernels and stores row statistics only", async () => {
    const [x, gain, bias] = [random(16, 32), random(32), random(32)];
    const centred = x.sub(x.mean(-1, { keepDims: true }));
    const scale = centred.square().mean(-1, { keepDims: true }).add(1e-5).sqrt();
    const y = centred.div(scale).mul(gain).add(bias);
    const plan = await explain(y);
    expect(plan.kernels.length).toBeLessThanOrEqual(3);
    expect(plan.temporaryBytes).toBeLessThanOrEqual(3 * 16 * 4);
  });

  it("a weighted mean over a mask reads its inputs once", async () => {
    const [x, mask] = [random(6, 7), pg.less(random(6, 7), 0)];
    const plan = await explain(pg.where(mask, x, 0).sum(1).div(3));
    expect(kinds(plan)).toEqual(["reduce"]);
  });
});

describe("matrix products", () => {
  it("read transposed operands in place", async () => {
    const [a, b] = [random(8, 5), random(7, 8)];
    for (const product of [
      pg.matmul(a.transpose(), b.transpose()),
      pg.matmul(a.transpose(), random(8, 3)),
      pg.matmul(random(3, 8), b.transpose()),
    ]) {
      const plan = await explain(product);
      expect(kinds(plan)).toEqual(["matmul"]);
      expect(plan.temporaryBytes).toBe(0);
    }
  });

  it("read sliced, reversed and merged operands in place", async () => {
    const [q, k] = [random(6, 12), random(6, 12)];
    const heads = (x: Tensor): Tensor => x.reshape([6, 3, 4]).transpose([1, 0, 2]);
    for (const product of [
      pg.matmul(random(8, 8).slice([1, 5], [0, 8, 2]), random(4, 3)),
      pg.matmul(pg.flip(random(4, 4)), random(4, 3)),
      pg.matmul(heads(q), pg.swapAxes(heads(k), 1, 2)),
      pg.matmul(random(2, 3, 4), random(4, 5)),
      pg.matmul(random(2, 3, 4), random(1, 4, 5)),
      pg.matmul(random(3, 4).expandDims(0).broadcastTo([2, 3, 4]), random(2, 4, 5)),
    ]) {
      const plan = await explain(product);
      expect(kinds(plan)).toEqual(["matmul"]);
      expect(plan.temporaryBytes).toBe(0);
    }
  });

  it("bias, activation and residual are part of the product's kernel", async () => {
    const [x, w, bias] = [random(8, 16), random(16, 16), random(16)];
    for (const y of [
      pg.matmul(x, w).add(bias),
      pg.matmul(x, w).add(bias).gelu(),
      pg.matmul(x, w).add(bias).add(random(8, 16)),
      pg.matmul(x, w).mul(2).sub(1).relu().reshape([4, 32]),
      pg
        .matmul(x.reshape([2, 4, 16]), w)
        .add(bias)
        .tanh(),
    ]) {
      const plan = await explain(y);
      expect(kinds(plan)).toEqual(["matmul"]);
      expect(plan.temporaryBytes).toBe(0);
    }
  });

  it("two products that are added are two kernels", async () => {
    const sum = pg.matmul(random(4, 5), random(5, 6)).add(pg.matmul(random(4, 7), random(7, 6)));
    expect(kinds(await explain(sum))).toEqual(["matmul", "matmul"]);
    for (const y of [sum.tanh(), sum.square(), sum.square().sum(), sum.mul(sum).sub(sum)]) {
      expect((await explain(y)).kernels.filter(({ kind }) => kind === "matmul")).toHaveLength(2);
    }
  });

  it("gradients of a linear layer are products of views", async () => {
    const [x, w, b] = [random(8, 4), random(4, 3), random(3)];
    const y = pg.matmul(x, w).add(b);
    const plan = await explain(gradients(y, [x, w, b], random(8, 3)));
    expect(kinds(plan).sort()).toEqual(["matmul", "matmul", "reduce"]);
    expect(plan.temporaryBytes).toBe(0);
  });
});

describe("views", () => {
  it("are index arithmetic inside the kernels that read them", async () => {
    const x = random(6, 8);
    for (const y of [
      x.transpose().exp(),
      x.slice([1, 5], [null, null, -2]).add(1),
      x
        .pad([
          [1, 1],
          [0, 2],
        ])
        .mul(2),
      x.exp().transpose().reshape([4, 12]).tanh(),
      pg.concat([x, x.neg(), random(2, 8)]).exp(),
      pg.flip(x.add(1)).mul(x),
      x.reshape([3, 2, 8]).transpose([1, 0, 2]).reshape([2, 24]).exp(),
      pg.gather(x.exp(), tensor([1, 0], { dtype: "int32" })).add(1),
      x.broadcastTo([3, 6, 8]).mul(2),
    ]) {
      const plan = await explain(y);
      expect(kinds(plan)).toEqual(["loop"]);
      expect(plan.temporaryBytes).toBe(0);
    }
  });

  it("of reductions stay in their kernel", async () => {
    const plan = await explain(
      random(6, 8).transpose().slice([0, 8, 2]).square().sum(0).reshape([2, 3]).neg(),
    );
    expect(kinds(plan)).toEqual(["reduce"]);
    expect(plan.temporaryBytes).toBe(0);
  });

  it("one-hot and embedding gradients are one scatter", async () => {
    const [table, tokens] = [random(10, 4), tensor([1, 2, 1], { dtype: "int32" })];
    const plan = await explain(gradients(pg.gather(table, tokens).sum(), [table]));
    expect(kinds(plan)).toEqual(["scatter"]);
  });
});

describe("explain", () => {
  it("prints kernels, what was fused into each, and bytes", async () => {
    const text = String(await explain(pg.softmax(random(4, 250))));
    const lines = text.split("\n");
    expect(lines[0]).toBe("4 kernels on interpreter");
    expect(lines[1]).toMatch(/^ {2}1 {2}reduce +4 elements +16 B {2}reads 1 {2}.*max/);
    expect(lines[2]).toMatch(/^ {2}2 {2}loop +1000 elements +4\.0 kB {2}reads 2 {2}.*sub · exp/);
    expect(lines[5]).toMatch(/^inputs 4\.0 kB, outputs 4\.0 kB, temporaries 32 B, peak 4\.\d kB$/);
  });

  it("runs nothing", async () => {
    const y = random(4).exp();
    await explain(y);
    expect(String(y)).toContain("exp");
    const { bytes } = await pg.deviceStatistics();
    await explain(y, random(1000));
    expect((await pg.deviceStatistics()).bytes).toBe(bytes);
  });

  it("takes trees, and has nothing to say of values that exist", async () => {
    const x = random(3);
    expect((await explain(x, { a: [x], step: 5 })).kernels).toEqual([]);
    expect((await explain({ a: x.exp(), b: [x.tanh()] })).kernels).toHaveLength(2);
    expect(String(await explain(x))).toContain("0 kernels");
    const y = x.exp();
    expect((await explain(y, y)).kernels).toHaveLength(1);
  });

  it("counts the bytes of every dtype", async () => {
    const plan = await explain(randomNormal([10], { seed: 1, dtype: "float64" }).exp());
    expect([plan.inputBytes, plan.outputBytes, plan.peakBytes]).toEqual([80, 80, 80]);
  });
});

describe("memory inside a plan", () => {
  it("a chain of kernels reuses the scratch of the values before", async () => {
    let x = random(64, 64);
    const w = random(64, 64);
    for (let i = 0; i < 20; i++) x = pg.matmul(x, w);
    const plan = await explain(x);
    expect(plan.kernels).toHaveLength(20);
    expect(plan.temporaryBytes).toBe(19 * 64 * 64 * 4);
    // Two at a time, and the output.
    expect(plan.peakBytes).toBeLessThanOrEqual(3 * 64 * 64 * 4);
  });

  it("what a result's kernel may overwrite is computed in the result's memory, and so on back", async () => {
    const [x, table] = [random(64, 64), random(8, 64)];
    const steps = (y: Tensor): Tensor => pg.softmax(pg.softmax(y)).sub(1);
    const plan = await explain(steps(x));
    expect(plan.kernels.filter(({ takesOver }) => takesOver).length).toBe(3);
    // Two numbers of each row, twice.
    expect(plan.temporaryBytes).toBe(4 * 64 * 4);
    // Rows that are looked up are not where they are read.
    const rows = tensor([7, 6, 5, 4, 3, 2, 1, 0], { dtype: "int32" });
    const looked = await explain(pg.gather(pg.softmax(table), rows));
    expect(looked.kernels.at(-1)!.takesOver).toBe(false);
    expect(looked.temporaryBytes).toBeGreaterThan(8 * 64 * 4);
    // What a later kernel reads stays.
    const exponentials = x.sub(x.max(1, { keepDims: true })).exp();
    const quotients = exponentials.div(exponentials.sum(1, { keepDims: true }));
    const later = await explain(quotients, exponentials.mul(quotients.sum(1, { keepDims: true })));
    expect(later.kernels.filter(({ takesOver }) => takesOver).length).toBe(1);
  });

  it("a value that is needed at the end is kept to the end", async () => {
    const w = pg.eye(16);
    const first = pg.matmul(random(16, 16), w);
    const expected = Array.from(await pg.matmul(first, w).mul(2).data());
    let x = pg.matmul(first, w);
    for (let i = 0; i < 10; i++) x = pg.matmul(x, w);
    expect(Array.from(await x.add(first).data())).toEqual(expected);
  });

  it("values of different sizes share what fits", async () => {
    let x = random(1, 96);
    for (const n of [64, 128, 32, 96, 16, 128]) x = pg.matmul(x, random(x.shape[1]!, n));
    const plan = await explain(x);
    expect(plan.peakBytes).toBeLessThan(plan.temporaryBytes + plan.outputBytes);
  });
});
