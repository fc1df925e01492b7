/**
 * Hypergradients through the steps of the lower optimizer: all of them, the last few, or none.
 * @module
 */

import { treeDot, valueAndGrad } from "../autograd/transforms.js";
import { checkOption, type Optimizer } from "../optim/optimizer.js";
import { sgd } from "../optim/sgd.js";
import { realize } from "../tensor/evaluate.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFinite, checkKnown, gradientTree, independent, scalar } from "./pieces.js";
import type { NestedProblem, NestedStep, NestedVariables } from "./types.js";

/** How the lower level is solved: gradient descent with a learning rate, or any optimizer. */
export interface LowerSolverOptions<State = unknown> {
  /** Steps on the lower level, starting from y. */
  readonly lowerSteps: number;
  /** Learning rate of gradient descent; give this or `lowerOptimizer`. */
  readonly lowerLearningRate?: number;
  /** An optimizer in gradient descent's place. */
  readonly lowerOptimizer?: Optimizer<State>;
  /** The optimizer's state to go on from, the previous step's `lowerState`; default: a fresh one. */
  readonly lowerState?: State;
}

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
  const differentiated = differentiatedSteps(options);
  const lowerAt = (at: X) => valueAndGrad((y: Y) => scalar("lower", lower(at, y)));
  const finite = (loss: Tensor, step: number): Promise<void> =>
    checkFinite(`the lower loss at lower step ${step + 1} of ${lowerSteps}`, loss);

  let y = start;
  let state = lowerState ?? optimizer.init(start);
  for (let step = 0; step < lowerSteps - differentiated; step++) {
    const [loss, gradient] = lowerAt(x)(y);
    [y, state] = optimizer.update(gradient, state, y);
    await realize(loss, y, state);
    await finite(loss, step);
  }

  const at = independent(x);
  const losses: Tensor[] = [];
  for (let step = 0; step < differentiated; step++) {
    const [loss, gradient] = lowerAt(at)(y);
    [y, state] = optimizer.update(gradient, state, y);
    losses.push(loss);
  }
  const upperLoss = scalar("upper", upper(at, y));
  const hypergradient = gradientTree(upperLoss, at);
  const [lowerLoss, slope] = lowerAt(x)(y);
  const residual = treeDot(slope, slope).sqrt();
  const result = { hypergradient, y, upperLoss, lowerLoss, residual, lowerState: state };
  await realize(result, losses);
  for (const [i, loss] of losses.entries()) await finite(loss, lowerSteps - differentiated + i);
  await checkFinite(`the lower loss after ${lowerSteps} lower steps`, lowerLoss);
  await checkFinite("the upper loss", upperLoss);
  return { ...result, iterations: lowerSteps };
}

function lowerOptimizerOf<State>(options: LowerSolverOptions<State>): Optimizer<State> {
  const { lowerSteps, lowerLearningRate, lowerOptimizer } = options;
  const counts = Number.isInteger(lowerSteps) && lowerSteps >= 0;
  checkOption("bilevelStep", "lowerSteps", lowerSteps, counts, "that is an integer ≥ 0");
  if ((lowerLearningRate === undefined) === (lowerOptimizer === undefined)) {
    throw new TypeError("bilevelStep: needs one of `lowerLearningRate` and `lowerOptimizer`");
  }
  return lowerOptimizer ?? (sgd({ learningRate: lowerLearningRate! }) as Optimizer<State>);
}

function differentiatedSteps<State>(
  options: UnrolledOptions<State> | TruncatedOptions<State> | DirectOptions<State>,
): number {
  const { lowerSteps } = options;
  const solver = ["lowerSteps", "lowerLearningRate", "lowerOptimizer", "lowerState"] as const;
  if (options.method !== "truncated") {
    checkKnown(options, ...solver);
    return options.method === "unrolled" ? lowerSteps : 0;
  }
  checkKnown(options, "backwardSteps", ...solver);
  const { backwardSteps } = options;
  const fits = Number.isInteger(backwardSteps) && backwardSteps >= 1 && backwardSteps <= lowerSteps;
  checkOption("bilevelStep", "backwardSteps", backwardSteps, fits, `in 1 … ${lowerSteps}`);
  return backwardSteps;
}
