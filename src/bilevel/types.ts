/**
 * The two forms of bilevel problems, and what a step on each gives. Parameters and hyperparameters
 * are trees: plain nested objects and arrays of tensors.
 * @module
 */

import type { Tensor } from "../tensor/tensor.js";

/** Lower `g(x, y)` is minimised over y; upper `f(x, y*(x))` over x. Both give scalar tensors. */
export interface NestedProblem<X, Y> {
  /** f. */
  readonly upper: (x: X, y: Y) => Tensor;
  /** g. */
  readonly lower: (x: X, y: Y) => Tensor;
}

/** Hyperparameters and the lower iterate to start from. */
export interface NestedVariables<X, Y> {
  readonly x: X;
  readonly y: Y;
}

/** What a step on a nested problem gives. Tensors are evaluated and hold no graph. */
export interface NestedStep<X, Y, State = unknown> {
  /** dF/dx, of x's structure: what to descend. */
  readonly hypergradient: X;
  /** The new lower iterate, to start the next step from. */
  readonly y: Y;
  /** Scalar: f at x and the new y. */
  readonly upperLoss: Tensor;
  /** Scalar: g at x and the new y. */
  readonly lowerLoss: Tensor;
  /**
   * Scalar: how far the solver is from its solution. `‖∇_y g‖` at the new y; for the implicit methods
   * that of the linear system, see {@link ImplicitStep}.
   */
  readonly residual: Tensor;
  /** Iterations the solver took. */
  readonly iterations: number;
  /** State of the lower optimizer, for the next step's `lowerState`. */
  readonly lowerState: State;
}

/**
 * How conjugate gradients ended: within `tolerance`; after `maxIterations`; or at a direction in which
 * g does not curve upward, where y is no strict minimum and the implicit function theorem does not
 * hold. The hypergradient is then that of the iterations before, with no promise about it; more
 * `lowerSteps`, or a `damping` above the most negative curvature, may help.
 */
export type ConjugateGradientsOutcome = "converged" | "maxIterations" | "indefinite";

/**
 * How a Neumann series ended. `"diverging"`: a term was not shorter than the one before, or two
 * successive terms showed a direction in which g curves downward; more terms lead away from the
 * hypergradient, `neumannLearningRate` is too large or the Hessian not positive definite. `"summed"`:
 * neither was seen among the terms there were, which with few of them is no proof that it converges;
 * `residual` says how much is missing.
 */
export type NeumannOutcome = "summed" | "diverging";

/** What a step by an implicit method gives. */
export interface ImplicitStep<X, Y, State = unknown, Outcome = string>
  extends NestedStep<X, Y, State> {
  /** How the linear solver ended. */
  readonly outcome: Outcome;
  /**
   * Scalar: `‖∇_y f − Hv‖/‖∇_y f‖` for `H = ∇²_yy g + damping·I` and the v the hypergradient was made
   * with; computed anew, not the solver's own account. 0 where ∇_y f = 0.
   */
  readonly residual: Tensor;
  /** Conjugate gradient iterations made, or terms summed. */
  readonly iterations: number;
  /** Scalar: `‖∇_y g‖` at the new y. The implicit function theorem holds where it is 0. */
  readonly lowerResidual: Tensor;
}

/** What a step by method `"value-function"` gives. */
export interface ValueFunctionStep<X, Y, State = unknown> extends NestedStep<X, Y, State> {
  /**
   * Scalar: `‖∇_y(g + f/λ)‖` at y_λ. Like `residual`, `‖∇_y g‖` at y*, it enters the hypergradient's
   * error λ-fold.
   */
  readonly penalizedResidual: Tensor;
  /** Lower and penalty steps together. */
  readonly iterations: number;
}

/** Lower g and upper f are functions of the same parameters. Both give scalar tensors. */
export interface SharedProblem<P> {
  /** f. */
  readonly upper: (params: P) => Tensor;
  /** g. */
  readonly lower: (params: P) => Tensor;
}

/** The parameters both levels share. */
export interface SharedVariables<P> {
  readonly params: P;
}

/** What a step on a shared problem gives. Tensors are evaluated and hold no graph. */
export interface SharedStep<P> {
  /** What to descend, of the parameters' structure: a gradient for any optimizer. */
  readonly direction: P;
  /** Scalar: f, at the parameters unless the method says otherwise. */
  readonly upperLoss: Tensor;
  /** Scalar: g at the parameters. */
  readonly lowerLoss: Tensor;
}

/** A step whose direction adds a multiple of the lower gradient to an upper gradient. */
export interface WeightedStep<P> extends SharedStep<P> {
  /** Scalar: the weight of ∇g in the direction. */
  readonly multiplier: Tensor;
}
