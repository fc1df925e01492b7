/**
 * A tour of the library's core: tensors, gradients, and what happens in between.
 */

import { beforeAll, describe, expect, it } from "vitest";
import {
  add,
  currentDevice,
  explain,
  grad,
  gradients,
  logSigmoid,
  matmul,
  mul,
  randomNormal,
  realize,
  setDevice,
  softmax,
  sub,
  type Tensor,
  tensor,
  treeMap,
  valueAndGrad,
} from "../src/index.js";

describe("a tour", () => {
  // Without this line everything runs on WebAssembly.
  beforeAll(() => setDevice("interpreter"));

  it("a tensor is made of numbers and gives them back when asked", async () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(x.shape).toEqual([2, 2]);
    expect(x.dtype).toBe("float32");
    expect(await x.array()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(await x.data()).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(await x.sum().item()).toBe(10);
  });

  it("operations are functions and methods, and broadcast as in NumPy", async () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(await add(mul(x, 2), tensor([10, 20])).array()).toEqual([
      [12, 24],
      [16, 28],
    ]);
    expect(
      await x
        .mul(2)
        .add(tensor([10, 20]))
        .array(),
    ).toEqual([
      [12, 24],
      [16, 28],
    ]);
    expect(await x.transpose().slice([null, null, -1]).array()).toEqual([
      [2, 4],
      [1, 3],
    ]);
    expect(await matmul(x, x).array()).toEqual([
      [7, 10],
      [15, 22],
    ]);
  });

  it("nothing is computed before values are asked for", async () => {
    const y = softmax(tensor([[1, 2, 3]]));
    expect(String(y)).toBe("Tensor float32[1,3] = mul(float32[1,3], float32[1,3])");
    const plan = await explain(y);
    expect(plan.kernels.length).toBeLessThanOrEqual(4);
    expect(String(plan)).toContain(`kernels on ${currentDevice()}`);
  });

  it("gradients are tensors like any other, so they have gradients", async () => {
    const cube = (x: Tensor): Tensor => x.pow(3);
    const x = tensor(2);
    expect(await grad(cube)(x).item()).toBe(12);
    expect(await grad(grad(cube))(x).item()).toBe(12);
    expect(await grad(grad(grad(cube)))(x).item()).toBe(6);
    const y = cube(x);
    expect(await gradients(y, [x])[0]!.item()).toBe(12);
  });

  it("parameters are plain objects, and a training step is a plain function", async () => {
    const inputs = randomNormal([64, 3], { seed: 1 });
    const labels = inputs.matmul(tensor([[1], [-2], [0.5]])).add(0.25);
    const loss = ({ weight, bias }: { weight: Tensor; bias: Tensor }): Tensor =>
      inputs.matmul(weight).add(bias).sub(labels).square().mean();

    let parameters = { weight: tensor([[0], [0], [0]]), bias: tensor([0]) };
    for (let step = 0; step < 60; step++) {
      const [value, gradient] = valueAndGrad(loss)(parameters);
      parameters = treeMap((p, g) => sub(p, g.mul(0.2)), parameters, gradient);
      // Values, please: what led to them is forgotten.
      await realize(parameters, value);
    }
    expect(await loss(parameters).item()).toBeLessThan(1e-6);
    expect(await parameters.bias.item()).toBeCloseTo(0.25, 3);
  });

  it("a preference loss is a line", async () => {
    const margins = tensor([2, -1]);
    const loss = logSigmoid(margins.mul(0.1)).mean().neg();
    expect(await loss.item()).toBeCloseTo(
      (Math.log(1 + Math.exp(-0.2)) + Math.log(1 + Math.exp(0.1))) / 2,
      6,
    );
  });
});
