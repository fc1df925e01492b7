/**
 * One step of bilevel optimization, by any method.
 * @module
 */

import { realize } from "../tensor/evaluate.js";
import { type AlternatingOptions, alternatingStep } from "./alternating.js";
import { type BarrierOptions, barrierStep } from "./barrier.js";
import { type LookaheadOptions, lookaheadStep } from "./lookahead.js";
import { type PenaltyOptions, penaltyStep } from "./penalty.js";
import { checkFinite } from "./pieces.js";
import type {
  NestedProblem,
  NestedStep,
  NestedVariables,
  SharedProblem,
  SharedStep,
  SharedVariables,
  WeightedStep,
} from "./types.js";
import {
  type DirectOptions,
  type TruncatedOptions,
  type UnrolledOptions,
  unrolledStep,
} from "./unrolled.js";

/** Methods for nested problems. */
export type NestedOptions<State = unknown> =
  | UnrolledOptions<State>
  | TruncatedOptions<State>
  | DirectOptions<State>;

/** Methods for shared problems. */
export type SharedOptions = PenaltyOptions | BarrierOptions | LookaheadOptions | AlternatingOptions;

type SharedMethod<Options> = <P>(
  problem: SharedProblem<P>,
  params: P,
  options: Options,
) => SharedStep<P>;

type NestedMethod<Method> = <X, Y, State>(
  problem: NestedProblem<X, Y>,
  at: NestedVariables<X, Y>,
  options: Extract<NestedOptions<State>, { method: Method }>,
) => Promise<NestedStep<X, Y, State>>;

const NESTED: { [Method in NestedOptions["method"]]: NestedMethod<Method> } = {
  unrolled: unrolledStep,
  truncated: unrolledStep,
  direct: unrolledStep,
};

const SHARED: {
  [Method in SharedOptions["method"]]: SharedMethod<Extract<SharedOptions, { method: Method }>>;
} = {
  penalty: penaltyStep,
  barrier: barrierStep,
  lookahead: lookaheadStep,
  alternating: alternatingStep,
};

/**
 * One step on a nested problem: the hypergradient dF/dx of `F(x) = f(x, y*(x))`, y* the minimiser of
 * `g(x, ·)`, and the new lower iterate. No Hessian is formed.
 *
 * | method | hypergradient |
 * |---|---|
 * | `"unrolled"` | through all `lowerSteps` steps of the lower optimizer |
 * | `"truncated"` | through its last `backwardSteps` steps |
 * | `"direct"` | ∂f/∂x only: the lower level's dependence on x left out, for comparison |
 *
 * The result is evaluated: no graph outlives the step.
 *
 * @throws naming the lower step at which a loss was NaN or infinite; for options out of range; for an
 * unknown method, listing those there are.
 * @example
 * const step = await bilevelStep(
 *   { upper: (x, y) => validationLoss(y), lower: (x, y) => trainingLoss(y, x) },
 *   { x, y },
 *   { method: "unrolled", lowerSteps: 10, lowerLearningRate: 0.3 },
 * );
 * [x, state] = optimizer.update(step.hypergradient, state, x);
 * y = step.y;
 */
export function bilevelStep<X, Y, State = unknown>(
  problem: NestedProblem<X, Y>,
  at: NestedVariables<X, Y>,
  options: NestedOptions<State>,
): Promise<NestedStep<X, Y, State>>;
/**
 * One step on a problem whose levels share their parameters θ: the direction to descend, for any
 * optimizer.
 *
 * | method | direction |
 * |---|---|
 * | `"penalty"` | ∇f + γ∇g, or with `hinge` ∇f + γ∇max(0, g − v* − ε) |
 * | `"barrier"` | ∇f + λ∇g, λ = max(φ − ⟨∇f, ∇g⟩, 0)/‖∇g‖² (BOME, arXiv 2209.08709) |
 * | `"lookahead"` | ∇_θ f(θ − α∇g(θ)), exact to second order |
 * | `"alternating"` | a lower step, then an upper step |
 *
 * Where a method takes both gradients at θ, both functions get the same tree: what they share (a
 * forward pass) can be memoised on it. The result is evaluated: no graph outlives the step.
 *
 * @throws if a loss is NaN or infinite; for options out of range; for an unknown method, listing those
 * there are.
 * @example
 * const { direction } = await bilevelStep(
 *   { upper: preferenceLoss, lower: supervisedLoss },
 *   { params },
 *   { method: "barrier", eta: 0.1 },
 * );
 * [params, state] = optimizer.update(direction, state, params);
 */
export function bilevelStep<P>(
  problem: SharedProblem<P>,
  at: SharedVariables<P>,
  options: PenaltyOptions | BarrierOptions | AlternatingOptions,
): Promise<WeightedStep<P>>;
export function bilevelStep<P>(
  problem: SharedProblem<P>,
  at: SharedVariables<P>,
  options: SharedOptions,
): Promise<SharedStep<P>>;
export async function bilevelStep(
  problem: NestedProblem<unknown, unknown> | SharedProblem<unknown>,
  at: NestedVariables<unknown, unknown> | SharedVariables<unknown>,
  options: NestedOptions | SharedOptions,
): Promise<NestedStep<unknown, unknown> | SharedStep<unknown>> {
  const { method } = options;
  if (Object.hasOwn(NESTED, method)) {
    checkVariables(method, at, "x", "y");
    const run = NESTED[method as NestedOptions["method"]] as NestedMethod<unknown>;
    return run(problem as NestedProblem<unknown, unknown>, at as never, options as never);
  }
  if (Object.hasOwn(SHARED, method)) {
    checkVariables(method, at, "params");
    const run = SHARED[method as SharedOptions["method"]] as SharedMethod<never>;
    const { params } = at as SharedVariables<unknown>;
    const step = run(problem as SharedProblem<unknown>, params, options as never);
    await realize(step);
    await checkFinite("the lower loss", step.lowerLoss);
    await checkFinite("the upper loss", step.upperLoss);
    return step;
  }
  const list = (table: object): string =>
    Object.keys(table)
      .map((name) => `"${name}"`)
      .join(", ");
  throw new RangeError(
    `bilevelStep: no method "${method}"; for { x, y } there are ${list(NESTED)}, ` +
      `for { params } ${list(SHARED)}`,
  );
}

function checkVariables(method: string, at: object, ...names: string[]): void {
  const found = Object.keys(at ?? {});
  if (found.length !== names.length || !names.every((name) => found.includes(name))) {
    throw new TypeError(
      `bilevelStep: method "${method}" takes { ${names.join(", ")} }, got { ${found.join(", ")} }`,
    );
  }
}
