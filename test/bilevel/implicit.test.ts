/**
 * Hypergradients that do not differentiate through the lower solver: implicit (conjugate gradients, a
 * Neumann series) and of first order (the value function), and how they end where they cannot work.
 */

import fc from "fast-check";
import { describe, expect, expectTypeOf, it } from "vitest";
import { bilevelStep, type NestedOptions } from "../../src/bilevel/bilevelStep.js";
import type { ConjugateGradientsOptions } from "../../src/bilevel/conjugateGradients.js";
import type { NeumannOptions } from "../../src/bilevel/neumann.js";
import type {
  ConjugateGradientsOutcome,
  ImplicitStep,
  NeumannOutcome,
  ValueFunctionStep,
} from "../../src/bilevel/types.js";
import { dot, matmul, pow, transpose } from "../../src/ops/index.js";
import { type AdamWState, adamw } from "../../src/optim/adamw.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics } from "../../src/tensor/evaluate.js";
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

const solved = { x: at.x, y: vector(...solution) };
const asItIs = { lowerSteps: 0 } as const;
const solver = { lowerSteps: 200, lowerLearningRate } as const;

describe("implicit-neumann", () => {
  const neumann = { method: "implicit-neumann", neumannLearningRate: 0.3 } as const;

  it.each([
    { terms: 1, expected: [1.06, -1.5775], tolerance: 1e-12 },
    { terms: 6, expected: [3.13501085, -5.6196852], tolerance: 1e-8 },
    { terms: 101, expected: [26.79 / 7, -49.38 / 7], tolerance: 1e-11 },
  ])("with $terms terms at y* gives $expected", async ({ terms, expected, tolerance }) => {
    const step = await bilevelStep(quadratic, solved, { ...neumann, ...asItIs, terms });
    expectNear(await numbers(step.hypergradient), expected, tolerance);
    expect(step.outcome).toBe("summed");
    expect(step.iterations).toBe(terms);
  });

  it("is unrolling as many steps from y*", async () => {
    const step = await bilevelStep(quadratic, solved, { ...neumann, ...asItIs, terms: 5 });
    const unrolled = await bilevelStep(quadratic, solved, {
      method: "unrolled",
      lowerSteps: 5,
      lowerLearningRate: 0.3,
    });
    const [found, expected] = [step.hypergradient, unrolled.hypergradient];
    expectNear(await numbers(found), await numbers(expected), 1e-12);
  });

  it("reports what is missing of ∇_y f, ‖(I − ηA)ᵀb‖/‖b‖", async () => {
    const step = await bilevelStep(quadratic, solved, { ...neumann, ...asItIs, terms: 1 });
    const b = [solution[0] - 1, solution[1] + 1] as const;
    const missing = [0.4 * b[0] - 0.15 * b[1], -0.15 * b[0] + 0.7 * b[1]];
    const expected = Math.hypot(...missing) / Math.hypot(...b);
    expect(await step.residual.item()).toBeCloseTo(expected, 12);
  });

  it("takes the lower learning rate and 20 terms by default", async () => {
    const options = { method: "implicit-neumann", ...solver } as const;
    const [found, expected] = await Promise.all([
      bilevelStep(quadratic, at, options),
      bilevelStep(quadratic, at, { ...options, neumannLearningRate: 0.3, terms: 20 }),
    ]);
    expect(await numbers(found.hypergradient)).toEqual(await numbers(expected.hypergradient));
    expect(found.iterations).toBe(20);
  });

  it("says that it diverges with too large a learning rate", async () => {
    const options = { method: "implicit-neumann", ...asItIs, neumannLearningRate: 1 } as const;
    const step = await bilevelStep(quadratic, solved, { ...options, terms: 10 });
    expect(step.outcome).toBe("diverging");
    expect(await step.residual.item()).toBeGreaterThan(1);
    await expect(
      bilevelStep(quadratic, solved, { ...options, neumannLearningRate: 1e3, terms: 1000 }),
    ).rejects.toThrow(
      /^bilevelStep: the Neumann series at term 4\d of 1000 has squared norm Infinity; a smaller neumannLearningRate than 1000 may converge$/,
    );
  });
});

describe("implicit-neumann where g curves downward", () => {
  const bent = (curvatures: readonly number[], slopes: readonly number[]) => ({
    upper: (_: Tensor, y: Tensor) => y.mul(vector(...slopes)).sum(),
    lower: (x: Tensor, y: Tensor) =>
      y
        .square()
        .mul(vector(...curvatures))
        .sum()
        .mul(0.5)
        .sub(y.mul(x).sum()),
  });
  const run = async (curvatures: readonly number[], slopes: readonly number[], terms = 20) => {
    const zero = vector(...curvatures.map(() => 0));
    const step = await bilevelStep(
      bent(curvatures, slopes),
      { x: zero, y: zero },
      { method: "implicit-neumann", ...asItIs, neumannLearningRate: 0.1, terms },
    );
    return [step.outcome, await step.residual.item()] as const;
  };

  it("is seen while the terms still shrink, from how they turn", async () => {
    const [outcome, residual] = await run([1, -0.5], [1, 0.01]);
    expect(residual).toBeLessThan(0.2);
    expect(outcome).toBe("diverging");
  });

  it("is seen where terms do not turn, from their length", async () => {
    expect((await run([-0.5], [1]))[0]).toBe("diverging");
    // Shorter than at the start after 30 terms, and growing.
    const [outcome, residual] = await run([1, -0.5], [1, 1e-5], 60);
    expect(residual).toBeLessThan(1);
    expect(outcome).toBe("diverging");
  });

  it("is not seen where it is not, nor where there is nothing to solve", async () => {
    expect(await run([1, 0.5], [1, 0.01])).toEqual(["summed", expect.any(Number)]);
    expect((await run([1, 1, 1], [3, 2, 1], 200))[0]).toBe("summed");
    expect((await run([1, 0], [1, 0], 200))[0]).toBe("summed");
    // Terms whose squares underflow.
    expect((await run([1], [1], 3700))[0]).toBe("summed");
    expect(await run([1, 0.5], [0, 0])).toEqual(["summed", 0]);
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(fc.double({ min: 0.1, max: 15, noNaN: true }), fc.integer({ min: -5, max: 5 })),
          { minLength: 3, maxLength: 3 },
        ),
        async (both) => {
          const [curvatures, slopes] = [both.map(([h]) => h), both.map(([, s]) => s)];
          expect((await run(curvatures, slopes))[0]).toBe("summed");
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe("implicit-cg", () => {
  const cg = { method: "implicit-cg", ...asItIs } as const;

  it("with one iteration at y* gives 3.94936345, −6.06476899", async () => {
    const step = await bilevelStep(quadratic, solved, { ...cg, maxIterations: 1 });
    expectNear(await numbers(step.hypergradient), [3.94936345, -6.06476899], 1e-8);
    expect(step.outcome).toBe("maxIterations");
    expect(step.iterations).toBe(1);
    expect(await step.residual.item()).toBeGreaterThan(0.3);
  });

  it("with two is exact", async () => {
    const step = await bilevelStep(quadratic, solved, { ...cg, maxIterations: 2 });
    expectNear(await numbers(step.hypergradient), [26.79 / 7, -49.38 / 7], 1e-12);
    expect(step.outcome).toBe("converged");
    expect(step.iterations).toBe(2);
    expect(await step.residual.item()).toBeLessThan(1e-12);
  });

  it("solves the lower level first", async () => {
    const step = await bilevelStep(quadratic, at, { method: "implicit-cg", ...solver });
    expectNear(await numbers(step.y), solution, 1e-9);
    expectNear(await numbers(step.hypergradient), exact, 1e-8);
    expect(await step.upperLoss.item()).toBeCloseTo(value, 9);
    expect(await step.lowerLoss.item()).toBeCloseTo(await quadratic.lower(at.x, step.y).item(), 12);
  });

  it("works in float32", async () => {
    const single = (t: Tensor) => t.cast("float32");
    const step = await bilevelStep(
      {
        upper: (x: Tensor, y: Tensor) => single(quadratic.upper(x, y)),
        lower: (x: Tensor, y: Tensor) => single(quadratic.lower(x, y)),
      },
      { x: single(at.x), y: tensor([...solution]) },
      cg,
    );
    expect(step.hypergradient.dtype).toBe("float32");
    expect(step.outcome).toBe("converged");
    expectNear(await numbers(step.hypergradient), exact, 1e-5);
  });

  it("with damping δ solves with A + δI", async () => {
    const delta = 0.5;
    const step = await bilevelStep(quadratic, solved, { ...cg, damping: delta });
    const b = [solution[0] - 1, solution[1] + 1] as const;
    const determinant = 2.5 * 1.5 - 0.25;
    const v = [
      (1.5 * b[0] - 0.5 * b[1]) / determinant,
      (2.5 * b[1] - 0.5 * b[0]) / determinant,
    ] as const;
    const expected = [0.07 - v[0] + 0.5 * v[1], -0.04 - 0.25 * v[0] - 2 * v[1]];
    expectNear(await numbers(step.hypergradient), expected, 1e-12);
    expect(await step.residual.item()).toBeLessThan(1e-12);
  });

  it("stops at the tolerance asked for", async () => {
    const loose = await bilevelStep(quadratic, solved, { ...cg, tolerance: 0.5 });
    expect(loose.iterations).toBe(1);
    expect(loose.outcome).toBe("converged");
    const expected = await bilevelStep(quadratic, solved, { ...cg, maxIterations: 1 });
    expect(await numbers(loose.hypergradient)).toEqual(await numbers(expected.hypergradient));
  });

  it("has nothing to solve where the upper level does not slope in y", async () => {
    const upper = (x: Tensor, _: Tensor) => x.square().sum();
    const step = await bilevelStep({ upper, lower: quadratic.lower }, solved, cg);
    expect([step.outcome, step.iterations]).toEqual(["converged", 0]);
    expect(await step.residual.item()).toBe(0);
    expectNear(await numbers(step.hypergradient), [1.4, -0.8], 1e-15);
  });

  it("solves any positive definite system within as many iterations as unknowns", async () => {
    const entry = fc.double({ min: -1, max: 1, noNaN: true });
    const size = 4;
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { minLength: size * size, maxLength: size * size }),
        fc.array(entry, { minLength: size, maxLength: size }),
        async (entries, goal) => {
          const M = tensor(entries, { dtype: "float64", shape: [size, size] });
          const H = (y: Tensor): Tensor => matmul(transpose(M), matmul(M, y)).add(y);
          const problem = {
            upper: (_: Tensor, y: Tensor) =>
              y
                .sub(vector(...goal))
                .square()
                .sum()
                .mul(0.5),
            lower: (x: Tensor, y: Tensor) => dot(y, H(y)).mul(0.5).sub(dot(x, y)),
          };
          // y = 0 solves the lower level at x = 0: dF/dx = H⁻¹(0 − goal).
          const zeros = { x: vector(0, 0, 0, 0), y: vector(0, 0, 0, 0) };
          const step = await bilevelStep(problem, zeros, {
            ...cg,
            maxIterations: size,
            tolerance: 1e-12,
          });
          const back = await numbers(H(step.hypergradient));
          expectNear(
            back,
            goal.map((g) => -g),
            1e-8,
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it("computes trees of parameters in their structure", async () => {
    const problem = {
      upper: (x: { scale: Tensor }, y: { w: Tensor[]; bias: Tensor }) =>
        y.w[0]!.square().sum().add(y.bias.square().sum()).mul(x.scale.square()),
      lower: (x: { scale: Tensor }, y: { w: Tensor[]; bias: Tensor }) =>
        y.w[0]!.sub(x.scale)
          .square()
          .sum()
          .add(y.bias.sub(x.scale.mul(2)).square().sum().mul(3)),
    };
    // w = s, bias = 2s: F = s²(3s² + 2·4s²) = 11s⁴.
    const s = 1.5;
    const variables = {
      x: { scale: vector(s).reshape([]) },
      y: { w: [vector(s, s, s)], bias: vector(2 * s, 2 * s) },
    };
    const step = await bilevelStep(problem, variables, cg);
    expect(await step.hypergradient.scale.item()).toBeCloseTo(44 * s ** 3, 9);
    expect(step.y.w[0]!.shape).toEqual([3]);
  });

  it("makes one plan for all its iterations", async () => {
    const size = 40;
    const curvature = vector(...Array.from({ length: size }, (_, i) => i + 1));
    const problem = {
      upper: (x: Tensor, y: Tensor) => y.sub(1).square().sum().add(x.square().sum()),
      lower: (x: Tensor, y: Tensor) => y.sub(x).square().mul(curvature).sum(),
    };
    const zeros = vector(...Array.from({ length: size }, () => 0));
    const variables = { x: zeros, y: zeros };
    const run = async (options: ConjugateGradientsOptions | NeumannOptions) => {
      const { iterations } = await bilevelStep(problem, variables, options as NestedOptions);
      return { iterations, plans: (await deviceStatistics()).plansCompiled };
    };
    const few = await run({ ...cg, tolerance: 0, maxIterations: 2 });
    const many = await run({ ...cg, tolerance: 0, maxIterations: 30 });
    expect([few.iterations, many.iterations]).toEqual([2, 30]);
    expect(many.plans).toBe(few.plans);
    const series = { method: "implicit-neumann", ...asItIs, neumannLearningRate: 0.01 } as const;
    const short = await run({ ...series, terms: 2 });
    const long = await run({ ...series, terms: 500 });
    expect([short.iterations, long.iterations]).toEqual([2, 500]);
    expect(long.plans).toBe(short.plans);
  });
});

describe("implicit-cg where g does not curve upward", () => {
  /** g = ½Σ h_j (y_j − x_j)², f = ½‖y − t‖². */
  const bent = (curvatures: readonly number[], goal: readonly number[]) => ({
    upper: (_: Tensor, y: Tensor) =>
      y
        .sub(vector(...goal))
        .square()
        .sum()
        .mul(0.5),
    lower: (x: Tensor, y: Tensor) =>
      y
        .sub(x)
        .square()
        .mul(vector(...curvatures))
        .sum()
        .mul(0.5),
  });
  const origin = { x: vector(0, 0), y: vector(0, 0) };
  const cg = { method: "implicit-cg", ...asItIs } as const;

  it("stops and says so in the first iteration", async () => {
    // ∇_y f = (−1, −2): curvature (1 − 4)/5.
    const step = await bilevelStep(bent([1, -1], [1, 2]), origin, cg);
    expect([step.outcome, step.iterations]).toEqual(["indefinite", 0]);
    expect(await step.residual.item()).toBe(1);
    expectNear(await numbers(step.hypergradient), [0, 0], 0);
  });

  it("stops and says so later, with the solution so far", async () => {
    // ∇_y f = b = (−2, −1): curvature (4 − 1)/5, so v = 5/3·b; ∂²_xy g = −diag(1, −1).
    const step = await bilevelStep(bent([1, -1], [2, 1]), origin, cg);
    expect([step.outcome, step.iterations]).toEqual(["indefinite", 1]);
    expectNear(await numbers(step.hypergradient), [-10 / 3, 5 / 3], 1e-12);
    expect(await step.residual.item()).toBeCloseTo(Math.hypot(4 / 3, 8 / 3) / Math.hypot(2, 1), 12);
  });

  it("stops and says so at a flat direction", async () => {
    const step = await bilevelStep(bent([1, 0], [1, 1]), origin, cg);
    expect([step.outcome, step.iterations]).toEqual(["indefinite", 1]);
    expect(Number.isFinite(await step.residual.item())).toBe(true);
  });

  it("converges with damping above the most negative curvature", async () => {
    const step = await bilevelStep(bent([1, -1], [1, 2]), origin, { ...cg, damping: 2 });
    expect(step.outcome).toBe("converged");
    // v = (A + 2I)⁻¹(−1, −2) = (−1/3, −2)
    expectNear(await numbers(step.hypergradient), [-1 / 3, 2], 1e-12);
  });

  it("throws where a curvature is not finite", async () => {
    const problem = {
      upper: (_: Tensor, y: Tensor) => y.sum(),
      lower: (x: Tensor, y: Tensor) => pow(y, 1.5).mul(x).sum(),
    };
    await expect(bilevelStep(problem, { x: vector(1), y: vector(0) }, cg)).rejects.toThrow(
      /^bilevelStep: the lower level's curvature at conjugate gradient iteration 1 is (NaN|Infinity)$/,
    );
  });

  it("throws where the upper level's gradient is not finite", async () => {
    const problem = {
      upper: (_: Tensor, y: Tensor) => y.sqrt().sum(),
      lower: (x: Tensor, y: Tensor) => y.mul(x).square().sum(),
    };
    await expect(bilevelStep(problem, { x: vector(1), y: vector(0) }, cg)).rejects.toThrow(
      "bilevelStep: the squared norm of the upper loss's gradient in y is Infinity",
    );
  });
});

describe("value-function", () => {
  it.each([
    { penalty: 10, expected: [3.42194175, -6.24752427] },
    { penalty: 100, expected: [3.782151, -6.96447054] },
    { penalty: 1000, expected: [3.82259341, -7.04520137] },
  ])("with λ = $penalty gives $expected", async ({ penalty, expected }) => {
    const options = { method: "value-function", penalty, ...solver } as const;
    const step = await bilevelStep(quadratic, at, options);
    expectNear(await numbers(step.hypergradient), expected, 1e-8);
    expectNear(await numbers(step.y), solution, 1e-9);
    expect(await step.upperLoss.item()).toBeCloseTo(value, 9);
    expect(step.iterations).toBe(400);
    expect(await step.residual.item()).toBeLessThan(1e-12);
    expect(await step.penalizedResidual.item()).toBeLessThan(1e-12);
  });

  it("says how far either inner problem is from its solution", async () => {
    const options = { method: "value-function", penalty: 10, lowerLearningRate } as const;
    const step = await bilevelStep(quadratic, at, { ...options, lowerSteps: 2, penaltySteps: 300 });
    expect(await step.residual.item()).toBeGreaterThan(0.1);
    expect(await step.penalizedResidual.item()).toBeLessThan(1e-12);
    const other = await bilevelStep(quadratic, at, {
      ...options,
      lowerSteps: 300,
      penaltySteps: 1,
    });
    expect(await other.residual.item()).toBeLessThan(1e-12);
    expect(await other.penalizedResidual.item()).toBeGreaterThan(0.1);
  });

  it("uses an optimizer of its own for each inner problem", async () => {
    const step = await bilevelStep(quadratic, at, {
      method: "value-function",
      penalty: 10,
      lowerSteps: 20,
      penaltySteps: 7,
      lowerOptimizer: adamw({ learningRate: 0.1 }),
    });
    expect(step.lowerState.step).toBe(20);
    expect((await numbers(step.hypergradient)).every(Number.isFinite)).toBe(true);
  });
});

describe("an inner solve that has not converged", () => {
  it("shows in lowerResidual, and the hypergradient is that of where it got", async () => {
    const options = { method: "implicit-cg", lowerLearningRate, lowerSteps: 1 } as const;
    const step = await bilevelStep(quadratic, at, options);
    const y = [-0.27, 0.405] as const;
    expectNear(await numbers(step.y), y, 1e-15);
    const slope = [2 * y[0] + 0.5 * y[1] + 0.9, 0.5 * y[0] + y[1] - 1.35];
    expect(await step.lowerResidual.item()).toBeCloseTo(Math.hypot(...slope), 12);
    expect(step.outcome).toBe("converged");
    expect(await step.residual.item()).toBeLessThan(1e-12);
    // ρx − C·A⁻¹(y − t) at this y
    const b = [y[0] - 1, y[1] + 1] as const;
    const v = [(b[0] - 0.5 * b[1]) / 1.75, (2 * b[1] - 0.5 * b[0]) / 1.75] as const;
    const expected = [0.07 - v[0] + 0.5 * v[1], -0.04 - 0.25 * v[0] - 2 * v[1]];
    expectNear(await numbers(step.hypergradient), expected, 1e-12);
  });

  it("shrinks lowerResidual as steps are added, also over warm starts", async () => {
    let { y } = at;
    let last = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 4; i++) {
      const options = { method: "implicit-cg", lowerLearningRate, lowerSteps: 10 } as const;
      const step = await bilevelStep(quadratic, { x: at.x, y }, options);
      const residual = await step.lowerResidual.item();
      expect(residual).toBeLessThan(0.2 * last);
      [y, last] = [step.y, residual];
    }
  });
});

describe("the initial inner point as hyperparameter", () => {
  /** Lower parameters θ = x + δ, with δ started at 0: x is where the inner solver starts. */
  const shifted = {
    upper: (x: Tensor, offset: Tensor) => quadratic.upper(vector(0, 0), x.add(offset)),
    lower: (x: Tensor, offset: Tensor) => quadratic.lower(at.x, x.add(offset)),
  };
  const start = { x: vector(0.5, -0.5), y: vector(0, 0) };

  it("has an implicit gradient of zero: a solved lower level has forgotten it", async () => {
    const step = await bilevelStep(shifted, start, { method: "implicit-cg", ...solver });
    expectNear(await numbers(step.hypergradient), [0, 0], 1e-8);
    const never = {
      upper: (_: Tensor, y: Tensor) => quadratic.upper(at.x, y),
      lower: (_: Tensor, y: Tensor) => quadratic.lower(at.x, y),
    };
    const unused = await bilevelStep(never, start, { method: "implicit-cg", ...solver });
    expectNear(await numbers(unused.hypergradient), [0, 0], 0);
  });

  it("has the unrolled gradient (I − ηA)ᴷ∇f", async () => {
    const options = { method: "unrolled", lowerSteps: 1, lowerLearningRate } as const;
    const step = await bilevelStep(shifted, start, options);
    const theta = start.x.add(step.y);
    const [b0, b1] = (await numbers(theta.sub(vector(1, -1)))) as [number, number];
    const expected = [0.4 * b0 - 0.15 * b1, -0.15 * b0 + 0.7 * b1];
    expectNear(await numbers(step.hypergradient), expected, 1e-12);
  });
});

describe("options", () => {
  it("out of range are named", async () => {
    const cases: [Promise<unknown>, string][] = [
      [
        bilevelStep(quadratic, at, { method: "implicit-cg", ...solver, maxIterations: 0 }),
        "bilevelStep: maxIterations must be an integer ≥ 1, got 0",
      ],
      [
        bilevelStep(quadratic, at, { method: "implicit-cg", ...solver, tolerance: -1 }),
        "bilevelStep: tolerance must be a number ≥ 0, got -1",
      ],
      [
        bilevelStep(quadratic, at, { method: "implicit-cg", ...solver, damping: Number.NaN }),
        "bilevelStep: damping must be a number ≥ 0, got NaN",
      ],
      [
        bilevelStep(quadratic, at, { method: "implicit-cg", ...solver, terms: 3 } as never),
        'bilevelStep: method "implicit-cg": has no option `terms`; it has method, maxIterations, tolerance, damping, lowerSteps, lowerLearningRate, lowerOptimizer, lowerState',
      ],
      [
        bilevelStep(quadratic, at, { method: "implicit-cg", lowerSteps: 1 }),
        "bilevelStep: needs one of `lowerLearningRate` and `lowerOptimizer`",
      ],
      [
        bilevelStep(quadratic, at, { method: "implicit-neumann", ...solver, terms: 2.5 }),
        "bilevelStep: terms must be an integer ≥ 1, got 2.5",
      ],
      [
        bilevelStep(quadratic, at, {
          method: "implicit-neumann",
          lowerSteps: 1,
          lowerOptimizer: adamw({ learningRate: 0.1 }),
        }),
        'bilevelStep: method "implicit-neumann" needs `neumannLearningRate` where there is no `lowerLearningRate`',
      ],
      [
        bilevelStep(quadratic, at, { method: "value-function", ...solver, penalty: 0 }),
        "bilevelStep: penalty must be a number > 0, got 0",
      ],
      [
        bilevelStep(quadratic, at, { method: "value-function", penalty: 1, lowerSteps: 0 }),
        "bilevelStep: penaltySteps must be an integer ≥ 1, got 0",
      ],
      [
        bilevelStep(quadratic, at, {
          method: "value-function",
          penalty: 1,
          lowerSteps: 0,
          penaltySteps: 5,
        }),
        "bilevelStep: needs one of `lowerLearningRate` and `lowerOptimizer`",
      ],
    ];
    for (const [rejected, message] of cases) await expect(rejected).rejects.toThrow(message);
  });

  it("have the type of their method", () => {
    const lower = { lowerSteps: 1, lowerOptimizer: adamw({ learningRate: 0.1 }) };
    const cg = () => bilevelStep(quadratic, at, { method: "implicit-cg", ...lower });
    const neumann = () => bilevelStep(quadratic, at, { method: "implicit-neumann", ...lower });
    const values = () =>
      bilevelStep(quadratic, at, { method: "value-function", penalty: 1, ...lower });
    expectTypeOf(cg).returns.resolves.toEqualTypeOf<
      ImplicitStep<Tensor, Tensor, AdamWState, ConjugateGradientsOutcome>
    >();
    expectTypeOf(neumann).returns.resolves.toEqualTypeOf<
      ImplicitStep<Tensor, Tensor, AdamWState, NeumannOutcome>
    >();
    expectTypeOf(values).returns.resolves.toEqualTypeOf<
      ValueFunctionStep<Tensor, Tensor, AdamWState>
    >();
    // @ts-expect-error: value-function has no default penalty
    const missing = () => bilevelStep(quadratic, at, { method: "value-function", ...lower });
    expect(missing).toBeTypeOf("function");
  });
});
