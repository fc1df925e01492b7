/**
 * Solving the lower level: steps of an optimizer, evaluated one by one.
 * @module
 */

import { valueAndGrad } from "../autograd/transforms.js";
import { checkCount } from "../checks.js";
import type { Optimizer } from "../optim/optimizer.js";
import { sgd } from "../optim/sgd.js";
import { realize } from "../tensor/evaluate.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkFinite } from "./checks.js";

/** How the lower level is solved: gradient descent with a learning rate, or any optimizer. */
export interface LowerSolverOptions<State = unknown> {
  /** Steps on the lower level, starting from y. 0 leaves y as it is. */
  readonly lowerSteps: number;
  /** Learning rate of gradient descent; give this or `lowerOptimizer`, or neither for 0 steps. */
  readonly lowerLearningRate?: number;
  /** An optimizer in gradient descent's place. */
  readonly lowerOptimizer?: Optimizer<State>;
  /** The optimizer's state to go on from, the previous step's `lowerState`; default: a fresh one. */
  readonly lowerState?: State;
}

/** The names of {@link LowerSolverOptions}. */
export const LOWER_SOLVER = [
  "lowerSteps",
  "lowerLearningRate",
  "lowerOptimizer",
  "lowerState",
] as const;

/** The optimizer the options ask for; there may be none where it is to take no steps. */
export function lowerOptimizerOf<State>(
  options: LowerSolverOptions<State>,
  steps: number = options.lowerSteps,
): Optimizer<State> {
  const { lowerSteps, lowerLearningRate, lowerOptimizer } = options;
  checkCount("bilevelStep", "lowerSteps", lowerSteps);
  const given = Number(lowerLearningRate !== undefined) + Number(lowerOptimizer !== undefined);
  if (given === 2 || (given === 0 && steps > 0)) {
    throw new TypeError("bilevelStep: needs one of `lowerLearningRate` and `lowerOptimizer`");
  }
  return lowerOptimizer ?? (sgd({ learningRate: lowerLearningRate ?? 0 }) as Optimizer<State>);
}

/**
 * `steps` steps of an optimizer on a loss. Each is evaluated before the next is built, so memory does
 * not grow with their number.
 *
 * @throws naming the step at which the loss was NaN or infinite; `what` says where that was.
 */
export async function descend<P, State>(
  loss: (parameters: P) => Tensor,
  optimizer: Optimizer<State>,
  [start, startState]: readonly [parameters: P, state: State],
  steps: number,
  what: (step: number) => string,
): Promise<[parameters: P, state: State]> {
  const lossAndSlope = valueAndGrad(loss);
  let [parameters, state] = [start, startState];
  for (let step = 0; step < steps; step++) {
    const [value, slope] = lossAndSlope(parameters);
    [parameters, state] = optimizer.update(slope, state, parameters);
    await realize(value, parameters, state);
    await checkFinite(what(step), value);
  }
  return [parameters, state];
}

/** Where in the lower solver a loss was evaluated, for errors. */
export function atLowerStep(steps: number): (step: number) => string {
  return (step) => `the lower loss at lower step ${step + 1} of ${steps}`;
}
