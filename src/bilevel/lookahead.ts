/**
 * Look-ahead: the upper level judged after a step of the lower level.
 * @module
 */

import { checkNumber } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { treeMap } from "../tensor/tree.js";
import { checkKnown, scalar } from "./checks.js";
import { gradientTree, independent } from "./trees.js";
import type { SharedProblem, SharedStep } from "./types.js";

/** Options of method `"lookahead"`. */
export interface LookaheadOptions {
  readonly method: "lookahead";
  /** α > 0, step size of the lower step looked ahead. */
  readonly alpha: number;
  /**
   * Drop the second-order term. Cheaper and unsafe: the direction no longer knows that the lower step
   * depends on the parameters, and for SPO it collapses like the plain preference loss. Default false.
   */
  readonly firstOrder?: boolean;
}

/**
 * `∇_θ f(θ − α∇g(θ))`, exact: the upper gradient at the point ahead times `I − α∇²g(θ)`, as a gradient
 * of a gradient. The upper loss is f at the point ahead.
 */
export function lookaheadStep<P>(
  problem: SharedProblem<P>,
  params: P,
  options: LookaheadOptions,
): SharedStep<P> {
  const { alpha, firstOrder = false } = options;
  checkKnown(options, "alpha", "firstOrder");
  checkNumber("bilevelStep", "alpha", alpha, (x) => x > 0, "> 0");
  const at = independent(params);
  const lowerLoss = scalar("lower", problem.lower(at));
  const ahead = treeMap(
    (p, slope) => p.sub((firstOrder ? stopGradient(slope!) : slope!).mul(alpha)),
    at,
    gradientTree(lowerLoss, at),
  );
  const upperLoss = scalar("upper", problem.upper(ahead));
  return { direction: gradientTree(upperLoss, at), upperLoss, lowerLoss };
}
