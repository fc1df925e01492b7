/**
 * One step of bilevel optimization, by any method.
 * @module
 */

import { describeValue, isPlainObject } from "../checks.js";
import { realize } from "../tensor/evaluate.js";
import { type AlternatingOptions, alternatingStep } from "./alternating.js";
import { type BarrierOptions, barrierStep } from "./barrier.js";
import { checkFinite, finiteness } from "./checks.js";
import { type ConjugateGradientsOptions, conjugateGradientsStep } from "./conjugateGradients.js";
import { type LookaheadOptions, lookaheadStep } from "./lookahead.js";
import { type NeumannOptions, neumannStep } from "./neumann.js";
import { type PenaltyOptions, penaltyStep } from "./penalty.js";
import type {
  ConjugateGradientsOutcome,
  ImplicitStep,
  NestedProblem,
  NestedStep,
  NestedVariables,
  NeumannOutcome,
  SharedProblem,
  SharedStep,
  SharedVariables,
  ValueFunctionStep,
  WeightedStep,
} from "./types.js";
import {
  type DirectOptions,
  type TruncatedOptions,
  type UnrolledOptions,
  unrolledStep,
} from "./unrolled.js";
import { type ValueFunctionOptions, valueFunctionStep } from "./valueFunction.js";

/** Methods for nested problems. */
export type NestedOptions<State = unknown> =
  | UnrolledOptions<State>
  | TruncatedOptions<State>
  | ConjugateGradientsOptions<State>
  | NeumannOptions<State>
  | ValueFunctionOptions<State>
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
  "implicit-cg": conjugateGradientsStep,
  "implicit-neumann": neumannStep,
  "value-function": valueFunctionStep,
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
 * One step on a nested problem by the implicit function theorem, `dF/dx = ∂_x f − ∂²_xy g·v` with
 * `(∇²_yy g + damping·I)v = ∇_y f` solved by conjugate gradients from Hessian-vector products.
 *
 * y is to solve the lower level: `lowerSteps` steps are taken first, and `lowerResidual` says how far
 * that got. On a Hessian that is not positive definite conjugate gradients stop, and `outcome` is
 * `"indefinite"`.
 *
 * @throws naming the lower step at which a loss was NaN or infinite, the iteration at which a curvature
 * was, or the tensor of the hypergradient that is; for options out of range.
 */
export function bilevelStep<X, Y, State = unknown>(
  problem: NestedProblem<X, Y>,
  at: NestedVariables<X, Y>,
  options: ConjugateGradientsOptions<State>,
): Promise<ImplicitStep<X, Y, State, ConjugateGradientsOutcome>>;
/**
 * One step on a nested problem by the implicit function theorem, `dF/dx = ∂_x f − ∂²_xy g·v` with
 * `v = η Σ_{t<terms} (I − η∇²_yy g)ᵗ ∇_y f` (Lorraine et al. 2020, arXiv 1911.02590).
 *
 * y is to solve the lower level: `lowerSteps` steps are taken first, and `lowerResidual` says how far
 * that got. Where the series diverges, `outcome` is `"diverging"`.
 *
 * @throws naming the lower step at which a loss was NaN or infinite, the term at which the series was,
 * or the tensor of the hypergradient that is; for options out of range.
 */
export function bilevelStep<X, Y, State = unknown>(
  problem: NestedProblem<X, Y>,
  at: NestedVariables<X, Y>,
  options: NeumannOptions<State>,
): Promise<ImplicitStep<X, Y, State, NeumannOutcome>>;
/**
 * One step on a nested problem by first derivatives alone:
 * `dF/dx ≈ ∂_x f(x, y_λ) + λ(∂_x g(x, y_λ) − ∂_x g(x, y*))`, y* the minimiser of g and y_λ that of
 * `g + f/λ` (Kwon et al. 2023, arXiv 2301.10945). The error falls as 1/λ.
 *
 * @throws naming the lower or penalty step at which a loss was NaN or infinite, or the tensor of the
 * hypergradient that is; for options out of range.
 */
export function bilevelStep<X, Y, State = unknown>(
  problem: NestedProblem<X, Y>,
  at: NestedVariables<X, Y>,
  options: ValueFunctionOptions<State>,
): Promise<ValueFunctionStep<X, Y, State>>;
/**
 * One step on a nested problem: the hypergradient dF/dx of `F(x) = f(x, y*(x))`, y* the minimiser of
 * `g(x, ·)`, and the new lower iterate. No Hessian is formed.
 *
 * | method | hypergradient |
 * |---|---|
 * | `"unrolled"` | through all `lowerSteps` steps of the lower optimizer |
 * | `"truncated"` | through its last `backwardSteps` steps |
 * | `"implicit-cg"` | ∂_x f − ∂²_xy g·v, (∇²_yy g + damping·I)v = ∇_y f by conjugate gradients |
 * | `"implicit-neumann"` | the same, v = η Σ_t (I − η∇²_yy g)ᵗ ∇_y f |
 * | `"value-function"` | ∂_x f(x, y_λ) + λ(∂_x g(x, y_λ) − ∂_x g(x, y*)), first order |
 * | `"direct"` | ∂f/∂x only: the lower level's dependence on x left out, for comparison |
 *
 * The implicit methods assume that y solves the lower level; see their `outcome` and residuals. With
 * `lowerSteps: 0` they take y as it is. The result is evaluated: no graph outlives the step.
 *
 * A step changes none of its arguments: where it throws, x, y and the optimizer's state are as before.
 *
 * @throws naming the lower step at which a loss was NaN or infinite, or the tensor of the hypergradient
 * or of the new y that is; for options out of range; for an unknown method, listing those there are.
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
 * @throws if a loss, or a tensor of the direction, which is then named, is NaN or infinite; for options
 * out of range or that do not go together; for an unknown method, listing those there are.
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
  if (!isPlainObject(options)) {
    throw new TypeError(
      `bilevelStep: takes (problem, variables, { method, … }), got ${describeValue(options)} for the options`,
    );
  }
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
    const { counts, check } = finiteness({ "the direction": step.direction });
    await realize(step, counts);
    await checkFinite("the lower loss", step.lowerLoss);
    await checkFinite("the upper loss", step.upperLoss);
    await check();
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
