/**
 * Implicit hypergradients by a Neumann series.
 * @module
 */

import { treeDot } from "../autograd/transforms.js";
import { checkCount, checkNumber } from "../checks.js";
import { stack, where } from "../ops/index.js";
import { realize } from "../tensor/evaluate.js";
import { treeLeaves, treeMap } from "../tensor/tree.js";
import { checkKnown } from "./checks.js";
import { implicitStep, type LinearSolution } from "./implicit.js";
import { LOWER_SOLVER, type LowerSolverOptions } from "./lowerSolver.js";
import { addScaled, independent } from "./trees.js";
import type { ImplicitStep, NestedProblem, NestedVariables, NeumannOutcome } from "./types.js";

/** Options of method `"implicit-neumann"`: the implicit function theorem, solved by a series. */
export interface NeumannOptions<State = unknown> extends LowerSolverOptions<State> {
  readonly method: "implicit-neumann";
  /** Terms of the series, ≥ 1; default 20. */
  readonly terms?: number;
  /**
   * η of the series, > 0 and below 2 over the Hessian's largest eigenvalue; default
   * `lowerLearningRate`.
   */
  readonly neumannLearningRate?: number;
}

/**
 * The hypergradient with `v = η Σ_{t<terms} (I − ηH)ᵗ ∇_y f` in place of `H⁻¹∇_y f`, `H = ∇²_yy g`
 * (Lorraine et al. 2020, arXiv 1911.02590).
 */
export async function neumannStep<X, Y, State>(
  problem: NestedProblem<X, Y>,
  at: NestedVariables<X, Y>,
  options: NeumannOptions<State>,
): Promise<ImplicitStep<X, Y, State, NeumannOutcome>> {
  const { terms = 20, neumannLearningRate: rate = options.lowerLearningRate } = options;
  checkKnown(options, "terms", "neumannLearningRate", ...LOWER_SOLVER);
  checkCount("bilevelStep", "terms", terms, 1);
  if (rate === undefined) {
    throw new TypeError(
      'bilevelStep: method "implicit-neumann" needs `neumannLearningRate` where there is no `lowerLearningRate`',
    );
  }
  checkNumber("bilevelStep", "neumannLearningRate", rate, (x) => x > 0, "> 0");
  const step = await implicitStep(problem, at, options, 0, (multiply, b) =>
    neumannSeries(multiply, b, terms, rate),
  );
  // What is missing of b is (I − ηH)ᵀb, T terms in: shorter than b wherever the series converges.
  const isShorter = (await step.residual.item()) < 1;
  return { ...step, outcome: isShorter ? step.outcome : "diverging" };
}

/**
 * With p₀ = b: `p ← p − ηHp`, `v ← v + ηp`. An iteration is one evaluation, with one plan for all.
 *
 * It diverges where a term is not shorter than the one before: H is symmetric, so that the ratios of
 * successive lengths never fall. Where H curves downward in a direction of which b has little, terms
 * shrink until that little has grown. It shows before in how they turn: q, the part of a term that is
 * perpendicular to the one before, has ⟨q,Hq⟩ < 0.
 */
async function neumannSeries<Y>(
  multiply: (v: Y) => Y,
  b: Y,
  terms: number,
  rate: number,
): Promise<LinearSolution<Y, NeumannOutcome>> {
  const isDouble = treeLeaves(b).every(({ dtype }) => dtype === "float64");
  const rounding = isDouble ? 1e-12 : 1e-4;
  let before = { power: treeMap((p) => p.mul(0), b), product: treeMap((p) => p.mul(0), b) };
  let power = independent(b);
  let solution = treeMap((p) => p.mul(rate), b);
  let outcome: NeumannOutcome = "summed";
  let first: number | undefined;
  await realize(before, power, solution);
  for (let term = 1; term < terms; term++) {
    const product = multiply(power);
    const next = addScaled(power, -rate, product);
    solution = addScaled(solution, rate, next);
    const length = treeDot(before.power, before.power);
    const share = where(length.greater(0), treeDot(power, before.power).div(length), 0).neg();
    const turn = addScaled(power, share, before.power);
    const bend = treeDot(turn, addScaled(product, share, before.product));
    const report = stack([
      treeDot(next, next),
      treeDot(power, power),
      bend,
      treeDot(turn, turn),
      treeDot(product, product),
    ]);
    const now = { power, product };
    await realize(now, next, solution, report);
    const [value, last, curvature, turned, slope] = Array.from(await report.data()) as [
      number,
      number,
      number,
      number,
      number,
    ];
    before = now;
    power = next;
    // ⟨q,Hq⟩ may be off by the rounding of Hp, and a term may be lost in the sum's.
    first ??= last;
    const isBent = curvature < -rounding * Math.sqrt(turned * slope);
    if (last > rounding ** 2 * first && (value >= last || isBent)) outcome = "diverging";
    if (!Number.isFinite(value)) {
      throw new Error(
        `bilevelStep: the Neumann series at term ${term + 1} of ${terms} has squared norm ${value}; ` +
          `a smaller neumannLearningRate than ${rate} may converge`,
      );
    }
  }
  return { solution, iterations: terms, outcome };
}
