/**
 * Penalty: the lower level's gap to its floor, added to the upper level.
 * @module
 */

import { checkNumber } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { where } from "../ops/index.js";
import { full } from "../tensor/create.js";
import { Tensor } from "../tensor/tensor.js";
import { checkKnown, scalar, scalarOption } from "./checks.js";
import { gradientTree, independent } from "./trees.js";
import type { SharedProblem, WeightedStep } from "./types.js";

/** Options of method `"penalty"`. */
export interface PenaltyOptions {
  readonly method: "penalty";
  /** γ ≥ 0; default 1. */
  readonly gamma?: number | Tensor;
  /** Penalise `max(0, gap)` only: leave the upper level alone inside the safe region. Default false. */
  readonly hinge?: boolean;
  /** v*, the lower level's value to hold on to. Needed with `hinge`, and goes with it only. */
  readonly floor?: number | Tensor;
  /** ε ≥ 0, how far g may exceed v*; default 0. Goes with `hinge` only. */
  readonly epsilon?: number;
}

/**
 * `∇f + γ∇g`, or with `hinge` `∇f + γ∇max(0, g − v* − ε)`. The multiplier is γ, or 0 inside the
 * region.
 */
export function penaltyStep<P>(
  problem: SharedProblem<P>,
  params: P,
  options: PenaltyOptions,
): WeightedStep<P> {
  const { gamma = 1, hinge = false, floor, epsilon = 0 } = options;
  checkKnown(options, "gamma", "hinge", "floor", "epsilon");
  checkNumber("bilevelStep", "epsilon", epsilon, (x) => x >= 0, "≥ 0");
  if (!(gamma instanceof Tensor)) checkNumber("bilevelStep", "gamma", gamma, (x) => x >= 0, "≥ 0");
  for (const option of ["floor", "epsilon"] as const) {
    if (!hinge && options[option] !== undefined) {
      throw new TypeError(
        `bilevelStep: \`${option}\` goes with hinge: true; without, method "penalty" does not depend on it`,
      );
    }
  }
  if (hinge && floor === undefined) {
    throw new TypeError(
      'bilevelStep: method "penalty" with hinge needs `floor`, the value v* of g',
    );
  }
  const at = independent(params);
  const upperLoss = scalar("upper", problem.upper(at));
  const lowerLoss = scalar("lower", problem.lower(at));
  const given = scalarOption("gamma", gamma);
  const weight = given instanceof Tensor ? given : full([], given, { dtype: lowerLoss.dtype });
  const bound = scalarOption("floor", floor ?? 0);
  const multiplier = hinge
    ? where(stopGradient(lowerLoss).sub(bound).greater(epsilon), weight, 0)
    : weight;
  const direction = gradientTree(upperLoss.add(multiplier.mul(lowerLoss)), at);
  return { direction, multiplier, upperLoss, lowerLoss };
}
