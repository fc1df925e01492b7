/**
 * Adam with decoupled weight decay.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { mul, sub } from "../ops/elementwise.js";
import type { Tree } from "../tensor/tree.js";
import { type AdamOptions, adamConstants, adamDirection } from "./directions.js";
import {
  checkOptimizerState,
  type Optimizer,
  type OptimizerState,
  scheduled,
  updateTree,
  zeroMoments,
} from "./optimizer.js";
import type { Schedule } from "./schedules.js";

/** Options of {@link adamw}. */
export interface AdamWOptions extends AdamOptions {
  /** Step size α ≥ 0. */
  readonly learningRate: number | Schedule;
  /** w ≥ 0; default 0.01. */
  readonly weightDecay?: number;
}

/** State of {@link adamw}, and of {@link scaleByAdam}. */
export interface AdamWState extends OptimizerState {
  /** m of each parameter. */
  readonly firstMoment: Tree;
  /** v of each parameter. */
  readonly secondMoment: Tree;
}

/**
 * AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101; Adam: Kingma & Ba 2015, arXiv 1412.6980).
 * At update t = 1, 2, …:
 *
 * `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`, `m̂ = m/(1−β₁ᵗ)`, `v̂ = v/(1−β₂ᵗ)`,
 * `p ← p·(1 − αw) − α·m̂/(√v̂ + ε)`.
 *
 * The update can be differentiated where gradients are zero: derivatives (not values) take
 * `√(v̂ + (ε/100)²)` for `√v̂`, which changes them noticeably only for gradients far below ε.
 *
 * @throws for options out of range.
 */
export function adamw(options: AdamWOptions): Optimizer<AdamWState> {
  checkOptions("adamw", options, "learningRate", "beta1", "beta2", "epsilon", "weightDecay");
  const { weightDecay = 0.01 } = options;
  const rateAt = scheduled("adamw", "learningRate", options.learningRate);
  const constants = adamConstants("adamw", options);
  checkNumber("adamw", "weightDecay", weightDecay, (x) => x >= 0, "≥ 0");
  return {
    init: (parameters) => ({
      step: 0,
      firstMoment: zeroMoments("adamw", parameters),
      secondMoment: zeroMoments("adamw", parameters),
    }),
    update: (gradients, state, parameters) => {
      checkOptimizerState("adamw", state, ["step", "firstMoment", "secondMoment"]);
      const { step, firstMoment, secondMoment } = state;
      const rate = rateAt(step);
      const [next, [nextFirst, nextSecond]] = updateTree(
        "adamw",
        (p, g, m, v) => {
          const [direction, first, second] = adamDirection(g, m!, v!, constants, step, rate);
          const decayed = weightDecay === 0 ? p : mul(p, 1 - rate * weightDecay);
          return [sub(decayed, direction), first, second];
        },
        parameters,
        gradients,
        firstMoment,
        secondMoment,
      );
      return [next, { step: step + 1, firstMoment: nextFirst!, secondMoment: nextSecond! }];
    },
  };
}
