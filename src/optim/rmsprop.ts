/**
 * Gradient descent scaled by the root mean square of recent gradients.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { add, mul, sub } from "../ops/elementwise.js";
import type { Tree } from "../tensor/tree.js";
import {
  checkDecay,
  momentumDirection,
  type RmsOptions,
  rmsConstants,
  rmsDirection,
} from "./directions.js";
import {
  checkOptimizerState,
  type Optimizer,
  type OptimizerState,
  scheduled,
  updateTree,
  velocityOf,
  zeroMoments,
} from "./optimizer.js";
import type { Schedule } from "./schedules.js";

/** Options of {@link rmsprop}. */
export interface RmspropOptions extends RmsOptions {
  /** Step size α ≥ 0. */
  readonly learningRate: number | Schedule;
  /** μ in [0, 1); default 0: no velocity is kept. */
  readonly momentum?: number;
  /** Weight w of `½w‖p‖²` added to the loss; default 0. */
  readonly weightDecay?: number;
}

/** State of {@link rmsprop}. */
export interface RmspropState extends OptimizerState {
  /** s of each parameter. */
  readonly secondMoment: Tree;
  /** v of each parameter; absent without momentum. */
  readonly velocity?: Tree;
}

/**
 * RMSProp (Tieleman & Hinton 2012, lecture 6e), with PyTorch's formulas: `g ← g + w·p`,
 * `s ← ρs + (1−ρ)g²`, `v ← μ·v + g/(√s + ε)`, `p ← p − α·v`. Without momentum v is the quotient.
 * Differentiable where gradients are zero, as {@link adamw} is.
 *
 * @throws for options out of range.
 */
export function rmsprop(options: RmspropOptions): Optimizer<RmspropState> {
  checkOptions("rmsprop", options, "learningRate", "decay", "epsilon", "momentum", "weightDecay");
  const { momentum = 0, weightDecay = 0 } = options;
  const rateAt = scheduled("rmsprop", "learningRate", options.learningRate);
  const constants = rmsConstants("rmsprop", options);
  checkDecay("rmsprop", "momentum", momentum);
  checkNumber("rmsprop", "weightDecay", weightDecay, (x) => x >= 0, "≥ 0");
  return {
    init: (parameters) => {
      const secondMoment = zeroMoments("rmsprop", parameters);
      return momentum === 0
        ? { step: 0, secondMoment }
        : { step: 0, secondMoment, velocity: zeroMoments("rmsprop", parameters) };
    },
    update: (gradients, state, parameters) => {
      checkOptimizerState("rmsprop", state, ["step", "secondMoment"], ["velocity"]);
      const { step, secondMoment, velocity } = state;
      const rate = rateAt(step);
      const [next, [nextSecond, nextVelocity]] = updateTree(
        "rmsprop",
        (p, gradient, s, v) => {
          const g = weightDecay === 0 ? gradient : add(gradient, mul(p, weightDecay));
          const [scaled, second] = rmsDirection(g, s!, constants);
          if (!v) return [sub(p, mul(scaled, rate)), second];
          const [direction, moved] = momentumDirection(scaled, v, momentum);
          return [sub(p, mul(direction, rate)), second, moved];
        },
        parameters,
        gradients,
        secondMoment,
        ...velocityOf("rmsprop", momentum, velocity),
      );
      const moved = { step: step + 1, secondMoment: nextSecond! };
      return [next, nextVelocity ? { ...moved, velocity: nextVelocity } : moved];
    },
  };
}
