/**
 * Implicit hypergradients by a Neumann series.
 * @module
 */

import { treeDot } from "../autograd/transforms.js";
import { checkOption } from "../optim/optimizer.js";
import { realize } from "../tensor/evaluate.js";
import { treeMap } from "../tensor/tree.js";
import { implicitStep, type LinearSolution } from "./implicit.js";
import { checkCount, LOWER_SOLVER, type LowerSolverOptions } from "./lowerSolver.js";
import { addScaled, checkKnown, independent } from "./pieces.js";
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
  checkCount("terms", terms, 1);
  if (rate === undefined) {
    throw new TypeError(
      'bilevelStep: method "implicit-neumann" needs `neumannLearningRate` where there is no `lowerLearningRate`',
    );
  }
  checkOption("bilevelStep", "neumannLearningRate", rate, rate > 0, "> 0");
  const step = await implicitStep(problem, at, options, 0, (multiply, b) =>
    neumannSeries(multiply, b, terms, rate),
  );
  // What is missing of b is (I − ηH)ᵀb, T terms in: shorter than b wherever the series converges.
  const outcome = (await step.residual.item()) < 1 ? "summed" : "diverging";
  return { ...step, outcome };
}

/** With p₀ = b: `p ← p − ηHp`, `v ← v + ηp`. An iteration is one evaluation, with one plan for all. */
async function neumannSeries<Y>(
  multiply: (v: Y) => Y,
  b: Y,
  terms: number,
  rate: number,
): Promise<LinearSolution<Y, null>> {
  let power = independent(b);
  let solution = treeMap((p) => p.mul(rate), b);
  await realize(power, solution);
  for (let term = 1; term < terms; term++) {
    power = addScaled(power, -rate, multiply(power));
    solution = addScaled(solution, rate, power);
    const size = treeDot(power, power);
    await realize(power, solution, size);
    const value = await size.item();
    if (!Number.isFinite(value)) {
      throw new Error(
        `bilevelStep: the Neumann series at term ${term + 1} of ${terms} has squared norm ${value}; ` +
          `a smaller neumannLearningRate than ${rate} may converge`,
      );
    }
  }
  return { solution, iterations: terms, outcome: null };
}
