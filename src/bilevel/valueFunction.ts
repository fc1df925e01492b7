/**
 * Hypergradients of first order, from the lower level's value at two points.
 * @module
 */

import { treeDot, valueAndGrad } from "../autograd/transforms.js";
import { checkCount, checkNumber } from "../checks.js";
import { realize } from "../tensor/evaluate.js";
import { checkFinite, checkKnown, finiteness, scalar } from "./checks.js";
import {
  atLowerStep,
  descend,
  LOWER_SOLVER,
  type LowerSolverOptions,
  lowerOptimizerOf,
} from "./lowerSolver.js";
import { gradientTree, independent } from "./trees.js";
import type { NestedProblem, NestedVariables, ValueFunctionStep } from "./types.js";

/** Options of method `"value-function"`: gradients of first order at two solutions. */
export interface ValueFunctionOptions<State = unknown> extends LowerSolverOptions<State> {
  readonly method: "value-function";
  /** λ > 0. The hypergradient's error falls as 1/λ; its rounding error grows as λ. */
  readonly penalty: number;
  /** Steps on `g + f/λ`, ≥ 1, from the y that `lowerSteps` reached; default `lowerSteps`. */
  readonly penaltySteps?: number;
}

/**
 * `∂_x f(x, y_λ) + λ(∂_x g(x, y_λ) − ∂_x g(x, y*))` with y* the minimiser of g and y_λ that of
 * `f + λg` (Kwon et al. 2023, arXiv 2301.10945): the gradient of `min_y f + λ(g − min g)`. What is
 * descended for y_λ is `g + f/λ`, so that a learning rate that suits g does for both.
 */
export async function valueFunctionStep<X, Y, State>(
  { upper, lower }: NestedProblem<X, Y>,
  { x, y: start }: NestedVariables<X, Y>,
  options: ValueFunctionOptions<State>,
): Promise<ValueFunctionStep<X, Y, State>> {
  const { lowerSteps, penalty, penaltySteps = lowerSteps } = options;
  checkKnown(options, "penalty", "penaltySteps", ...LOWER_SOLVER);
  const optimizer = lowerOptimizerOf(options, penaltySteps);
  checkNumber("bilevelStep", "penalty", penalty, (x) => x > 0, "> 0");
  checkCount("bilevelStep", "penaltySteps", penaltySteps, 1);
  const upperAt = (at: X, y: Y) => scalar("upper", upper(at, y));
  const lowerAt = (at: X, y: Y) => scalar("lower", lower(at, y));
  const penalized = (y: Y) => lowerAt(x, y).add(upperAt(x, y).div(penalty));

  const [y, lowerState] = await descend(
    (y: Y) => lowerAt(x, y),
    optimizer,
    [start, options.lowerState ?? optimizer.init(start)],
    lowerSteps,
    atLowerStep(lowerSteps),
  );
  const [shifted] = await descend(
    penalized,
    optimizer,
    [y, optimizer.init(y)],
    penaltySteps,
    (step) => `the penalized lower loss at penalty step ${step + 1} of ${penaltySteps}`,
  );

  const at = independent(x);
  const gap = lowerAt(at, shifted).sub(lowerAt(at, y));
  const hypergradient = gradientTree(upperAt(at, shifted).add(gap.mul(penalty)), at);
  const [lowerLoss, slope] = valueAndGrad((at: Y) => lowerAt(x, at))(y);
  const [penalizedLoss, penalizedSlope] = valueAndGrad(penalized)(shifted);
  const result = {
    hypergradient,
    y,
    upperLoss: upperAt(x, y),
    lowerLoss,
    residual: treeDot(slope, slope).sqrt(),
    penalizedResidual: treeDot(penalizedSlope, penalizedSlope).sqrt(),
    lowerState,
  };
  const { counts, check } = finiteness({ "the new y": y, "the hypergradient": hypergradient });
  await realize(result, penalizedLoss, counts);
  await checkFinite(`the lower loss after ${lowerSteps} lower steps`, lowerLoss);
  const after = `the penalized lower loss after ${penaltySteps} penalty steps`;
  await checkFinite(after, penalizedLoss);
  await checkFinite("the upper loss", result.upperLoss);
  await check();
  return { ...result, iterations: lowerSteps + penaltySteps };
}
