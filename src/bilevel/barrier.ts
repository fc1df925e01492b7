/**
 * Dynamic barrier: the upper level's direction, corrected no more than the lower level needs.
 * @module
 */

import { treeDot } from "../autograd/transforms.js";
import { checkNumber } from "../checks.js";
import { relu, where } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { treeMap } from "../tensor/tree.js";
import { checkKnown, scalar, scalarOption } from "./checks.js";
import { gradientTree, independent } from "./trees.js";
import type { SharedProblem, WeightedStep } from "./types.js";

/** Options of method `"barrier"`. */
export interface BarrierOptions {
  readonly method: "barrier";
  /** η > 0, the rate at which the lower level is to make progress; default 0.1. */
  readonly eta?: number;
  /** What that progress is measured by: `"gradient"` φ = η‖∇g‖² (default), `"value"` φ = η(g − v*). */
  readonly control?: "gradient" | "value";
  /** v*, the lower level's value; needed by, and only by, control `"value"`. */
  readonly floor?: number | Tensor;
}

/**
 * `∇f + λ∇g` with `λ = max(φ − ⟨∇f, ∇g⟩, 0)/‖∇g‖²` (BOME, Liu et al. 2022, arXiv 2209.08709): of all
 * directions d with ⟨∇g, d⟩ ≥ φ the one nearest to ∇f. Where ∇g = 0, λ = 0.
 */
export function barrierStep<P>(
  problem: SharedProblem<P>,
  params: P,
  options: BarrierOptions,
): WeightedStep<P> {
  const { eta = 0.1, control = "gradient", floor } = options;
  checkKnown(options, "eta", "control", "floor");
  checkNumber("bilevelStep", "eta", eta, (x) => x > 0, "> 0");
  if (control !== "gradient" && control !== "value") {
    throw new RangeError(`bilevelStep: control must be "gradient" or "value", got "${control}"`);
  }
  if ((control === "value") !== (floor !== undefined)) {
    throw new TypeError('bilevelStep: `floor`, the value v* of g, goes with control "value"');
  }
  const at = independent(params);
  const upperLoss = scalar("upper", problem.upper(at));
  const lowerLoss = scalar("lower", problem.lower(at));
  const upperGradient = gradientTree(upperLoss, at);
  const lowerGradient = gradientTree(lowerLoss, at);
  const bound = scalarOption("floor", floor ?? 0);
  const progress = control === "value" ? lowerLoss.sub(bound).mul(eta) : undefined;
  const found = barrierDirection(upperGradient, lowerGradient, eta, progress);
  return { ...found, upperLoss, lowerLoss };
}

/** The direction and λ of two gradients. φ is `progress`, by default η‖∇g‖². */
export function barrierDirection<P>(
  upperGradient: P,
  lowerGradient: P,
  eta: number,
  progress?: Tensor,
): { readonly direction: P; readonly multiplier: Tensor } {
  const squaredNorm = treeDot(lowerGradient, lowerGradient);
  const wanted = progress ?? squaredNorm.mul(eta);
  const lacking = relu(wanted.sub(treeDot(upperGradient, lowerGradient)));
  const multiplier = where(squaredNorm.greater(0), lacking.div(squaredNorm), 0);
  const direction = treeMap((f, g) => f.add(g!.mul(multiplier)), upperGradient, lowerGradient);
  return { direction, multiplier };
}
