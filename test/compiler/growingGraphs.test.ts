/**
 * A loop without `realize` is warned of, once; no other is.
 */

import { afterEach, beforeAll, expect, it, vi } from "vitest";
import {
  randomNormal,
  realize,
  setDevice,
  sgd,
  sin,
  tensor,
  valueAndGrad,
} from "../../src/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const warn = vi.spyOn(console, "warn").mockImplementation(() => {});

beforeAll(async () => {
  await setDevice("interpreter");
});
afterEach(() => warn.mockClear());

const optimizer = sgd({ learningRate: 0.1, momentum: 0.9 });
const lossAndSlope = valueAndGrad((w: Tensor, x: Tensor) => w.mul(x).sub(1).square().mean());

async function train(steps: number, end: (loss: Tensor, ...trees: unknown[]) => Promise<unknown>) {
  let parameters = tensor([1, 2]);
  let state = optimizer.init(parameters);
  for (let step = 0; step < steps; step++) {
    const [loss, slope] = lossAndSlope(parameters, randomNormal([2], { seed: step }));
    [parameters, state] = optimizer.update(slope, state, parameters);
    await end(loss, parameters, state);
  }
}

it("says nothing of loops that realize, of steps of many sizes, and of one long computation", async () => {
  await train(30, (loss, ...trees) => realize([loss, ...trees]));
  for (let size = 2; size < 30; size++) {
    let x = randomNormal([size], { seed: size });
    for (let i = 0; i < size; i++) x = sin(x.mul(x));
    await x.data();
  }
  let layer = randomNormal([3], { seed: 0 });
  for (let i = 0; i < 30; i++) {
    layer = layer.exp().log().add(layer);
    await layer.data();
  }
  expect(warn).not.toHaveBeenCalled();
});

it("names realize, once, where the parameters are never evaluated", async () => {
  await train(7, (loss) => loss.item());
  expect(warn).not.toHaveBeenCalled();
  // The plans of the first steps are in the cache by now.
  await train(25, (loss) => loss.item());
  await train(40, (loss) => loss.item());
  expect(warn).toHaveBeenCalledOnce();
  expect(warn.mock.lastCall![0]).toMatch(
    /^prefgrad: 8 evaluations in a row were compiled anew.* `await realize\(parameters, state\)`$/,
  );
});
