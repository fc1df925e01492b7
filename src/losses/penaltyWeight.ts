/**
 * γ, the weight of SPO's penalty: fixed, scheduled, or moved by dual ascent.
 * @module
 */

import { checkNumber, checkState } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { relu } from "../ops/index.js";
import { full } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkIfNumber, stateScalar } from "./perPair.js";

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

const isWeight = (gamma: number): boolean => gamma >= 0;

/** Checks the options, but for what comes with the pairs: `state` and `step`. */
export function checkWeight(options: PenaltyWeightOptions): void {
  const { gamma = 1, state, dualRate = 0.1, damping = 1 } = options;
  if (gamma !== "dual") {
    for (const option of ["state", "dualRate", "damping"] as const) {
      if (options[option] !== undefined) {
        throw new TypeError(`spoLoss: \`${option}\` belongs to gamma: "dual"`);
      }
    }
    if (typeof gamma !== "function") {
      checkNumber("spoLoss", "gamma", gamma, isWeight, '≥ 0, a schedule, or "dual"');
    }
    return;
  }
  checkNumber("spoLoss", "dualRate", dualRate, (r) => r > 0, "> 0");
  checkNumber("spoLoss", "damping", damping, (c) => c >= 0, "≥ 0");
  if (state === undefined) return;
  checkState("spoLoss", "{ gamma }", state);
  checkIfNumber("spoLoss", "state.gamma", state.gamma, isWeight, "≥ 0, or a tensor");
}

/** γ of this step, a scalar constant. */
export function multiplier(options: PenaltyWeightOptions, like: Tensor): Tensor {
  const { gamma = 1, step, state } = options;
  if (gamma === "dual") {
    if (state !== undefined) {
      return stopGradient(stateScalar("spoLoss", "state.gamma", state.gamma, like));
    }
    throw new TypeError(
      'spoLoss: gamma "dual" needs `state`: { gamma: 0 } first, then the previous result\'s `state`',
    );
  }
  if (typeof gamma === "function" && step === undefined) {
    throw new TypeError("spoLoss: a schedule for gamma needs `step`");
  }
  const value = typeof gamma === "function" ? gamma(step!) : gamma;
  checkNumber("spoLoss", "gamma", value, isWeight, "≥ 0, at every step of its schedule");
  return full([], value, { dtype: like.dtype });
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
