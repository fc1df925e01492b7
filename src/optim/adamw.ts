/**
 * Adam with decoupled weight decay.
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
  zeroMoments,
} from "./optimizer.js";
import type { Schedule } from "./schedules.js";
import { softRoot } from "./softRoot.js";

/** Options of {@link adamw}. */
export interface AdamWOptions {
  /** Step size α ≥ 0. */
  readonly learningRate: number | Schedule;
  /** Decay β₁ of the mean of the gradients, in [0, 1); default 0.9. */
  readonly beta1?: number;
  /** Decay β₂ of the mean of their squares, in [0, 1); default 0.999. */
  readonly beta2?: number;
  /** ε > 0, added to the root; default 1e-8. */
  readonly epsilon?: number;
  /** w ≥ 0; default 0.01. */
  readonly weightDecay?: number;
}

/** State of {@link adamw}. */
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
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  const rateAt = scheduled("adamw", options.learningRate);
  checkOption("adamw", "beta1", beta1, beta1 >= 0 && beta1 < 1, "in [0, 1)");
  checkOption("adamw", "beta2", beta2, beta2 >= 0 && beta2 < 1, "in [0, 1)");
  checkOption("adamw", "epsilon", epsilon, epsilon > 0, "> 0");
  checkOption("adamw", "weightDecay", weightDecay, weightDecay >= 0, "≥ 0");
  const delta = (epsilon / 100) ** 2;
  return {
    init: (parameters) => ({
      step: 0,
      firstMoment: zeroMoments("adamw", parameters),
      secondMoment: zeroMoments("adamw", parameters),
    }),
    update: (gradients, { step, firstMoment, secondMoment }, parameters) => {
      const rate = rateAt(step);
      const correction1 = 1 - beta1 ** (step + 1);
      const correction2 = 1 - beta2 ** (step + 1);
      const scale = Math.sqrt(correction2);
      const [next, [nextFirst, nextSecond]] = updateTree(
        "adamw",
        (p, g, m, v) => {
          const first = add(mul(m!, beta1), mul(g, 1 - beta1));
          const second = add(mul(v!, beta2), mul(square(g), 1 - beta2));
          // m̂/(√v̂ + ε) = m·(√c₂/c₁)/(√v + ε√c₂), which scales numbers instead of tensors.
          const root = add(softRoot(second, delta * correction2), epsilon * scale);
          const direction = div(mul(first, (rate * scale) / correction1), root);
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
