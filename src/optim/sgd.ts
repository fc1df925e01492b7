/**
 * Gradient descent.
 * @module
 */

import { checkFlag, checkNumber, checkOptions } from "../checks.js";
import { add, mul, sub } from "../ops/elementwise.js";
import type { Tree } from "../tensor/tree.js";
import { checkDecay, momentumDirection } from "./directions.js";
import {
  checkOptimizerState,
  checkParameters,
  type Optimizer,
  type OptimizerState,
  scheduled,
  updateTree,
  velocityOf,
  zeroMoments,
} from "./optimizer.js";
import type { Schedule } from "./schedules.js";

/** Options of {@link sgd}. */
export interface SgdOptions {
  /** Step size α ≥ 0. */
  readonly learningRate: number | Schedule;
  /** μ in [0, 1); default 0: no velocity is kept. */
  readonly momentum?: number;
  /** Look ahead along the velocity (Nesterov's method); default false. Needs momentum. */
  readonly nesterov?: boolean;
  /** Weight w of `½w‖p‖²` added to the loss; default 0. */
  readonly weightDecay?: number;
}

/** State of {@link sgd}. */
export interface SgdState extends OptimizerState {
  /** v of each parameter; absent without momentum. */
  readonly velocity?: Tree;
}

/**
 * Gradient descent: `g ← g + w·p`, `v ← μ·v + g`, `p ← p − α·v`, or with Nesterov's look-ahead
 * `p ← p − α·(g + μ·v)`. Without momentum v = g. These are PyTorch's formulas, without dampening.
 *
 * @throws for options out of range.
 */
export function sgd(options: SgdOptions): Optimizer<SgdState> {
  checkOptions("sgd", options, "learningRate", "momentum", "nesterov", "weightDecay");
  const { momentum = 0, nesterov = false, weightDecay = 0 } = options;
  const rateAt = scheduled("sgd", "learningRate", options.learningRate);
  checkDecay("sgd", "momentum", momentum);
  checkNumber("sgd", "weightDecay", weightDecay, (x) => x >= 0, "≥ 0");
  checkFlag("sgd", "nesterov", nesterov);
  if (nesterov && momentum === 0) throw new RangeError("sgd: nesterov needs a momentum > 0");
  return {
    init: (parameters) => {
      checkParameters("sgd", parameters);
      return momentum === 0 ? { step: 0 } : { step: 0, velocity: zeroMoments("sgd", parameters) };
    },
    update: (gradients, state, parameters) => {
      checkOptimizerState("sgd", state, ["step"], ["velocity"]);
      const { step, velocity } = state;
      const rate = rateAt(step);
      const [next, [nextVelocity]] = updateTree(
        "sgd",
        (p, gradient, v) => {
          const g = weightDecay === 0 ? gradient : add(gradient, mul(p, weightDecay));
          if (!v) return [sub(p, mul(g, rate))];
          const [direction, moved] = momentumDirection(g, v, momentum, nesterov);
          return [sub(p, mul(direction, rate)), moved];
        },
        parameters,
        gradients,
        ...velocityOf("sgd", momentum, velocity),
      );
      return [next, nextVelocity ? { step: step + 1, velocity: nextVelocity } : { step: step + 1 }];
    },
  };
}
