/**
 * The test of the tests: checkGradients finds wrong rules.
 */

import { beforeAll, describe, expect, it } from "vitest";
import {
  checkGradients,
  customGradient,
  exp,
  mul,
  setDevice,
  stopGradient,
  type Tensor,
  tensor,
} from "../../src/index.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const at = (): Tensor[] => [tensor([0.5, -1, 2], { dtype: "float64" })];

describe("checkGradients", () => {
  it("accepts right rules", async () => {
    const right = customGradient((x: Tensor) => ({
      value: exp(x),
      gradient: (g) => [mul(g, exp(x))],
    }));
    await checkGradients(right, at(), { order: 2 });
  });

  it("finds a wrong first derivative and says where", async () => {
    const wrong = customGradient((x: Tensor) => ({
      value: exp(x),
      gradient: (g) => [mul(g, exp(x).mul(1.001))],
    }));
    await expect(checkGradients(wrong, at())).rejects.toThrow(
      /^checkGradients: gradient of input 0 \(\[3\]\) at element 0: computed -?[\d.]+, finite differences give -?[\d.]+$/,
    );
  });

  it("finds a second derivative that is wrong behind a right first one", async () => {
    // The saved output is cut off, as if it did not depend on x.
    const detached = customGradient((x: Tensor) => {
      const value = exp(x);
      return { value, gradient: (g) => [mul(g, stopGradient(value))] };
    });
    await checkGradients(detached, at(), { order: 1 });
    await expect(checkGradients(detached, at(), { order: 2 })).rejects.toThrow(
      /second-order gradient of input 0/,
    );
  });

  it("finds the one wrong gradient among several inputs", async () => {
    const product = customGradient((a: Tensor, b: Tensor) => ({
      value: mul(a, b),
      gradient: (g) => [mul(g, b), mul(g, b)],
    }));
    const inputs = [...at(), tensor([3, 1, -1], { dtype: "float64" })];
    await expect(checkGradients(product, inputs)).rejects.toThrow(
      "gradient of input 1 ([3]) at element 0",
    );
  });

  it("finds gradients that are missing or not finite", async () => {
    const missing = customGradient((x: Tensor) => ({ value: exp(x), gradient: () => [null] }));
    await expect(checkGradients(missing, at())).rejects.toThrow("computed 0");
    const lost = customGradient((x: Tensor) => ({
      value: exp(x),
      gradient: (g) => [g.mul(Number.NaN)],
    }));
    await expect(checkGradients(lost, at())).rejects.toThrow("computed NaN");
  });

  it("converts float32 inputs, so that differences are exact enough", async () => {
    await checkGradients((x) => exp(x), [tensor([0.1, 0.2])], { order: 2 });
  });

  it("takes a tolerance", async () => {
    const rough = customGradient((x: Tensor) => ({
      value: exp(x),
      gradient: (g) => [mul(g, exp(x).mul(1.001))],
    }));
    await checkGradients(rough, at(), { tolerance: 0.01 });
  });
});
