import { describe, expect, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { gradients } from "../../src/autograd/gradients.js";
import { concat } from "../../src/ops/movement.js";
import { clipByGlobalNorm } from "../../src/optim/clipByGlobalNorm.js";
import { tensor, zeros } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";

describe("clipByGlobalNorm", () => {
  it("scales all tensors by maxNorm over their common norm", async () => {
    const tree = { a: tensor([3, 0]), b: [tensor([[0], [4]])] };
    const [clipped, norm] = clipByGlobalNorm(tree, 2);
    expect(norm.shape).toEqual([]);
    expect(await norm.item()).toBe(5);
    const values = [...(await clipped.a.data()), ...(await clipped.b[0]!.data())];
    for (const [i, value] of [1.2, 0, 0, 1.6].entries()) expect(values[i]).toBeCloseTo(value, 6);
  });

  it("leaves gradients within the bound exactly as they are", async () => {
    const [clipped, norm] = clipByGlobalNorm([tensor([3, -4])], 5.5);
    expect(await clipped[0]!.array()).toEqual([3, -4]);
    expect(await norm.item()).toBe(5);
  });

  it("leaves zero gradients zero, with finite derivatives of both orders", async () => {
    const g = zeros([3]).add(tensor([0, 0, 0]));
    const [clipped, norm] = clipByGlobalNorm(g, 1);
    expect(await clipped.array()).toEqual([0, 0, 0]);
    for (const y of [clipped.sum(), norm]) {
      const first = gradients(y, [g])[0]!;
      const second = gradients(first.sum(), [g])[0]!;
      for (const value of [...(await first.data()), ...(await second.data())]) {
        expect(value).toSatisfy(Number.isFinite);
      }
    }
  });

  it("is differentiable, clipped or not, together with its norm", async () => {
    const inputs = [tensor([0.6, -1.1]), tensor([0.4])];
    for (const bound of [0.5, 3]) {
      const f = (a: Tensor, b: Tensor): Tensor => {
        const [[x, y], norm] = clipByGlobalNorm([a, b] as const, bound);
        return concat([x, y, norm.reshape([1])]);
      };
      await checkGradients(f, inputs, { order: 2 });
    }
  });

  it("refuses a bound that is not positive and a tree without tensors", () => {
    expect(() => clipByGlobalNorm([tensor([1])], 0)).toThrow(
      "clipByGlobalNorm: maxNorm must be a number > 0, got 0",
    );
    expect(() => clipByGlobalNorm({}, 1)).toThrow("clipByGlobalNorm: the tree has no tensors");
  });
});
