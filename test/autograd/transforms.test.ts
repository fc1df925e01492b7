/**
 * Values with what was computed beside them, products with Jacobians, and Jacobians themselves.
 */

import { beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import * as pg from "../../src/index.js";
import {
  checkGradients,
  grad,
  gradients,
  hessianVectorProduct,
  jacobian,
  jvp,
  setDevice,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../../src/index.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const float64 = (values: number | number[] | number[][]): Tensor =>
  tensor(values, { dtype: "float64" });
const random = (shape: number[], seed: number | string): Tensor =>
  pg.randomNormal(shape, { seed, dtype: "float64" });

async function expectClose(found: Tensor, expected: Tensor, digits = 11): Promise<void> {
  expect(found.shape).toEqual(expected.shape);
  const [a, b] = [await found.data(), await expected.data()];
  a.forEach((value, i) => {
    expect(value).toBeCloseTo(b[i]!, digits);
  });
}

describe("valueAndGrad with hasAux", () => {
  type Aux = { scores: Tensor; steps: number };
  const loss = ({ w }: { w: Tensor }, x: Tensor): [Tensor, Aux] => {
    const scores = w.mul(x);
    return [scores.square().sum(), { scores, steps: 3 }];
  };

  it("gives the value, what came with it, and the gradient of the value alone", async () => {
    const [[value, aux], gradient] = valueAndGrad(loss, { hasAux: true })(
      { w: float64([1, 2]) },
      float64([3, -1]),
    );
    expect(await value.item()).toBe(13);
    expect(await aux.scores.array()).toEqual([3, -2]);
    expect(aux.steps).toBe(3);
    expect(await gradient.w.array()).toEqual([18, 4]);
  });

  it("knows the types of both", () => {
    const both = valueAndGrad(loss, { hasAux: true });
    type Result = ReturnType<typeof both>;
    expectTypeOf<Result[0][1]>().toEqualTypeOf<Aux>();
    expectTypeOf<Result[1]>().toEqualTypeOf<{ w: Tensor }>();
    const plain = valueAndGrad((x: Tensor) => x.sum());
    expectTypeOf<ReturnType<typeof plain>>().toEqualTypeOf<[value: Tensor, gradient: Tensor]>();
    // @ts-expect-error: a pair without hasAux
    expect(() => valueAndGrad(loss)({ w: float64([1]) }, float64([1]))).toThrow(
      /returned an array/,
    );
  });

  it("lets gradients flow from what came with it", async () => {
    const x = float64([2]);
    const [[, aux]] = valueAndGrad((t: Tensor) => [t.sum(), t.square()], { hasAux: true })(x);
    expect(await gradients(aux, [x])[0]!.array()).toEqual([4]);
  });

  it("refuses what is no pair of a scalar and something", () => {
    const x = float64([1, 2]);
    expect(() => valueAndGrad(((t: Tensor) => t.sum()) as never, { hasAux: true })(x)).toThrow(
      /^valueAndGrad: the function must return a scalar tensor, but returned Tensor/,
    );
    expect(() => valueAndGrad((t: Tensor) => [t, 1], { hasAux: true })(x)).toThrow(
      "but returned shape [2]: sum or average it",
    );
    expect(() => valueAndGrad((t: Tensor) => t.sum(), { aux: true } as never)).toThrow(
      /valueAndGrad: has no option `aux`/,
    );
  });
});

/** A function of a tree with results in a tree. */
const model = ({ w, b }: { w: Tensor; b: Tensor[] }) => ({
  hidden: w.tanh().mul(b[0]!),
  total: [w.exp().sum(), pg.norm(pg.sin(w))],
});
const at = () => ({ w: random([2, 3], 1), b: [random([3], 2)] });
const along = () => ({ w: random([2, 3], 3), b: [random([3], 4)] });

describe("jvp", () => {
  it("is the change along the direction, of trees of parameters and results", async () => {
    const [x, v] = [at(), along()];
    const [value, change] = jvp(model)(x, v);
    await expectClose(value.hidden, model(x).hidden);
    const moved = (by: number) => ({
      w: x.w.add(v.w.mul(by)),
      b: [x.b[0]!.add(v.b[0]!.mul(by))],
    });
    const [ahead, behind] = [model(moved(1e-5)), model(moved(-1e-5))];
    await expectClose(change.hidden, ahead.hidden.sub(behind.hidden).div(2e-5), 8);
    for (const i of [0, 1]) {
      await expectClose(change.total[i]!, ahead.total[i]!.sub(behind.total[i]!).div(2e-5), 8);
    }
  });

  it("is the adjoint of the gradient with a cotangent: ⟨u, Jv⟩ = ⟨uᵀJ, v⟩", async () => {
    const f = (x: Tensor): Tensor => pg.softmax(pg.sin(x.matmul(x.transpose())));
    const [x, v, u] = [random([3, 2], 1), random([3, 2], 2), random([3, 3], 3)];
    const [, change] = jvp(f)(x, v);
    await expectClose(change.mul(u).sum(), gradients(f(x), [x], u)[0]!.mul(v).sum());
  });

  it("inside itself gives derivatives of any order", async () => {
    // d³ sin/dx³ = −cos x
    const derivative = (f: (x: Tensor) => Tensor) => (x: Tensor) => jvp(f)(x, pg.onesLike(x))[1];
    const x = float64([0.3, -1.2]);
    await expectClose(derivative(derivative(derivative(pg.sin)))(x), pg.cos(x).neg());
  });

  it("of a gradient is the Hessian-vector product, and has gradients itself", async () => {
    const f = (x: Tensor): Tensor => x.mul(pg.sin(x)).sum().exp();
    const [x, v] = [random([3], 1).mul(0.5), random([3], 2)];
    await expectClose(jvp(grad(f))(x, v)[1], hessianVectorProduct(f)(x, v));
    await checkGradients((t, s) => jvp(pg.tanh)(t, s)[1].square(), [x, v], {
      order: 2,
      tolerance: 1e-5,
    });
  });

  it("goes through rules of one's own and through what is computed again", async () => {
    const own = pg.customGradient((x: Tensor) => ({
      value: x.exp(),
      gradient: (g: Tensor) => [g.mul(x).mul(2)],
    }));
    const [x, v] = [float64([1, 3]), float64([1, -1])];
    expect(await jvp(own)(x, v)[1].array()).toEqual([2, -6]);
    await expectClose(jvp(pg.checkpoint(pg.sin))(x, v)[1], pg.cos(x).mul(v));
  });

  it("refuses directions of another structure or shape, and functions without results", () => {
    const x = float64([1, 2]);
    expect(() => jvp(pg.sin)(x, float64([1]))).toThrow(
      "jvp: a tangent has shape [1], its parameter [2]",
    );
    expect(() => jvp(({ a }: { a: Tensor }) => a)({ a: x }, {} as never)).toThrow(/differ at a/);
    expect(() => jvp(() => 5)(x, x)).toThrow("jvp: the function must return tensors, got 5");
    expect(() => jvp(pg.argmax)(x, x)).toThrow(/int32/);
    expect(() => jvp(3 as never)).toThrow(/jvp: expected a function, got 3/);
  });
});

describe("jacobian", () => {
  it("has the derivative of every result with respect to every parameter", async () => {
    const [w, b] = [random([3, 2], 1), random([3], 2)];
    const x = random([2], 3);
    const f = (parameters: { w: Tensor; b: Tensor }): Tensor =>
      parameters.w.matmul(x).add(parameters.b).tanh();
    const J = jacobian(f)({ w, b });
    // ∂ tanh(Wx + b)_i / ∂W_ij = (1 − y_i²) x_j
    const slope = pg.sub(1, f({ w, b }).square());
    await expectClose(J.b, pg.eye(3, { dtype: "float64" }).mul(slope));
    await expectClose(J.w, pg.einsum("i,ik,j->ikj", slope, pg.eye(3, { dtype: "float64" }), x));
  });

  it("of a gradient is the Hessian, and of that the third derivative", async () => {
    const f = (x: Tensor): Tensor => x.at(0).mul(x.at(1).square());
    const x = float64([2, 3]);
    expect(await jacobian(grad(f))(x).array()).toEqual([
      [0, 6],
      [6, 4],
    ]);
    expect(await jacobian(jacobian(grad(f)))(x).array()).toEqual([
      [
        [0, 0],
        [0, 2],
      ],
      [
        [0, 2],
        [2, 0],
      ],
    ]);
  });

  it("has the shapes of results and parameters, also of scalars and of nothing", () => {
    const x = random([2, 3], 1);
    expect(jacobian((t: Tensor) => t.sum())(x).shape).toEqual([2, 3]);
    expect(jacobian((t: Tensor) => t.transpose())(x).shape).toEqual([3, 2, 2, 3]);
    expect(jacobian((t: Tensor) => t.slice([0, 0]))(x).shape).toEqual([0, 3, 2, 3]);
    expect(jacobian((t: Tensor) => t.exp())(float64(1)).shape).toEqual([]);
  });

  it("passes other arguments on, and refuses results that are no tensor", () => {
    const x = float64([1]);
    expect(jacobian((t: Tensor, n: number) => pg.repeat(t, [n]))(x, 4).shape).toEqual([4, 1]);
    expect(() => jacobian((() => 1) as never)(x)).toThrow(
      "jacobian: the function must return a tensor, got 1",
    );
  });
});
