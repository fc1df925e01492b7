/**
 * γ, the weight of SPO's penalty: fixed, scheduled, or moved by dual ascent.
 * @module
 */

import type { DType } from "../kernels/dtype.js";
import { stopGradient } from "../ops/composite.js";
import { relu } from "../ops/index.js";
import { full, tensor } from "../tensor/create.js";
import { Tensor } from "../tensor/tensor.js";
import { checkNumber } from "./inputs.js";

/**
 * What dual ascent carries from step to step. Start with `{ gamma: 0 }`. Evaluate it with each
 * step (`realize(loss, state)`): a state that never is drags the graph of all earlier steps along.
 */
export interface SpoState {
  /** γ ≥ 0. */
  readonly gamma: Tensor | number;
}

/** The options that say what γ is. */
export interface PenaltyWeightOptions {
  /**
   * γ ≥ 0, weight of the gap: a number (default 1), a schedule of `step`, or `"dual"` for dual ascent
   * on `state`.
   */
  readonly gamma?: number | ((step: number) => number) | "dual";
  /** Step count for a schedule. */
  readonly step?: number;
  /** State for `"dual"`: the `state` of the previous step's result. */
  readonly state?: SpoState;
  /** ρ > 0, step size of dual ascent; default 0.1 per nat (per token or sequence, see `per`). */
  readonly dualRate?: number;
  /**
   * c ≥ 0 of `"dual"`, per nat: the gap weighs `max(0, γ + c·gap)`, as in an augmented Lagrangian, so
   * that γ settles where plain dual ascent (c = 0) circles; default 1.
   */
  readonly damping?: number;
}

/** γ of this step, a scalar constant. */
export function multiplier(options: PenaltyWeightOptions, dtype: DType): Tensor {
  const { gamma = 1, step, state, dualRate, damping } = options;
  if (gamma === "dual") {
    if (state === undefined) {
      throw new TypeError(
        'spoLoss: gamma "dual" needs `state`: { gamma: 0 } first, then the previous result\'s `state`',
      );
    }
    if (dualRate !== undefined) checkNumber("spoLoss", "dualRate", dualRate, (r) => r > 0, "> 0");
    if (damping !== undefined) checkNumber("spoLoss", "damping", damping, (c) => c >= 0, "≥ 0");
    let known = state.gamma;
    if (!(known instanceof Tensor)) {
      checkNumber("spoLoss", "state.gamma", known, (g) => g >= 0, "≥ 0");
      known = tensor(known, { dtype });
    }
    return stopGradient(known.reshape([]).cast(dtype));
  }
  for (const option of ["state", "dualRate", "damping"] as const) {
    if (options[option] !== undefined) {
      throw new TypeError(`spoLoss: \`${option}\` belongs to gamma: "dual"`);
    }
  }
  if (typeof gamma === "function" && step === undefined) {
    throw new TypeError("spoLoss: a schedule for gamma needs `step`");
  }
  const value = typeof gamma === "function" ? gamma(step!) : gamma;
  checkNumber("spoLoss", "gamma", value, (g) => g >= 0, '≥ 0, a schedule, or "dual"');
  return full([], value, { dtype });
}

/** What the gap weighs: γ, with `"dual"` damped. */
export function penaltyWeight(options: PenaltyWeightOptions, gamma: Tensor, gap: Tensor): Tensor {
  const { damping = 1 } = options;
  if (options.gamma !== "dual" || damping === 0) return gamma;
  return relu(gamma.add(gap.mul(damping)));
}

/** γ of the next step: with `"dual"` `max(0, γ + ρ·gap)`. */
export function nextMultiplier(options: PenaltyWeightOptions, gamma: Tensor, gap: Tensor): Tensor {
  return options.gamma === "dual" ? relu(gamma.add(gap.mul(options.dualRate ?? 0.1))) : gamma;
}
