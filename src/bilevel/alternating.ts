/**
 * Alternation: a lower step, then an upper step.
 * @module
 */

import { checkNumber } from "../checks.js";
import { full } from "../tensor/create.js";
import { treeMap } from "../tensor/tree.js";
import { checkKnown, scalar } from "./checks.js";
import { gradientTree, independent } from "./trees.js";
import type { SharedProblem, WeightedStep } from "./types.js";

/** Options of method `"alternating"`. */
export interface AlternatingOptions {
  readonly method: "alternating";
  /** α_g > 0, learning rate of the lower step. */
  readonly lowerLearningRate: number;
  /** α_f > 0, learning rate of the upper step. */
  readonly upperLearningRate: number;
}

/**
 * The steps `θ' = θ − α_g∇g(θ)`, `θ'' = θ' − α_f∇f(θ')` as one direction to descend with learning rate
 * α_f: `∇f(θ') + (α_g/α_f)∇g(θ)`. The multiplier is α_g/α_f, the upper loss is f(θ').
 */
export function alternatingStep<P>(
  problem: SharedProblem<P>,
  params: P,
  options: AlternatingOptions,
): WeightedStep<P> {
  const { lowerLearningRate, upperLearningRate } = options;
  checkKnown(options, "lowerLearningRate", "upperLearningRate");
  for (const option of ["lowerLearningRate", "upperLearningRate"] as const) {
    checkNumber("bilevelStep", option, options[option], (x) => x > 0, "> 0");
  }
  const start = independent(params);
  const lowerLoss = scalar("lower", problem.lower(start));
  const lowerGradient = gradientTree(lowerLoss, start);
  const middle = treeMap((p, g) => p.sub(g!.mul(lowerLearningRate)), params, lowerGradient);
  const upperLoss = scalar("upper", problem.upper(middle));
  const ratio = lowerLearningRate / upperLearningRate;
  const multiplier = full([], ratio, { dtype: lowerLoss.dtype });
  const direction = treeMap(
    (f, g) => f.add(g!.mul(multiplier)),
    gradientTree(upperLoss, middle),
    lowerGradient,
  );
  return { direction, multiplier, upperLoss, lowerLoss };
}
