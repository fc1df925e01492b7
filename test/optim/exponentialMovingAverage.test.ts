/**
 * Averages of parameters against closed forms, and as functions.
 */

import { expect, expectTypeOf, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { exponentialMovingAverage, sgd } from "../../src/optim/index.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const float64 = (data: number[]): Tensor => tensor(data, { dtype: "float64" });

it("starts as the parameters, and approaches what stays as it is by the decay's powers", async () => {
  const ema = exponentialMovingAverage(0.75);
  const [start, end] = [{ w: [float64([1, 2])] }, { w: [float64([5, -2])] }];
  let state = ema.init(start);
  expect(state.average).toBe(start);
  for (let step = 1; step <= 4; step++) {
    state = ema.update(end, state);
    const left = 0.75 ** step;
    const average = await state.average.w[0]!.data();
    expect(average[0]).toBeCloseTo(5 - 4 * left, 14);
    expect(average[1]).toBeCloseTo(-2 + 4 * left, 14);
  }
  expect(state.step).toBe(4);
});

it("weights parameters of k steps ago by (1 − d)dᵏ", async () => {
  const ema = exponentialMovingAverage(0.5);
  let state = ema.init(tensor([8]));
  for (const value of [16, 32, 64]) state = ema.update(tensor([value]), state);
  expect(await state.average.array()).toEqual([64 / 2 + 32 / 4 + 16 / 8 + 8 / 8]);
});

it("takes a decay that changes: t/(t+1) is the plain mean", async () => {
  const ema = exponentialMovingAverage((step) => (step + 1) / (step + 2));
  let state = ema.init(float64([1]));
  for (const value of [2, 6, 11]) state = ema.update(float64([value]), state);
  expect(await state.average.item()).toBeCloseTo(5, 14);
});

it("follows without delay at decay 0, and never moves at 1", async () => {
  const [p, q] = [tensor([1]), tensor([3])];
  for (const [decay, value] of [
    [0, 3],
    [1, 1],
  ] as const) {
    const ema = exponentialMovingAverage(decay);
    expect(await ema.update(q, ema.init(p)).average.array()).toEqual([value]);
  }
});

it("can be differentiated through the steps it averages", async () => {
  const optimizer = sgd({ learningRate: 0.3 });
  const ema = exponentialMovingAverage(0.6);
  const averaged = (start: Tensor): Tensor => {
    let [p, state] = [start, optimizer.init(start)];
    let average = ema.init(p);
    for (let step = 0; step < 3; step++) {
      [p, state] = optimizer.update(p.square().mul(p), state, p);
      average = ema.update(p, average);
    }
    return average.average;
  };
  await checkGradients(averaged, [float64([0.5, -0.4])], { order: 2 });
});

it("compiles its step once after the first, which begins from the parameters themselves", async () => {
  const ema = exponentialMovingAverage((step) => step / (step + 1));
  let p = { w: tensor([1, 2]) };
  let state = ema.init(p);
  const plans: number[] = [];
  for (let step = 0; step < 6; step++) {
    p = { w: p.w.mul(0.9) };
    state = ema.update(p, state);
    await realize(p, state);
    plans.push((await deviceStatistics()).plansCompiled);
  }
  expect(plans.at(-1)).toBe(plans[1]);
});

it("has the type of the parameters", () => {
  const { average } = exponentialMovingAverage(0.9).init({ w: [tensor(1)], name: "model" });
  expectTypeOf(average).toEqualTypeOf<{ w: Tensor[]; name: string }>();
  expect(average.name).toBe("model");
});

it("refuses decays out of range, integer parameters, and parameters or states that do not fit", () => {
  expect(() => exponentialMovingAverage(1.5)).toThrow(
    "exponentialMovingAverage: decay must be a number in [0, 1] or a schedule, got 1.5",
  );
  expect(() => exponentialMovingAverage({ decay: 0.9 } as never)).toThrow("decay must be a number");
  const p = { w: tensor([1, 2]) };
  const jumping = exponentialMovingAverage(() => 2);
  expect(() => jumping.update(p, jumping.init(p))).toThrow("the schedule gave decay 2 at step 0");
  const ema = exponentialMovingAverage(0.9);
  expect(() => ema.init([tensor([1], { dtype: "int32" })])).toThrow("must be floating point");
  expect(() => ema.update({ w: tensor([1]) }, ema.init(p))).toThrow(
    "exponentialMovingAverage: a parameter is float32[1], its average float32[2]",
  );
  expect(() => ema.update(p, ema.init({} as typeof p))).toThrow("holds no tensors");
  expect(() => ema.update(p, p as never)).toThrow(
    "the state as exponentialMovingAverage(…).init made it",
  );
});
