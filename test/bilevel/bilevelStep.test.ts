/**
 * bilevelStep: hypergradients of a quadratic with known answers, directions on shared parameters, and
 * what a step leaves behind.
 */

import { describe, expect, expectTypeOf, it } from "vitest";
import {
  bilevelStep,
  type NestedOptions,
  type SharedOptions,
} from "../../src/bilevel/bilevelStep.js";
import type { NestedStep, SharedStep, WeightedStep } from "../../src/bilevel/types.js";
import { log, where } from "../../src/ops/index.js";
import { type AdamWState, adamw } from "../../src/optim/adamw.js";
import { rmsprop } from "../../src/optim/rmsprop.js";
import { sgd } from "../../src/optim/sgd.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import {
  at,
  exact,
  expectNear,
  lowerLearningRate,
  numbers,
  quadratic,
  solution,
  value,
  vector,
} from "./quadratic.js";

describe("on a quadratic lower level", () => {
  it.each([
    { lowerSteps: 1, expected: [0.66175, -0.78775] },
    { lowerSteps: 5, expected: [2.50976965, -4.32566892] },
    { lowerSteps: 50, expected: [3.8271357, -7.05427086] },
  ])("unrolling $lowerSteps steps gives $expected", async ({ lowerSteps, expected }) => {
    const step = await bilevelStep(quadratic, at, {
      method: "unrolled",
      lowerSteps,
      lowerLearningRate,
    });
    expectNear(await numbers(step.hypergradient), expected, 1e-8);
    expect(step.iterations).toBe(lowerSteps);
  });

  it("unrolling many steps reaches y*, F and the exact hypergradient", async () => {
    const step = await bilevelStep(quadratic, at, {
      method: "unrolled",
      lowerSteps: 200,
      lowerLearningRate,
    });
    expectNear(await numbers(step.hypergradient), exact, 1e-8);
    expectNear(await numbers(step.y), solution, 1e-9);
    expect(await step.upperLoss.item()).toBeCloseTo(value, 9);
    expect(await step.residual.item()).toBeLessThan(1e-9);
  });

  it("truncating to the last 3 of 50 steps gives 2.25564849, −3.82444063", async () => {
    const step = await bilevelStep(quadratic, at, {
      method: "truncated",
      lowerSteps: 50,
      backwardSteps: 3,
      lowerLearningRate,
    });
    expectNear(await numbers(step.hypergradient), [2.25564849, -3.82444063], 1e-8);
  });

  it("truncating to all steps is unrolling", async () => {
    const options = { lowerSteps: 5, lowerLearningRate };
    const truncated = await bilevelStep(quadratic, at, {
      method: "truncated",
      backwardSteps: 5,
      ...options,
    });
    const unrolled = await bilevelStep(quadratic, at, { method: "unrolled", ...options });
    expectNear(
      await numbers(truncated.hypergradient),
      await numbers(unrolled.hypergradient),
      1e-15,
    );
  });

  it("the direct gradient is .07, −.04, however far the lower level got", async () => {
    for (const lowerSteps of [0, 10]) {
      const step = await bilevelStep(quadratic, at, {
        method: "direct",
        lowerSteps,
        lowerLearningRate,
      });
      expectNear(await numbers(step.hypergradient), [0.07, -0.04], 1e-15);
    }
  });

  it("reports values and residual at the new lower iterate", async () => {
    const step = await bilevelStep(quadratic, at, {
      method: "unrolled",
      lowerSteps: 1,
      lowerLearningRate,
    });
    // y = −.3·(Cᵀx + a), ∇g = Ay + Cᵀx + a
    const slope = [0.7 - 0.1 + 0.3, -0.35 - 0.8 - 0.2];
    const y = slope.map((g) => -0.3 * g) as [number, number];
    expectNear(await numbers(step.y), y, 1e-15);
    const residual = Math.hypot(2 * y[0] + 0.5 * y[1] + slope[0]!, 0.5 * y[0] + y[1] + slope[1]!);
    expect(await step.residual.item()).toBeCloseTo(residual, 12);
    expect(await step.upperLoss.item()).toBeCloseTo(await quadratic.upper(at.x, step.y).item(), 12);
    expect(await step.lowerLoss.item()).toBeCloseTo(await quadratic.lower(at.x, step.y).item(), 12);
  });

  it("a warm start goes on where the last step ended", async () => {
    const options = { method: "unrolled", lowerLearningRate } as const;
    const first = await bilevelStep(quadratic, at, { ...options, lowerSteps: 2 });
    const second = await bilevelStep(
      quadratic,
      { x: at.x, y: first.y },
      { ...options, lowerSteps: 3, lowerState: first.lowerState },
    );
    const together = await bilevelStep(quadratic, at, { ...options, lowerSteps: 5 });
    expectNear(await numbers(second.y), await numbers(together.y), 1e-15);
  });

  it.each([
    ["momentum", () => sgd({ learningRate: 0.1, momentum: 0.9 })],
    ["AdamW", () => adamw({ learningRate: 0.1 })],
    ["RMSprop", () => rmsprop({ learningRate: 0.05 })],
  ] as const)("unrolling %s gives the derivative of where it ends", async (_, make) => {
    const options: NestedOptions = { method: "unrolled", lowerSteps: 6, lowerOptimizer: make() };
    const { hypergradient } = await bilevelStep(quadratic, at, options);
    const F = async (x: Tensor) =>
      (await bilevelStep(quadratic, { x, y: at.y }, options)).upperLoss.item();
    const h = 1e-6;
    const numeric = [
      ((await F(vector(0.7 + h, -0.4))) - (await F(vector(0.7 - h, -0.4)))) / (2 * h),
      ((await F(vector(0.7, -0.4 + h))) - (await F(vector(0.7, -0.4 - h)))) / (2 * h),
    ];
    expectNear(await numbers(hypergradient), numeric, 1e-6);
  });

  it.each([1, 2, 10])(
    "unrolling AdamW for %i steps stays finite where a lower gradient is zero",
    async (lowerSteps) => {
      for (const dtype of ["float32", "float64"] as const) {
        const still = vector(...solution).cast(dtype);
        const flat = {
          upper: quadratic.upper,
          lower: (x: Tensor, y: Tensor) => y.sub(still).square().sum().mul(x.sum()),
        };
        const step = await bilevelStep(
          flat,
          { x: at.x.cast(dtype), y: still },
          { method: "unrolled", lowerSteps, lowerOptimizer: adamw({ learningRate: 0.1 }) },
        );
        expect((await numbers(step.hypergradient)).every(Number.isFinite)).toBe(true);
        expect((await numbers(step.y)).every(Number.isFinite)).toBe(true);
      }
    },
  );
});

describe("trees of parameters", () => {
  it("come back in their structure", async () => {
    const step = await bilevelStep(
      {
        upper: (x, y) =>
          y.layers[0]!.w.sub(1).square().sum().add(y.bias.square().sum()).mul(x.scale),
        lower: (x, y) =>
          y.layers[0]!.w.sub(x.scale).square().sum().add(y.bias.sub(x.shift).square().sum()),
      },
      {
        x: { scale: vector(2).reshape([]), shift: vector(1, 2) },
        y: { layers: [{ w: vector(0, 0, 0) }], bias: vector(0, 0) },
      },
      { method: "unrolled", lowerSteps: 2, lowerLearningRate: 0.25 },
    );
    expect(step.hypergradient.scale.shape).toEqual([]);
    expect(step.hypergradient.shift.shape).toEqual([2]);
    // Two steps halve the distance twice: w = ¾·scale, bias = ¾·shift.
    expectNear(await numbers(step.y.layers[0]!.w), [1.5, 1.5, 1.5], 1e-15);
    expectNear(await numbers(step.hypergradient.shift), [2 * 2 * 0.75 * 0.75, 4.5], 1e-12);
  });
});

describe("on shared parameters", () => {
  /** ∇f = p − (3, 0), ∇g = diag(1, 4)·p. */
  const problem = {
    upper: ({ p }: { p: Tensor }) => p.sub(vector(3, 0)).square().sum().mul(0.5),
    lower: ({ p }: { p: Tensor }) => p.square().mul(vector(1, 4)).sum().mul(0.5),
  };
  const params = { p: vector(1, 1) };
  const [f, g] = [
    [-2, 1],
    [1, 4],
  ] as const;
  const plus = (weight: number) => [f[0] + weight * g[0], f[1] + weight * g[1]];

  it("the penalty adds γ∇g", async () => {
    const step = await bilevelStep(problem, { params }, { method: "penalty", gamma: 0.5 });
    expectNear(await numbers(step.direction.p), plus(0.5), 1e-15);
    expect(await step.multiplier.item()).toBe(0.5);
    expect(await step.upperLoss.item()).toBe(2.5);
    expect(await step.lowerLoss.item()).toBe(2.5);
  });

  it("the penalty with hinge adds it only where g > v* + ε", async () => {
    const run = async (floor: number | Tensor, epsilon: number) => {
      const options = { method: "penalty", hinge: true, gamma: 2, floor, epsilon } as const;
      const step = await bilevelStep(problem, { params }, options);
      expectNear(await numbers(step.direction.p), plus(await step.multiplier.item()), 1e-15);
      return step.multiplier.item();
    };
    expect(await run(2, 0.4)).toBe(2);
    expect(await run(2, 0.5)).toBe(0);
    expect(await run(vector(2), 0.6)).toBe(0);
  });

  it("the barrier leaves the upper gradient alone while the lower level makes progress", async () => {
    // ⟨∇f, ∇g⟩ = 2, ‖∇g‖² = 17: no correction below η = 2/17.
    const step = await bilevelStep(problem, { params }, { method: "barrier", eta: 0.1 });
    expect(await step.multiplier.item()).toBe(0);
    expectNear(await numbers(step.direction.p), plus(0), 1e-15);
  });

  it("the barrier makes up for the progress that is lacking", async () => {
    const step = await bilevelStep(problem, { params }, { method: "barrier", eta: 0.5 });
    expect(await step.multiplier.item()).toBeCloseTo((0.5 * 17 - 2) / 17, 14);
    const [x, y] = (await numbers(step.direction.p)) as [number, number];
    expect(x * g[0] + y * g[1]).toBeCloseTo(0.5 * 17, 12);
  });

  it("the barrier can be controlled by the value of g", async () => {
    const step = await bilevelStep(
      problem,
      { params },
      { method: "barrier", control: "value", eta: 2, floor: 0.5 },
    );
    expect(await step.multiplier.item()).toBeCloseTo((2 * (2.5 - 0.5) - 2) / 17, 14);
  });

  it("the barrier at the lower level's optimum is the upper gradient", async () => {
    const bottom = { p: vector(0, 0) };
    const step = await bilevelStep(problem, { params: bottom }, { method: "barrier" });
    expect(await step.multiplier.item()).toBe(0);
    expectNear(await numbers(step.direction.p), [-3, 0], 0);
  });

  it("the look-ahead is (I − α∇²g)∇f at the point ahead", async () => {
    const alpha = 0.2;
    const step = await bilevelStep(problem, { params }, { method: "lookahead", alpha });
    const ahead = [1 - alpha * 1 - 3, 1 - alpha * 4];
    expectNear(
      await numbers(step.direction.p),
      [(1 - alpha) * ahead[0]!, (1 - 4 * alpha) * ahead[1]!],
      1e-15,
    );
    expect(await step.upperLoss.item()).toBeCloseTo((ahead[0]! ** 2 + ahead[1]! ** 2) / 2, 12);
    const short = await bilevelStep(
      problem,
      { params },
      { method: "lookahead", alpha, firstOrder: true },
    );
    expectNear(await numbers(short.direction.p), ahead, 1e-15);
  });

  it("alternation is one lower step, then one upper step", async () => {
    const [lowerLearningRate, upperLearningRate] = [0.1, 0.2];
    const { direction, multiplier } = await bilevelStep(
      problem,
      { params },
      { method: "alternating", lowerLearningRate, upperLearningRate },
    );
    const middle = [1 - 0.1 * g[0], 1 - 0.1 * g[1]];
    const end = [middle[0]! - 0.2 * (middle[0]! - 3), middle[1]! - 0.2 * middle[1]!];
    const descended = params.p.sub(direction.p.mul(upperLearningRate));
    expectNear(await numbers(descended), end, 1e-15);
    expect(await multiplier.item()).toBe(0.5);
  });
});

describe("a step", () => {
  const lower = (p: Tensor): Tensor => p.square().sum();
  const upper = (p: Tensor): Tensor => p.sub(1).square().sum();
  const nested = {
    upper: (x: Tensor, y: Tensor) => y.sub(x).square().sum(),
    lower: (x: Tensor, y: Tensor) => y.mul(x).sub(1).square().sum(),
  };
  const solver = { lowerSteps: 3, lowerLearningRate: 0.1 };
  const shared: readonly SharedOptions[] = [
    { method: "penalty" },
    { method: "barrier" },
    { method: "lookahead", alpha: 0.1 },
    { method: "alternating", lowerLearningRate: 0.1, upperLearningRate: 0.1 },
  ];
  const nestedMethods: readonly NestedOptions[] = [
    { method: "unrolled", ...solver },
    { method: "truncated", backwardSteps: 1, ...solver },
    { method: "implicit-cg", ...solver },
    { method: "implicit-neumann", ...solver },
    { method: "value-function", penalty: 10, ...solver },
    { method: "direct", ...solver },
  ];

  it.each(shared)("by $method is evaluated and leaves no graph", async (options) => {
    const step = await bilevelStep({ upper, lower }, { params: vector(2, 3) }, options);
    for (const t of [step.direction, step.upperLoss, step.lowerLoss]) expect(t.inputs).toEqual([]);
  });

  it.each(nestedMethods)("by $method is evaluated and leaves no graph", async (options) => {
    const at = { x: vector(2, 3), y: vector(0, 0) };
    const step = await bilevelStep(nested, at, options);
    const all = [step.hypergradient, step.y, step.upperLoss, step.lowerLoss, step.residual];
    for (const t of all) expect(t.inputs).toEqual([]);
  });

  it("stops at a lower loss that is not finite and names its step", async () => {
    const diverging = {
      upper: (x: Tensor, y: Tensor) => y.mul(x).sum(),
      lower: (_: Tensor, y: Tensor) => log(y).sum(),
    };
    // y falls by 1/y: from 2 to 1.5 to .83, below 0 after the third step.
    const at = { x: vector(1), y: vector(2) };
    const options = { lowerSteps: 5, lowerLearningRate: 1 };
    const message = "bilevelStep: the lower loss at lower step 4 of 5 is NaN";
    for (const method of ["unrolled", "direct", "implicit-cg", "implicit-neumann"] as const) {
      await expect(bilevelStep(diverging, at, { method, ...options })).rejects.toThrow(message);
    }
    await expect(
      bilevelStep(diverging, at, { method: "truncated", backwardSteps: 3, ...options }),
    ).rejects.toThrow(message);
    await expect(
      bilevelStep(diverging, at, { method: "value-function", penalty: 1, ...options }),
    ).rejects.toThrow(message);
    for (const method of ["unrolled", "implicit-cg"] as const) {
      await expect(
        bilevelStep(diverging, at, { method, lowerSteps: 3, lowerLearningRate: 1 }),
      ).rejects.toThrow("bilevelStep: the lower loss after 3 lower steps is NaN");
    }
    const penalized = { method: "value-function", penalty: 1, lowerLearningRate: 1 } as const;
    await expect(
      bilevelStep(diverging, at, { ...penalized, lowerSteps: 0, penaltySteps: 5 }),
    ).rejects.toThrow("bilevelStep: the penalized lower loss at penalty step 3 of 5 is NaN");
    await expect(
      bilevelStep(
        { upper, lower: (p: Tensor) => log(p).sum() },
        { params: vector(-1) },
        { method: "penalty" },
      ),
    ).rejects.toThrow("bilevelStep: the lower loss is NaN");
  });

  it.each(shared)(
    "by $method stops at a direction that is not finite, and names its tensor",
    async (options) => {
      // √h slopes infinitely at 0, where it is finite.
      const infinite = {
        upper: ({ layers: [h] }: { layers: Tensor[] }) => h!.sqrt().sum(),
        lower: ({ layers: [h] }: { layers: Tensor[] }) => h!.square().sum(),
      };
      const params = { layers: [vector(0, 4)] };
      await expect(bilevelStep(infinite, { params }, options)).rejects.toThrow(
        /^bilevelStep: the direction at layers\.0 has [12] NaN or infinite elements$/,
      );
      expect(await numbers(params.layers[0]!)).toEqual([0, 4]);
    },
  );

  it.each(nestedMethods)(
    "by $method stops at a hypergradient that is not finite, and names its tensor",
    async (options) => {
      const infinite = {
        upper: (x: { scale: Tensor }, y: Tensor) => x.scale.sqrt().sum().add(y.sum()),
        lower: (x: { scale: Tensor }, y: Tensor) => y.sub(x.scale.sum()).square().sum(),
      };
      const at = { x: { scale: vector(0, 4) }, y: vector(1) };
      await expect(bilevelStep(infinite, at, options)).rejects.toThrow(
        "bilevelStep: the hypergradient at scale has 1 NaN or infinite elements",
      );
      expect(await numbers(at.x.scale)).toEqual([0, 4]);
      expect(await numbers(at.y)).toEqual([1]);
    },
  );

  it("stops at a lower iterate that is not finite where both losses are", async () => {
    const infinite = {
      upper: (x: Tensor, y: Tensor) => y.tanh().mul(x).sum(),
      lower: (_: Tensor, y: Tensor) => where(y.less(0), 0, y.sqrt()).sum(),
    };
    const [x, y] = [vector(1), vector(0)];
    const options = { method: "direct", lowerSteps: 1, lowerLearningRate: 0.1 } as const;
    await expect(bilevelStep(infinite, { x, y }, options)).rejects.toThrow(
      "bilevelStep: the new y has 1 NaN or infinite elements",
    );
    expect(await numbers(y)).toEqual([0]);
  });

  it("by an unknown method lists those there are", async () => {
    await expect(
      bilevelStep({ upper, lower }, { params: vector(1) }, { method: "magic" as "penalty" }),
    ).rejects.toThrow(
      'bilevelStep: no method "magic"; for { x, y } there are "unrolled", "truncated", ' +
        '"implicit-cg", "implicit-neumann", "value-function", "direct", ' +
        'for { params } "penalty", "barrier", "lookahead", "alternating"',
    );
  });

  it("rejects what does not go together", async () => {
    const params = vector(1, 2);
    const at = { x: params, y: params };
    const cases: [Promise<unknown>, string][] = [
      [
        bilevelStep({ upper, lower }, { params } as never, { method: "unrolled", ...solver }),
        'bilevelStep: method "unrolled" takes { x, y }, got { params }',
      ],
      [
        bilevelStep(nested, at, { method: "unrolled", lowerSteps: 3 }),
        "bilevelStep: needs one of `lowerLearningRate` and `lowerOptimizer`",
      ],
      [
        bilevelStep(nested, at, {
          method: "unrolled",
          ...solver,
          lowerOptimizer: sgd({ learningRate: 1 }),
        }),
        "bilevelStep: needs one of `lowerLearningRate` and `lowerOptimizer`",
      ],
      [
        bilevelStep(nested, at, { method: "unrolled", ...solver, lowerSteps: 1.5 }),
        "bilevelStep: lowerSteps must be an integer ≥ 0, got 1.5",
      ],
      [
        bilevelStep(nested, at, { method: "truncated", backwardSteps: 4, ...solver }),
        "bilevelStep: backwardSteps must be a number in 1 … 3, got 4",
      ],
      [
        bilevelStep(nested, at, { method: "direct", backwardSteps: 1, ...solver } as never),
        'bilevelStep: method "direct": has no option `backwardSteps`; it has method, lowerSteps, lowerLearningRate, lowerOptimizer, lowerState',
      ],
      [
        bilevelStep({ upper, lower }, { params }, { method: "penalty", hinge: true }),
        'bilevelStep: method "penalty" with hinge needs `floor`, the value v* of g',
      ],
      [
        bilevelStep({ upper, lower }, { params }, { method: "penalty", floor: 1 }),
        'bilevelStep: `floor` goes with hinge: true; without, method "penalty" does not depend on it',
      ],
      [
        bilevelStep({ upper, lower }, { params }, { method: "penalty", hinge: false, epsilon: 0 }),
        'bilevelStep: `epsilon` goes with hinge: true; without, method "penalty" does not depend on it',
      ],
      [
        bilevelStep(
          { upper, lower },
          { params },
          { method: "penalty", hinge: true, floor: Number.NaN },
        ),
        "bilevelStep: floor must be a number or a scalar tensor, got NaN",
      ],
      [
        bilevelStep({ upper, lower }, { params }, { method: "penalty", gamma: params }),
        "bilevelStep: gamma must be a scalar, got shape [2]",
      ],
      [
        bilevelStep({ upper, lower }, { params }, { method: "barrier", floor: 1 }),
        'bilevelStep: `floor`, the value v* of g, goes with control "value"',
      ],
      [
        bilevelStep({ upper, lower }, { params }, { method: "barrier", control: "value" }),
        'bilevelStep: `floor`, the value v* of g, goes with control "value"',
      ],
      [
        bilevelStep({ upper, lower }, { params }, { method: "barrier", eta: 0 }),
        "bilevelStep: eta must be a number > 0, got 0",
      ],
      [
        bilevelStep({ upper, lower: (p: Tensor) => p }, { params }, { method: "penalty" }),
        "bilevelStep: lower must return a scalar tensor, but returned shape [2]",
      ],
    ];
    for (const [rejected, message] of cases) await expect(rejected).rejects.toThrow(message);
  });

  it("has the type of its method", () => {
    const params = { p: vector(1) };
    const f = ({ p }: { p: Tensor }) => p.sum();
    const problem = { upper: f, lower: f };
    const penalty = () => bilevelStep(problem, { params }, { method: "penalty" });
    const lookahead = () => bilevelStep(problem, { params }, { method: "lookahead", alpha: 1 });
    const adam = () =>
      bilevelStep(
        nested,
        { x: vector(1), y: vector(1) },
        { method: "unrolled", lowerSteps: 1, lowerOptimizer: adamw({ learningRate: 1 }) },
      );
    expectTypeOf(penalty).returns.resolves.toEqualTypeOf<WeightedStep<{ p: Tensor }>>();
    expectTypeOf(lookahead).returns.resolves.toEqualTypeOf<SharedStep<{ p: Tensor }>>();
    expectTypeOf(adam).returns.resolves.toEqualTypeOf<NestedStep<Tensor, Tensor, AdamWState>>();
  });
});
