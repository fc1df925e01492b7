/**
 * Implicit hypergradients by conjugate gradients.
 * @module
 */

import { treeDot } from "../autograd/transforms.js";
import { checkCount, checkNumber } from "../checks.js";
import { stack } from "../ops/index.js";
import { zerosLike } from "../tensor/create.js";
import { realize } from "../tensor/evaluate.js";
import { treeLeaves, treeMap } from "../tensor/tree.js";
import { checkFinite, checkKnown } from "./checks.js";
import { implicitStep, type LinearSolution } from "./implicit.js";
import { LOWER_SOLVER, type LowerSolverOptions } from "./lowerSolver.js";
import { addScaled, independent } from "./trees.js";
import type {
  ConjugateGradientsOutcome,
  ImplicitStep,
  NestedProblem,
  NestedVariables,
} from "./types.js";

/** Options of method `"implicit-cg"`: the implicit function theorem, solved by conjugate gradients. */
export interface ConjugateGradientsOptions<State = unknown> extends LowerSolverOptions<State> {
  readonly method: "implicit-cg";
  /** Iterations at most, ≥ 1; default 50. As many as y has elements solve any system, up to rounding. */
  readonly maxIterations?: number;
  /** Stop at a residual of this, ≥ 0, relative to ‖∇_y f‖; default 1e-6. */
  readonly tolerance?: number;
  /** Added to the Hessian's diagonal, ≥ 0; default 0. Biases the hypergradient, makes H definite. */
  readonly damping?: number;
}

/** The hypergradient with `(∇²_yy g + damping·I)v = ∇_y f` solved by conjugate gradients. */
export function conjugateGradientsStep<X, Y, State>(
  problem: NestedProblem<X, Y>,
  at: NestedVariables<X, Y>,
  options: ConjugateGradientsOptions<State>,
): Promise<ImplicitStep<X, Y, State, ConjugateGradientsOutcome>> {
  const { maxIterations = 50, tolerance = 1e-6, damping = 0 } = options;
  checkKnown(options, "maxIterations", "tolerance", "damping", ...LOWER_SOLVER);
  checkCount("bilevelStep", "maxIterations", maxIterations, 1);
  checkNumber("bilevelStep", "tolerance", tolerance, (x) => x >= 0, "≥ 0");
  checkNumber("bilevelStep", "damping", damping, (x) => x >= 0, "≥ 0");
  return implicitStep(problem, at, options, damping, (multiply, b) =>
    conjugateGradients(multiply, b, maxIterations, tolerance),
  );
}

/**
 * Conjugate gradients from v = 0 (Hestenes & Stiefel 1952). With r = b − Hv and direction d:
 *
 * `α = ⟨r,r⟩/⟨d,Hd⟩`, `v ← v + αd`, `r ← r − αHd`, `d ← r + (⟨r,r⟩_new/⟨r,r⟩)d`.
 *
 * An iteration is one evaluation, with one plan for all of them. It stops before a direction whose
 * curvature ⟨d,Hd⟩/⟨d,d⟩ is negative, or zero up to the rounding of the largest seen.
 */
async function conjugateGradients<Y>(
  multiply: (v: Y) => Y,
  b: Y,
  maxIterations: number,
  tolerance: number,
): Promise<LinearSolution<Y, ConjugateGradientsOutcome>> {
  const rounding = treeLeaves(b).every(({ dtype }) => dtype === "float64") ? 2 ** -52 : 2 ** -23;
  let state = {
    solution: treeMap(zerosLike, b),
    missing: independent(b),
    direction: independent(b),
    squaredNorm: treeDot(b, b),
  };
  await realize(state);
  await checkFinite("the squared norm of the upper loss's gradient in y", state.squaredNorm);
  let squaredNorm = await state.squaredNorm.item();
  const goal = tolerance ** 2 * squaredNorm;
  let steepest = 0;
  let iterations = 0;
  while (squaredNorm > goal) {
    const { solution, missing, direction } = state;
    if (iterations === maxIterations) return { solution, iterations, outcome: "maxIterations" };
    const product = multiply(direction);
    const curvature = treeDot(direction, product);
    const step = state.squaredNorm.div(curvature);
    const nextMissing = addScaled(missing, step.neg(), product);
    const nextSquaredNorm = treeDot(nextMissing, nextMissing);
    const next = {
      solution: addScaled(solution, step, direction),
      missing: nextMissing,
      direction: addScaled(nextMissing, nextSquaredNorm.div(state.squaredNorm), direction),
      squaredNorm: nextSquaredNorm,
    };
    const report = stack([curvature, treeDot(direction, direction), nextSquaredNorm]);
    await realize(next, report);
    const [bend, length, size] = Array.from(await report.data()) as [number, number, number];
    if (!Number.isFinite(bend)) {
      const where = `conjugate gradient iteration ${iterations + 1}`;
      throw new Error(`bilevelStep: the lower level's curvature at ${where} is ${bend}`);
    }
    if (bend <= rounding * steepest * length) {
      return { solution, iterations, outcome: "indefinite" };
    }
    steepest = Math.max(steepest, bend / length);
    state = next;
    squaredNorm = size;
    iterations++;
  }
  return { solution: state.solution, iterations, outcome: "converged" };
}
