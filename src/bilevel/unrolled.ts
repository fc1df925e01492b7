/**
 * Hypergradients through the steps of the lower optimizer: all of them, the last few, or none.
 * @module
 */

import { treeDot, valueAndGrad } from "../autograd/transforms.js";
import { checkNumber } from "../checks.js";
import { realize } from "../tensor/evaluate.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFinite, checkKnown, finiteness, scalar } from "./checks.js";
import {
  atLowerStep,
  descend,
  LOWER_SOLVER,
  type LowerSolverOptions,
  lowerOptimizerOf,
} from "./lowerSolver.js";
import { gradientTree, independent } from "./trees.js";
import type { NestedProblem, NestedStep, NestedVariables } from "./types.js";

/** Options of method `"unrolled"`: through all lower steps. */
export interface UnrolledOptions<State = unknown> extends LowerSolverOptions<State> {
  readonly method: "unrolled";
}

/** Options of method `"truncated"`: through the last lower steps. */
export interface TruncatedOptions<State = unknown> extends LowerSolverOptions<State> {
  readonly method: "truncated";
  /** Steps to differentiate through, 1 … `lowerSteps`. */
  readonly backwardSteps: number;
}

/** Options of method `"direct"`: ∂f/∂x at the lower iterate, for comparison. */
export interface DirectOptions<State = unknown> extends LowerSolverOptions<State> {
  readonly method: "direct";
}

/**
 * `y_{k+1} = update(y_k, ∇_y g(x, y_k))` for K lower steps, then `d/dx f(x, y_K)` through the last of
 * them, the y before counting as a constant. Steps not differentiated are evaluated one by one, so that only
 * those differentiated take memory.
 */
export async function unrolledStep<X, Y, State>(
  { upper, lower }: NestedProblem<X, Y>,
  { x, y: start }: NestedVariables<X, Y>,
  options: UnrolledOptions<State> | TruncatedOptions<State> | DirectOptions<State>,
): Promise<NestedStep<X, Y, State>> {
  const { lowerSteps, lowerState } = options;
  const optimizer = lowerOptimizerOf(options);
  const constantSteps = lowerSteps - differentiatedSteps(options);
  const lossAt = (at: X) => (y: Y) => scalar("lower", lower(at, y));
  const where = atLowerStep(lowerSteps);

  const from = [start, lowerState ?? optimizer.init(start)] as const;
  let [y, state] = await descend(lossAt(x), optimizer, from, constantSteps, where);

  const at = independent(x);
  const losses: Tensor[] = [];
  for (let step = constantSteps; step < lowerSteps; step++) {
    const [loss, gradient] = valueAndGrad(lossAt(at))(y);
    [y, state] = optimizer.update(gradient, state, y);
    losses.push(loss);
  }
  const upperLoss = scalar("upper", upper(at, y));
  const hypergradient = gradientTree(upperLoss, at);
  const [lowerLoss, slope] = valueAndGrad(lossAt(x))(y);
  const residual = treeDot(slope, slope).sqrt();
  const result = { hypergradient, y, upperLoss, lowerLoss, residual, lowerState: state };
  const { counts, check } = finiteness({ "the new y": y, "the hypergradient": hypergradient });
  await realize(result, losses, counts);
  for (const [i, loss] of losses.entries()) await checkFinite(where(constantSteps + i), loss);
  await checkFinite(`the lower loss after ${lowerSteps} lower steps`, lowerLoss);
  await checkFinite("the upper loss", upperLoss);
  await check();
  return { ...result, iterations: lowerSteps };
}

function differentiatedSteps<State>(
  options: UnrolledOptions<State> | TruncatedOptions<State> | DirectOptions<State>,
): number {
  const { lowerSteps } = options;
  if (options.method !== "truncated") {
    checkKnown(options, ...LOWER_SOLVER);
    return options.method === "unrolled" ? lowerSteps : 0;
  }
  checkKnown(options, "backwardSteps", ...LOWER_SOLVER);
  const { backwardSteps } = options;
  const fits = (x: number) => Number.isInteger(x) && x >= 1 && x <= lowerSteps;
  checkNumber("bilevelStep", "backwardSteps", backwardSteps, fits, `in 1 … ${lowerSteps}`);
  return backwardSteps;
}
