/**
 * Hypergradients by the implicit function theorem, around any solver of the linear system in it.
 * @module
 */

import { hessianVectorProduct, treeDot, valueAndGrad } from "../autograd/transforms.js";
import { where } from "../ops/index.js";
import { realize } from "../tensor/evaluate.js";
import { treeMap } from "../tensor/tree.js";
import { checkFinite, finiteness, scalar } from "./checks.js";
import { atLowerStep, descend, type LowerSolverOptions, lowerOptimizerOf } from "./lowerSolver.js";
import { addScaled, gradientTree, independent } from "./trees.js";
import type { ImplicitStep, NestedProblem, NestedVariables } from "./types.js";

/** What a solver of `Hv = b` gives. The solution is evaluated. */
export interface LinearSolution<Y, Outcome> {
  readonly solution: Y;
  readonly iterations: number;
  readonly outcome: Outcome;
}

/** Solves `Hv = b`, b evaluated, from products `multiply(v) = Hv`, which are graph. */
export type LinearSolver<Y, Outcome> = (
  multiply: (v: Y) => Y,
  b: Y,
) => Promise<LinearSolution<Y, Outcome>>;

/**
 * Solves the lower level, then at its y
 *
 * `dF/dx = ∂_x f − ∂_x⟨∇_y g(x, y), v⟩` with `Hv = ∇_y f`, `H = ∇²_yy g + damping·I`.
 *
 * Products with H and the mixed derivatives are gradients of `⟨∇_y g, v⟩`; no Hessian is formed.
 */
export async function implicitStep<X, Y, State, Outcome>(
  { upper, lower }: NestedProblem<X, Y>,
  { x, y: start }: NestedVariables<X, Y>,
  options: LowerSolverOptions<State>,
  damping: number,
  solve: LinearSolver<Y, Outcome>,
): Promise<ImplicitStep<X, Y, State, Outcome>> {
  const { lowerSteps } = options;
  const optimizer = lowerOptimizerOf(options);
  const lowerAt = (y: Y) => scalar("lower", lower(x, y));
  const from = [start, options.lowerState ?? optimizer.init(start)] as const;
  const steps = atLowerStep(lowerSteps);
  const [y, lowerState] = await descend(lowerAt, optimizer, from, lowerSteps, steps);

  const lowerLoss = lowerAt(y);
  const [upperLoss, b] = valueAndGrad((at: Y) => scalar("upper", upper(x, at)))(y);
  await realize(y, b, upperLoss, lowerLoss);
  await checkFinite(`the lower loss after ${lowerSteps} lower steps`, lowerLoss);
  await checkFinite("the upper loss", upperLoss);

  const damped = (product: Y, v: Y): Y =>
    damping === 0 ? product : addScaled(product, damping, v);
  const multiply = (v: Y): Y => damped(hessianVectorProduct(lowerAt)(y, v), v);
  const { solution, iterations, outcome } = await solve(multiply, b);

  const at = { x: independent(x), y: independent(y) };
  const slope = gradientTree(scalar("lower", lower(at.x, at.y)), at.y);
  const { x: mixed, y: product } = gradientTree(treeDot(slope, solution), at);
  const direct = gradientTree(scalar("upper", upper(at.x, y)), at.x);
  const hypergradient = treeMap((f, g) => f.sub(g!), direct, mixed);
  const missing = treeMap((e, h) => e.sub(h!), b, damped(product, solution));
  const size = treeDot(b, b);
  const residual = where(size.greater(0), treeDot(missing, missing).div(size).sqrt(), 0);
  const lowerResidual = treeDot(slope, slope).sqrt();
  const result = { hypergradient, y, upperLoss, lowerLoss, residual, lowerResidual, lowerState };
  const { counts, check } = finiteness({ "the new y": y, "the hypergradient": hypergradient });
  await realize(result, counts);
  await checkFinite("the residual of the implicit linear system", residual);
  await check();
  return { ...result, iterations, outcome };
}
