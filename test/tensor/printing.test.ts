/**
 * What a tensor prints before anything was evaluated: the printer comes with the first evaluation, so that
 * pages that print nothing do not load it.
 */

import { expect, it } from "vitest";
import { tensor, zeros } from "../../src/index.js";

it("a tensor prints its elements one after the other until something is evaluated, then nested", async () => {
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);
  expect(String(x)).toBe("Tensor float32[2,2] = 1,2,3,4");
  expect(String(zeros([2]))).toBe("Tensor float32[2]");
  await x.sum().data();
  expect(String(x)).toBe("Tensor float32[2,2] = [[1, 2], [3, 4]]");
  expect(String(zeros([2]))).toBe("Tensor float32[2] = 0");
});
