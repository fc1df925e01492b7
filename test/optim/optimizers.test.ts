/**
 * Optimizers against their formulas, written out as loops over plain numbers in double precision.
 */

import { describe, expect, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { gradients } from "../../src/autograd/gradients.js";
import { valueAndGrad } from "../../src/autograd/transforms.js";
import { adamw } from "../../src/optim/adamw.js";
import type { Optimizer } from "../../src/optim/optimizer.js";
import { rmsprop } from "../../src/optim/rmsprop.js";
import { sgd } from "../../src/optim/sgd.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type Tree, treeLeaves, treeMap } from "../../src/tensor/tree.js";

const float64 = (data: number[]): Tensor => tensor(data, { dtype: "float64" });

const START = [0.5, -1.25, 2, 0.1];
const WEIGHT_DECAY = 0.03;
/** Gradients of four steps; the last parameter never has one. */
const GRADIENTS = [
  [0.3, -0.2, 1e-3, 0],
  [-0.1, -0.4, 2e-3, 0],
  [0.2, 0.9, -5e-3, 0],
  [0.7, 0, 4e-3, 0],
];
const RATES = [0.1, 0.07, 0.05, 0.02];
const schedule = (step: number): number => RATES[step]!;

/** Parameters after the steps, by the optimizer. */
async function run<State>(optimizer: Optimizer<State>): Promise<ArrayLike<number>> {
  let parameters = { layer: [float64(START)] };
  let state = optimizer.init(parameters);
  for (const gradient of GRADIENTS) {
    [parameters, state] = optimizer.update({ layer: [float64(gradient)] }, state, parameters);
    await realize(parameters, state);
  }
  return parameters.layer[0]!.data();
}

/** Parameters after the steps, by a rule for one number at a time; `memory` is that number's state. */
function expected(
  rule: (p: number, g: number, rate: number, t: number, memory: number[]) => number,
): number[] {
  return START.map((start, i) => {
    const memory = [0, 0];
    let p = start;
    for (const [step, gradient] of GRADIENTS.entries()) {
      p = rule(p, gradient[i]!, RATES[step]!, step + 1, memory);
    }
    return p;
  });
}

function expectClose(found: ArrayLike<number>, values: readonly number[], tolerance = 1e-14): void {
  expect(found).toHaveLength(values.length);
  for (const [i, value] of values.entries()) {
    expect(Math.abs(found[i]! - value)).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(value)),
    );
  }
}

describe("sgd", () => {
  it("is p − αg", async () => {
    expectClose(
      await run(sgd({ learningRate: schedule })),
      expected((p, g, rate) => p - rate * g),
    );
  });

  it("adds weight decay to the gradient", async () => {
    const optimizer = sgd({ learningRate: schedule, weightDecay: WEIGHT_DECAY });
    expectClose(
      await run(optimizer),
      expected((p, g, rate) => p - rate * (g + WEIGHT_DECAY * p)),
    );
  });

  it("keeps a velocity v ← μv + g", async () => {
    const optimizer = sgd({ learningRate: schedule, momentum: 0.9, weightDecay: WEIGHT_DECAY });
    const rule = expected((p, g, rate, _, memory) => {
      memory[0] = 0.9 * memory[0]! + g + WEIGHT_DECAY * p;
      return p - rate * memory[0];
    });
    expectClose(await run(optimizer), rule);
  });

  it("looks ahead with nesterov: p − α(g + μv)", async () => {
    const optimizer = sgd({ learningRate: schedule, momentum: 0.9, nesterov: true });
    const rule = expected((p, g, rate, _, memory) => {
      memory[0] = 0.9 * memory[0]! + g;
      return p - rate * (g + 0.9 * memory[0]);
    });
    expectClose(await run(optimizer), rule);
  });

  it("has no velocity in its state without momentum", () => {
    expect(sgd({ learningRate: 1 }).init([float64(START)])).toEqual({ step: 0 });
  });

  it("takes the closed form on a quadratic: p_k = (1 − αa)^k p_0", async () => {
    const curvature = 3;
    const optimizer = sgd({ learningRate: 0.1 });
    const loss = (p: Tensor): Tensor =>
      p
        .square()
        .mul(curvature / 2)
        .sum();
    let p = float64(START);
    let state = optimizer.init(p);
    for (let k = 0; k < 5; k++) {
      [p, state] = optimizer.update(valueAndGrad(loss)(p)[1], state, p);
    }
    expectClose(
      await p.data(),
      START.map((x) => 0.7 ** 5 * x),
    );
  });
});

describe("adamw", () => {
  it("is p(1 − αw) − α m̂/(√v̂ + ε)", async () => {
    const optimizer = adamw({ learningRate: schedule });
    const rule = expected((p, g, rate, t, memory) => {
      memory[0] = 0.9 * memory[0]! + 0.1 * g;
      memory[1] = 0.999 * memory[1]! + 0.001 * g * g;
      const first = memory[0] / (1 - 0.9 ** t);
      const second = memory[1] / (1 - 0.999 ** t);
      return p * (1 - rate * 0.01) - (rate * first) / (Math.sqrt(second) + 1e-8);
    });
    expectClose(await run(optimizer), rule);
  });

  it("takes β₁, β₂, ε and the weight decay as options", async () => {
    const optimizer = adamw({
      learningRate: schedule,
      beta1: 0.5,
      beta2: 0.75,
      epsilon: 0.1,
      weightDecay: 0.2,
    });
    const rule = expected((p, g, rate, t, memory) => {
      memory[0] = 0.5 * memory[0]! + 0.5 * g;
      memory[1] = 0.75 * memory[1]! + 0.25 * g * g;
      const first = memory[0] / (1 - 0.5 ** t);
      const second = memory[1] / (1 - 0.75 ** t);
      return p * (1 - rate * 0.2) - (rate * first) / (Math.sqrt(second) + 0.1);
    });
    expectClose(await run(optimizer), rule);
  });

  it("steps by α·sign(g) at first, and only decays where the gradient is zero", async () => {
    const optimizer = adamw({ learningRate: 0.1, weightDecay: 0 });
    const p = float64([1, 1, 1]);
    const [next] = optimizer.update(float64([5, -1e-3, 0]), optimizer.init(p), p);
    expectClose(await next.data(), [0.9, 1.1, 1], 1e-5);
  });
});

describe("rmsprop", () => {
  it("is p − α g/(√s + ε), with weight decay in g", async () => {
    const optimizer = rmsprop({ learningRate: schedule, weightDecay: WEIGHT_DECAY });
    const rule = expected((p, gradient, rate, _, memory) => {
      const g = gradient + WEIGHT_DECAY * p;
      memory[0] = 0.99 * memory[0]! + 0.01 * g * g;
      return p - (rate * g) / (Math.sqrt(memory[0]) + 1e-8);
    });
    expectClose(await run(optimizer), rule);
  });

  it("keeps a velocity of the scaled gradients", async () => {
    const optimizer = rmsprop({ learningRate: schedule, momentum: 0.8, decay: 0.9, epsilon: 1e-3 });
    const rule = expected((p, g, rate, _, memory) => {
      memory[0] = 0.9 * memory[0]! + 0.1 * g * g;
      memory[1] = 0.8 * memory[1]! + g / (Math.sqrt(memory[0]) + 1e-3);
      return p - rate * memory[1];
    });
    expectClose(await run(optimizer), rule);
  });
});

const optimizers: [string, Optimizer<unknown>][] = [
  ["sgd", sgd({ learningRate: 0.1 })],
  ["sgd", sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.1 })],
  ["adamw", adamw({ learningRate: 0.1 })],
  ["rmsprop", rmsprop({ learningRate: 0.1, momentum: 0.9 })],
];

describe.each(optimizers)("%s as a function", (name, optimizer) => {
  /** The parameters after two steps on Σ (p⁴/4 − target·p). */
  const trained = (start: Tensor, target: Tensor): Tensor => {
    const loss = (p: Tensor): Tensor => p.square().square().mul(0.25).sub(target.mul(p)).sum();
    let p = start;
    let state = optimizer.init(p);
    for (let step = 0; step < 2; step++) {
      [p, state] = optimizer.update(valueAndGrad(loss)(p)[1], state, p);
    }
    return p;
  };

  it("has first and second derivatives with respect to where it starts and what it fits", async () => {
    await checkGradients(trained, [float64([0.5, -1.2]), float64([0.3, 0.4])], {
      order: 2,
      step: 1e-4,
      tolerance: 1e-5,
    });
  });

  it.each([
    ["zero", 0],
    ["1e-30", 1e-30],
    ["1e-20", 1e-20],
    ["1e-13", 1e-13],
    ["1e-9", 1e-9],
  ])("has finite derivatives of both orders in float32 from a gradient of %s", async (_, size) => {
    const p = tensor([1, 1]);
    const g = tensor([size, 0]);
    let next = p;
    let state = optimizer.init(p);
    for (let step = 0; step < 2; step++) [next, state] = optimizer.update(g, state, next);
    const first = gradients(next.sum(), [g])[0]!;
    const second = gradients(first.sum(), [g])[0]!;
    const values = [next, first, second].map(async (t) => [...(await t.data())]);
    for (const value of (await Promise.all(values)).flat())
      expect(value).toSatisfy(Number.isFinite);
  });

  it("compiles its step once, though rates and corrections change", async () => {
    let parameters = { a: tensor([1, 2, 3]), b: [tensor([[4, 5]])] };
    let state = optimizer.init(parameters);
    const step = async (): Promise<void> => {
      const loss = (p: typeof parameters): Tensor => p.a.square().sum().add(p.b[0]!.exp().sum());
      const [value, gradient] = valueAndGrad(loss)(parameters);
      [parameters, state] = optimizer.update(gradient, state, parameters);
      await realize(value, parameters, state);
    };
    const before = (await deviceStatistics()).plansCompiled;
    for (let i = 0; i < 20; i++) await step();
    expect((await deviceStatistics()).plansCompiled - before).toBeLessThanOrEqual(1);
  });

  it("leaves parameters, gradients and state as they were", async () => {
    const p = tensor([1, 2]);
    const state = optimizer.init(p);
    await realize(...(optimizer.update(tensor([1, -1]), state, p) as [Tensor, unknown]));
    expect(await p.array()).toEqual([1, 2]);
    expect((state as { step: number }).step).toBe(0);
    for (const moment of treeLeaves(state)) expect(await moment.array()).toEqual([0, 0]);
  });

  it("continues from a state that was written as JSON and read again", async () => {
    const p = { w: float64([1, -2]) };
    const g = { w: float64([0.1, 0.7]) };
    const [q, state] = optimizer.update(g, optimizer.init(p), p);
    const copies: unknown[] = [];
    for (const moment of treeLeaves(state)) copies.push(await moment.array());
    const { step } = state as unknown as { step: number };
    const text = JSON.stringify({ step, moments: copies });
    const { moments, ...plain } = JSON.parse(text);
    let next = 0;
    const restored = treeMap(() => float64(moments[next++]), state as Tree);
    expect((restored as unknown as { step: number }).step).toBe(plain.step);
    const [a] = optimizer.update(g, state, q);
    const [b] = optimizer.update(g, restored, q);
    expect(await b.w.array()).toEqual(await a.w.array());
  });

  it("keeps the structure of the parameters and what in it is no tensor", () => {
    const parameters = { name: "layer", weights: [tensor([1]), { deep: tensor([[2, 3]]) }] };
    const [next] = optimizer.update(parameters, optimizer.init(parameters), parameters);
    expect(next.name).toBe("layer");
    expect(treeLeaves(next).map((t) => t.shape)).toEqual([[1], [1, 2]]);
  });

  it("finds gradients by name, in whatever order they come", async () => {
    const parameters = { a: float64([1]), b: float64([10]) };
    const state = optimizer.init(parameters);
    const gradient = { a: float64([0]), b: float64([1]) };
    const reordered = { b: gradient.b, a: gradient.a };
    const [one] = optimizer.update(gradient, state, parameters);
    const [two] = optimizer.update(reordered, state, parameters);
    expect(await two.a.item()).toBe(await one.a.item());
    expect(await two.b.item()).toBe(await one.b.item());
  });

  it("refuses integer parameters, and gradients or states that do not fit", () => {
    const p = { w: tensor([1, 2]) };
    const state = optimizer.init(p);
    expect(() => optimizer.init([tensor([1], { dtype: "int32" })])).toThrow(
      `${name}: parameters must be floating point, found int32`,
    );
    expect(() => optimizer.update({ w: tensor([1]) }, state, p)).toThrow(
      `${name}: a parameter is float32[2], its gradient float32[1]`,
    );
    expect(() => optimizer.update({ w: float64([1, 2]) }, state, p)).toThrow(
      `${name}: a parameter is float32[2], its gradient float64[2]`,
    );
    expect(() => optimizer.init({ w: tensor([1]), b: 0 })).toThrow(
      `${name}: parameters are tensors, found the number 0 at b; make it tensor(0)`,
    );
    const shared = tensor([1]);
    expect(() => optimizer.init({ a: shared, b: [shared] })).toThrow(
      `${name}: the parameters a and b.0 are one tensor, which an update would untie`,
    );
    expect(() => optimizer.init(undefined)).toThrow(`${name}: undefined holds no tensors`);
    const foreign = optimizer.init({ w: tensor([1]) });
    if (treeLeaves(foreign).length > 0) {
      expect(() => optimizer.update(p, foreign, p)).toThrow(
        `${name}: a parameter is float32[2], its moment in the state float32[1]`,
      );
    }
    expect(() => optimizer.update({} as typeof p, state, p)).toThrow(
      `${name}: trees differ at w: a tensor in the parameters, undefined in the gradients`,
    );
  });
});

describe("states that an optimizer did not make are refused", () => {
  const p = { w: tensor([1, 2]) };
  const stateMakers = {
    sgd: sgd({ learningRate: 1, momentum: 0.5 }),
    adamw: adamw({ learningRate: 1 }),
    rmsprop: rmsprop({ learningRate: 1 }),
  };

  it.each(Object.entries(stateMakers))("by %s", (name, given) => {
    const optimizer = given as Optimizer;
    const order = `${name}: takes (gradients, state, parameters), the state as ${name}(…).init`;
    expect(() => optimizer.update(p, p, optimizer.init(p) as typeof p)).toThrow(order);
    expect(() => optimizer.update(p, undefined, p)).toThrow(order);
    for (const [other, foreign] of Object.entries(stateMakers)) {
      if (other === name) continue;
      expect(() => optimizer.update(p, foreign.init(p), p)).toThrow(`${order} made it: { step`);
    }
    expect(() => optimizer.update(p, optimizer.init(p), undefined as never)).toThrow(
      `${name}: undefined holds no tensors to be parameters`,
    );
  });
});

describe("options that there are not are refused, with the nearest", () => {
  it.each([
    ["lr", "learningRate"],
    ["betas", "beta1"],
    ["eps", "epsilon"],
    ["weight_decay", "weightDecay"],
    ["wd", "weightDecay"],
    ["learning_rate", "learningRate"],
  ])("adamw: %s", (option, nearest) => {
    expect(() => adamw({ learningRate: 1, [option]: 1 })).toThrow(
      `adamw: has no option \`${option}\`; did you mean \`${nearest}\`? It has learningRate, beta1, beta2, epsilon, weightDecay`,
    );
  });

  it("and what is no object of options", () => {
    expect(() => adamw(1e-3 as never)).toThrow(
      "adamw: options must be an object { learningRate, beta1, beta2, epsilon, weightDecay }, got 0.001",
    );
    expect(() => sgd(0.1 as never)).toThrow("sgd: options must be an object { learningRate, ");
    expect(() => (rmsprop as () => unknown)()).toThrow("{ learningRate, decay, epsilon");
    expect(() => adamw({} as never)).toThrow(
      "adamw: learningRate must be a number ≥ 0 or a schedule, got undefined",
    );
    expect(() => sgd({ learningRate: "0.1" } as never)).toThrow('or a schedule, got "0.1"');
    expect(() => sgd({ learningRate: 1, momentum: 0.9, nesterov: 1 } as never)).toThrow(
      "sgd: nesterov must be true or false, got 1",
    );
  });
});

describe("options out of range are refused", () => {
  it.each([
    [
      () => sgd({ learningRate: -1 }),
      "sgd: learningRate must be a number ≥ 0 or a schedule, got -1",
    ],
    [
      () => sgd({ learningRate: 1, momentum: 1 }),
      "sgd: momentum must be a number in [0, 1), got 1",
    ],
    [() => sgd({ learningRate: 1, nesterov: true }), "sgd: nesterov needs a momentum > 0"],
    [() => adamw({ learningRate: Number.NaN }), "adamw: learningRate must be"],
    [() => adamw({ learningRate: 1, beta1: 1 }), "adamw: beta1 must be a number in [0, 1), got 1"],
    [() => adamw({ learningRate: 1, beta2: -0.1 }), "adamw: beta2 must be a number in [0, 1)"],
    [() => adamw({ learningRate: 1, epsilon: 0 }), "adamw: epsilon must be a number > 0, got 0"],
    [() => adamw({ learningRate: 1, weightDecay: -1 }), "adamw: weightDecay must be a number ≥ 0"],
    [() => rmsprop({ learningRate: 1, decay: 2 }), "rmsprop: decay must be a number in [0, 1)"],
  ])("%#", (make, message) => {
    expect(make).toThrow(message);
  });

  it("a schedule that gives no rate is named with its step", () => {
    const optimizer = sgd({ learningRate: () => Number.NaN });
    const p = tensor([1]);
    expect(() => optimizer.update(p, optimizer.init(p), p)).toThrow(
      "sgd: the schedule gave learningRate NaN at step 0",
    );
  });

  it("momentum without a velocity in the state", () => {
    const p = tensor([1]);
    const state = sgd({ learningRate: 1 }).init(p);
    expect(() => sgd({ learningRate: 1, momentum: 0.9 }).update(p, state, p)).toThrow(
      "sgd: the state has no velocity",
    );
  });
});
