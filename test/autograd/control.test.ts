/**
 * grad and its relatives, and what changes how gradients flow, inside each other.
 */

import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import {
  checkGradients,
  checkpoint,
  customGradient,
  explain,
  grad,
  gradients,
  hessianVectorProduct,
  setDevice,
  stopGradient,
  type Tensor,
  tensor,
  treeDot,
  valueAndGrad,
} from "../../src/index.js";
import { arrayOf, forAll, toTensor } from "../ops/reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const float64 = (values: number | number[] | number[][]): Tensor =>
  tensor(values, { dtype: "float64" });
const random = (shape: number[], seed: number | string): Tensor =>
  pg.randomNormal(shape, { seed, dtype: "float64" });

describe("gradients", () => {
  it("weighs the elements of y by the cotangent, by ones without", async () => {
    const x = float64([1, 2, 3]);
    const y = x.square();
    expect(await gradients(y, [x])[0]!.array()).toEqual([2, 4, 6]);
    expect(await gradients(y, [x], float64([1, 0, -1]))[0]!.array()).toEqual([2, 0, -6]);
  });

  it("of what y does not depend on is zero, of its own dtype and shape", async () => {
    const [x, other] = [float64([1]), tensor([[1, 2]])];
    const [, unused] = gradients(x.square(), [x, other]);
    expect([unused!.shape, unused!.dtype]).toEqual([[1, 2], "float32"]);
    expect(await unused!.array()).toEqual([[0, 0]]);
  });

  it("of y itself is the cotangent", async () => {
    const y = float64([1, 2]).exp();
    expect(await gradients(y, [y])[0]!.array()).toEqual([1, 1]);
  });

  it("reaches intermediate values and what lies behind them", async () => {
    const x = float64([2]);
    const y = x.square();
    const [atY, atX, again] = gradients(y.pow(3), [y, x, x]);
    expect(await atY!.array()).toEqual([48]);
    expect(await atX!.array()).toEqual([192]);
    expect(await again!.array()).toEqual([192]);
  });

  it("reaches filled tensors, through whatever is done with them", async () => {
    const x = pg.full([2], 3, { dtype: "float64" });
    const functions: [string, (t: Tensor) => Tensor, number[]][] = [
      ["itself times itself", (t) => t.mul(t), [6, 6]],
      ["negation", (t) => t.neg(), [-1, -1]],
      ["broadcasting", (t) => t.broadcastTo([4, 2]), [4, 4]],
      [
        "a bias",
        (t) =>
          float64([
            [1, 2],
            [3, 4],
          ]).add(t),
        [2, 2],
      ],
      ["reshape", (t) => t.reshape([2, 1]).exp(), [Math.exp(3), Math.exp(3)]],
      ["slice", (t) => t.slice([1]), [0, 1]],
      ["cast", (t) => t.cast("float32").cast("float64"), [1, 1]],
      ["sum", (t) => t.sum().square(), [12, 12]],
    ];
    for (const [name, f, expected] of functions) {
      expect(await gradients(f(x), [x])[0]!.array(), name).toEqual(expected);
    }
  });

  it("adds up over all uses", async () => {
    const x = float64([2]);
    expect(await gradients(x.mul(x).add(x).sub(x.mul(3)), [x])[0]!.array()).toEqual([2]);
  });

  it("shares ties", async () => {
    const [a, b] = [float64([1, 5]), float64([1, 2])];
    const both = gradients(pg.maximum(a, b), [a, b]);
    expect(await Promise.all(both.map((g) => g.array()))).toEqual([
      [0.5, 1],
      [0.5, 0],
    ]);
    const x = float64([[3, 3, 1]]);
    expect(await gradients(pg.max(x), [x])[0]!.array()).toEqual([[0.5, 0.5, 0]]);
  });

  it("of a long chain needs no deep stack", async () => {
    const x = float64(1);
    let y: Tensor = x;
    for (let i = 0; i < 20_000; i++) y = y.add(x);
    expect(gradients(y, [x])).toHaveLength(1);
  });

  it("refuses integers and cotangents of another shape", () => {
    const [x, n] = [float64([1]), tensor([1], { dtype: "int32" })];
    expect(() => gradients(n, [x])).toThrow(
      "gradients: y is int32; only floating-point tensors have gradients",
    );
    expect(() => gradients(x, [n])).toThrow(
      "gradients: an x is int32; only floating-point tensors have gradients",
    );
    expect(() => gradients(x, [x], float64([1, 2]))).toThrow(
      "gradients: the cotangent has shape [2], y has [1]",
    );
  });
});

describe("grad and valueAndGrad", () => {
  it("follow trees of parameters and pass other arguments on", async () => {
    const loss = (p: { w: Tensor; layers: Tensor[] }, scale: number): Tensor =>
      p.w.mul(p.layers[0]!).mul(scale).sum().add(p.layers[1]!.sum());
    const p = { w: float64([2]), layers: [float64([5]), float64([1, 1])] };
    const [value, gradient] = valueAndGrad(loss)(p, 3);
    expect(await value.item()).toBe(32);
    expect(await gradient.w.array()).toEqual([15]);
    expect(await gradient.layers[0]!.array()).toEqual([6]);
    expect(await gradient.layers[1]!.array()).toEqual([1, 1]);
  });

  it("take other uses of the same tensor as constants", async () => {
    const x = float64(3);
    expect(await grad((t: Tensor) => t.mul(x))(x).item()).toBe(3);
    expect(await grad((t: Tensor) => t.mul(t))(x).item()).toBe(6);
    expect(await grad((p: Tensor[]) => p[0]!.mul(p[1]!))([x, x])[0]!.item()).toBe(3);
    const inner = grad((t: Tensor) => grad((u: Tensor) => u.mul(t).mul(x))(t));
    expect(await inner(x).item()).toBe(3);
  });

  it("of a parameter that is not used are zero", async () => {
    const gradient = grad((p: { a: Tensor; b: Tensor }) => p.a.sum())({
      a: float64([1]),
      b: float64([[1, 2]]),
    });
    expect(await gradient.b.array()).toEqual([[0, 0]]);
  });

  it("nest", async () => {
    const f = (x: Tensor): Tensor => x.pow(5);
    expect(await grad(grad(f))(float64(2)).item()).toBe(160);
    expect(await grad(grad(grad(f)))(float64(2)).item()).toBe(240);
    // d/dx (f′(x)·x)
    expect(await grad((x: Tensor) => grad(f)(x).mul(x))(float64(2)).item()).toBe(400);
  });

  it("need a scalar function", () => {
    const x = float64([1, 2]);
    expect(() => grad((t: Tensor) => t.mul(2))(x)).toThrow(
      "grad: the function must return a scalar tensor, but returned shape [2]: sum or average it",
    );
    expect(() => grad((() => 3) as never)(x)).toThrow(
      "must return a scalar tensor, but returned 3",
    );
    const asynchronous = (async () => x.sum()) as never;
    expect(() => grad(asynchronous)(x)).toThrow(
      "but returned a Promise: leave out async, await and item()",
    );
    for (const wrap of [grad, valueAndGrad, checkpoint, customGradient]) {
      expect(() => (wrap as (f: unknown) => unknown)(5)).toThrow(": expected a function, got 5");
    }
  });

  it("need tensors for parameters", () => {
    const loss = (p: { w: Tensor }): Tensor => p.w.sum();
    expect(() => grad(loss)({ w: float64([1]), b: 0 } as never)).toThrow(
      "grad: parameters are tensors, found the number 0 at b; make it tensor(0)",
    );
    expect(() => grad(loss as never)([1, 2])).toThrow("found the number 1 at 0; make it tensor(1)");
    expect(() => grad(loss as never)({})).toThrow("grad: an object holds no tensors");
  });
});

describe("hessianVectorProduct", () => {
  it("is the derivative of the gradient along the vector", () =>
    forAll(
      [arrayOf([2, 3], -1, 1), arrayOf([3], -1, 1)],
      async (w, b) => {
        const inputs = random([4, 2], "inputs");
        const f = (p: { w: Tensor; b: Tensor }): Tensor =>
          inputs.matmul(p.w).add(p.b).tanh().logSumExp().add(p.w.square().sum().mul(p.b.sum()));
        const parameters = { w: toTensor(w), b: toTensor(b) };
        const vector = { w: random([2, 3], "v"), b: random([3], "u") };
        const product = hessianVectorProduct(f)(parameters, vector);
        const h = 1e-5;
        const along = (by: number): typeof parameters =>
          grad(f)({ w: parameters.w.add(vector.w.mul(by)), b: parameters.b.add(vector.b.mul(by)) });
        for (const key of ["w", "b"] as const) {
          const expected = await along(h)
            [key].sub(along(-h)[key])
            .div(2 * h)
            .data();
          const found = await product[key].data();
          for (const [i, value] of expected.entries())
            expect(Math.abs(found[i]! - value)).toBeLessThan(1e-6);
        }
      },
      5,
    ));

  it("is linear and symmetric", async () => {
    const f = (x: Tensor): Tensor =>
      pg
        .softmax(x)
        .mul(float64([1, 2, 3]))
        .sum();
    const [x, u, v] = [random([3], "x"), random([3], "u"), random([3], "v")];
    const product = (t: Tensor): Tensor => hessianVectorProduct(f)(x, t);
    const difference = treeDot(product(u), v).sub(treeDot(product(v), u));
    expect(Math.abs(await difference.item())).toBeLessThan(1e-14);
    const [sum, apart] = [await product(u.add(v)).data(), await product(u).add(product(v)).data()];
    for (const i of sum.keys()) expect(sum[i]).toBeCloseTo(apart[i]!, 13);
  });

  it("is itself differentiable", () =>
    checkGradients(
      (x) =>
        hessianVectorProduct((t: Tensor) => t.pow(4).sum().mul(t.tanh().sum()))(
          x,
          float64([1, -2]),
        ),
      [float64([0.5, -0.8])],
      { order: 2, tolerance: 1e-5 },
    ));

  it("treeDot sums over trees", async () => {
    expect(
      await treeDot(
        { a: float64([1, 2]), b: float64(3) },
        { a: float64([4, 5]), b: float64(6) },
      ).item(),
    ).toBe(32);
    expect(() => treeDot({}, {})).toThrow("treeDot: the trees have no tensors");
  });
});

describe("stopGradient", () => {
  it("leaves values and stops gradients of computed and of given tensors alike", async () => {
    for (const x of [float64([3]), float64([2]).add(1), pg.full([1], 3, { dtype: "float64" })]) {
      const y = x.mul(stopGradient(x));
      expect(await y.array()).toEqual([9]);
      expect(await gradients(y, [x])[0]!.array(), String(x)).toEqual([3]);
      expect(await gradients(stopGradient(x).square(), [x])[0]!.array(), String(x)).toEqual([0]);
    }
  });

  it("stops them at every order", async () => {
    const f = (x: Tensor): Tensor => x.square().mul(stopGradient(x.square()));
    expect(await grad(f)(float64(3)).item()).toBe(54);
    expect(await grad(grad(f))(float64(3)).item()).toBe(18);
  });
});

describe("customGradient", () => {
  /** Identity whose gradient is clipped to ±1. */
  const clipped = customGradient((x: Tensor) => ({
    value: x.mul(1),
    gradient: (g) => [pg.maximum(pg.minimum(g, 1), -1)],
  }));

  it("replaces the gradient and not the value", async () => {
    const x = float64([1, 2]);
    const y = clipped(x).mul(float64([0.5, 10]));
    expect(await y.array()).toEqual([0.5, 20]);
    expect(await gradients(y, [x])[0]!.array()).toEqual([0.5, 1]);
  });

  it("may return null for inputs without gradient", async () => {
    const product = customGradient((a: Tensor, b: Tensor) => ({
      value: a.mul(b),
      gradient: (g) => [g.mul(b), null],
    }));
    const [a, b] = [float64([2]), float64([5])];
    const both = gradients(product(a, b), [a, b]);
    expect(await Promise.all(both.map((g) => g.array()))).toEqual([[5], [0]]);
  });

  it("checks the shapes of gradients", () => {
    const wrong = customGradient((x: Tensor) => ({ value: x.sum(), gradient: (g) => [g] }));
    const x = float64([1, 2]);
    expect(() => gradients(wrong(x), [x])).toThrow(
      "customGradient: the gradient of input 0 is float64[], the input float64[2]",
    );
    const many = customGradient((t: Tensor) => ({ value: t.mul(1), gradient: (g) => [g, g] }));
    expect(() => gradients(many(x), [x])).toThrow(
      "customGradient: the rule gives 2 gradients for 1 inputs",
    );
    const single = customGradient((t: Tensor) => ({
      value: t.mul(1),
      gradient: (g) => [g.cast("float32")],
    }));
    expect(() => gradients(single(x), [x])).toThrow("is float32[2], the input float64[2]");
  });
});

describe("checkpoint", () => {
  const layer = (x: Tensor, w: Tensor): Tensor => x.matmul(w).tanh();

  it("changes neither values nor gradients of any order", async () => {
    const [x, w] = [random([3, 4], 1), random([4, 4], 2)];
    const plain = (a: Tensor, b: Tensor): Tensor => layer(layer(a, b), b).square().sum();
    const saved = (a: Tensor, b: Tensor): Tensor =>
      checkpoint(layer)(checkpoint(layer)(a, b), b).square().sum();
    for (const [a, b] of [
      [plain(x, w), saved(x, w)],
      ...gradients(plain(x, w), [x, w]).map(
        (g, i) => [g, gradients(saved(x, w), [x, w])[i]!] as const,
      ),
    ] as const) {
      expect(Array.from(await b!.data())).toEqual(Array.from(await a!.data()));
    }
    await checkGradients(saved, [x, w], { order: 2 });
  });

  it("gives gradients to what the function refers to", async () => {
    const [x, w] = [random([2, 3], 3), random([3, 3], 4)];
    const y = checkpoint((t: Tensor) => layer(t, w))(x);
    const expected = gradients(layer(x, w), [w, x]);
    const found = gradients(y, [w, x]);
    for (const i of [0, 1]) expect(await found[i]!.array()).toEqual(await expected[i]!.array());
  });

  it("takes trees and plain values", async () => {
    const f = checkpoint((p: { w: Tensor }, x: Tensor, scale: number) => x.mul(p.w).mul(scale));
    const w = float64([3]);
    expect(await gradients(f({ w }, float64([2]), 5), [w])[0]!.array()).toEqual([10]);
  });

  /** Peak bytes of value and gradient of a chain of layers that are wide in the batch. */
  async function peakBytes(
    wrap: (f: (x: Tensor) => Tensor) => (x: Tensor) => Tensor,
  ): Promise<number> {
    const weights = Array.from({ length: 8 }, (_, i) => random([16, 16], i));
    const step = (x: Tensor, w: Tensor): Tensor => layer(layer(layer(x, w), w), w);
    const loss = (parameters: Tensor[]): Tensor =>
      parameters
        .reduce((x, w) => wrap((t) => step(t, w))(x), random([512, 16], "x"))
        .square()
        .mean();
    return (await explain(valueAndGrad(loss)(weights))).peakBytes;
  }

  it("lowers the peak of memory", async () => {
    const [kept, recomputed] = [await peakBytes((f) => f), await peakBytes(checkpoint)];
    // 24 activations against 8 and the 3 of one segment.
    expect(recomputed).toBeLessThan(0.6 * kept);
  });
});

describe("inside each other", () => {
  const custom = customGradient((x: Tensor) => ({
    value: pg.exp(x),
    gradient: (g) => [g.mul(checkpoint((t: Tensor) => pg.exp(t))(x))],
  }));
  const constructions: [string, (x: Tensor) => Tensor][] = [
    [
      "a checkpoint in a checkpoint",
      (x) => checkpoint((t: Tensor) => checkpoint((u: Tensor) => u.tanh().mul(u))(t).square())(x),
    ],
    ["a custom gradient in a checkpoint", (x) => checkpoint((t: Tensor) => custom(t).mul(t))(x)],
    ["a checkpoint in a custom gradient", (x) => custom(x).mul(x)],
    [
      "a custom gradient in a custom gradient",
      (x) =>
        customGradient((t: Tensor) => ({
          value: custom(t).square(),
          gradient: (g) => [g.mul(custom(t).square()).mul(2)],
        }))(x),
    ],
    [
      "a gradient in a checkpoint",
      (x) => checkpoint((t: Tensor) => grad((u: Tensor) => u.pow(4).sum())(t))(x),
    ],
    [
      "a gradient of a checkpoint",
      (x) => grad((t: Tensor) => checkpoint((u: Tensor) => u.pow(4).mul(u.exp()))(t).sum())(x),
    ],
    [
      "a Hessian product of a checkpoint",
      (x) => hessianVectorProduct((t: Tensor) => checkpoint(custom)(t).mul(t).sum())(x, x.mul(2)),
    ],
  ];
  for (const [name, f] of constructions) {
    it(`${name} is right to second order`, () =>
      checkGradients(f, [float64([0.3, -0.7])], { order: 2, tolerance: 1e-5 }));
  }

  it("a stopped gradient in a checkpoint stays stopped in the gradient of the gradient", async () => {
    const f = (x: Tensor): Tensor =>
      checkpoint((t: Tensor) => t.square().mul(stopGradient(t)))(x).sum();
    expect(await grad(f)(float64(3)).item()).toBe(18);
    expect(await grad(grad(f))(float64(3)).item()).toBe(6);
    expect(await grad(grad(grad(f)))(float64(3)).item()).toBe(0);
  });

  it("a checkpoint around a stopped gradient and a custom one at third order", async () => {
    const f = (x: Tensor): Tensor =>
      checkpoint((t: Tensor) => custom(t.mul(2)).add(stopGradient(t)))(x).sum();
    const expected = [2, 4, 8].map((factor) => factor * Math.exp(0.6));
    let derivative = f;
    for (const value of expected) {
      derivative = grad(derivative);
      expect(await derivative(float64(0.3)).item()).toBeCloseTo(value, 12);
    }
  });
});
