/**
 * Gradient descent scaled by the root mean square of recent gradients.
 * @module
 */

import { add, div, mul, square, sub } from "../ops/elementwise.js";
import type { Tree } from "../tensor/tree.js";
import {
  checkOption,
  type Optimizer,
  type OptimizerState,
  scheduled,
  updateTree,
  velocityOf,
  zeroMoments,
} from "./optimizer.js";
import type { Schedule } from "./schedules.js";
import { softRoot } from "./softRoot.js";

/** Options of {@link rmsprop}. */
export interface RmspropOptions {
  /** Step size α ≥ 0. */
  readonly learningRate: number | Schedule;
  /** Decay ρ of the mean of the squared gradients, in [0, 1); default 0.99. */
  readonly decay?: number;
  /** ε > 0, added to the root; default 1e-8. */
  readonly epsilon?: number;
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
  const { decay = 0.99, epsilon = 1e-8, momentum = 0, weightDecay = 0 } = options;
  const rateAt = scheduled("rmsprop", options.learningRate);
  checkOption("rmsprop", "decay", decay, decay >= 0 && decay < 1, "in [0, 1)");
  checkOption("rmsprop", "epsilon", epsilon, epsilon > 0, "> 0");
  checkOption("rmsprop", "momentum", momentum, momentum >= 0 && momentum < 1, "in [0, 1)");
  checkOption("rmsprop", "weightDecay", weightDecay, weightDecay >= 0, "≥ 0");
  const delta = (epsilon / 100) ** 2;
  return {
    init: (parameters) => {
      const secondMoment = zeroMoments("rmsprop", parameters);
      return momentum === 0
        ? { step: 0, secondMoment }
        : { step: 0, secondMoment, velocity: zeroMoments("rmsprop", parameters) };
    },
    update: (gradients, { step, secondMoment, velocity }, parameters) => {
      const rate = rateAt(step);
      const [next, [nextSecond, nextVelocity]] = updateTree(
        "rmsprop",
        (p, gradient, s, v) => {
          const g = weightDecay === 0 ? gradient : add(gradient, mul(p, weightDecay));
          const second = add(mul(s!, decay), mul(square(g), 1 - decay));
          const scaled = div(g, add(softRoot(second, delta), epsilon));
          if (!v) return [sub(p, mul(scaled, rate)), second];
          const moved = add(mul(v, momentum), scaled);
          return [sub(p, mul(moved, rate)), second, moved];
        },
        parameters,
        gradients,
        secondMoment,
        ...velocityOf("rmsprop", momentum, velocity),
      );
      const state = { step: step + 1, secondMoment: nextSecond! };
      return [next, nextVelocity ? { ...state, velocity: nextVelocity } : state];
    },
  };
}
