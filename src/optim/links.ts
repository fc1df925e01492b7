/**
 * Links for chains: clipping, decay, scaling, and the directions of known optimizers.
 * @module
 */

import { checkFlag, checkNumber, checkOptions } from "../checks.js";
import { add, mul } from "../ops/elementwise.js";
import type { Tree } from "../tensor/tree.js";
import type { AdamWState } from "./adamw.js";
import type { GradientTransform } from "./chain.js";
import { clipByGlobalNorm } from "./clipByGlobalNorm.js";
import {
  type AdamOptions,
  adamConstants,
  adamDirection,
  checkDecay,
  momentumDirection,
  type RmsOptions,
  rmsConstants,
  rmsDirection,
} from "./directions.js";
import {
  checkOptimizerState,
  checkParameters,
  type NoState,
  type OptimizerState,
  scheduled,
  updateTree,
  zeroMoments,
} from "./optimizer.js";
import type { Schedule } from "./schedules.js";

/**
 * A link that clips gradients by their common norm, as {@link clipByGlobalNorm} does.
 * @throws if `maxNorm` is not a number > 0.
 */
export function clipGradients(maxNorm: number): GradientTransform<NoState> {
  checkNumber("clipGradients", "maxNorm", maxNorm, (norm) => norm > 0, "> 0");
  return {
    init: () => ({}),
    transform: (gradients, state) => [clipByGlobalNorm(gradients, maxNorm)[0], state],
  };
}

/**
 * A link that adds `weightDecay · p` to the gradient of each parameter p. Before {@link scaleByAdam} that
 * is the gradient of `½·weightDecay·‖p‖²`, after it the decoupled decay of {@link adamw}.
 * @throws if `weightDecay` is not a number ≥ 0.
 */
export function addDecayedWeights(weightDecay: number): GradientTransform<NoState> {
  checkNumber("addDecayedWeights", "weightDecay", weightDecay, (w) => w >= 0, "≥ 0");
  return {
    init: () => ({}),
    transform: (gradients, state, parameters) => {
      const [decayed] = updateTree(
        "addDecayedWeights",
        (p, g) => [add(g, mul(p, weightDecay))],
        parameters,
        gradients,
      );
      return [decayed, state];
    },
  };
}

/**
 * A link that multiplies gradients by a factor ≥ 0, or by what a schedule gives for the update.
 * @throws if the factor is not such a number.
 */
export function scaleBy(factor: number | Schedule): GradientTransform<OptimizerState> {
  const factorAt = scheduled("scaleBy", "factor", factor);
  return {
    init: (parameters) => {
      checkParameters("scaleBy", parameters);
      return { step: 0 };
    },
    transform: (gradients, state, parameters) => {
      checkOptimizerState("scaleBy", state, ["step"]);
      const current = factorAt(state.step);
      const [scaled] = updateTree("scaleBy", (_, g) => [mul(g, current)], parameters, gradients);
      return [scaled, { step: state.step + 1 }];
    },
  };
}

/** Options of {@link addMomentum}. */
export interface MomentumOptions {
  /** μ in [0, 1). */
  readonly momentum: number;
  /** Look ahead along the velocity (Nesterov's method); default false. */
  readonly nesterov?: boolean;
}

/** State of {@link addMomentum}. */
export interface MomentumState {
  /** v of each parameter. */
  readonly velocity: Tree;
}

/**
 * A link that gives the velocity `v ← μ·v + g`, or `g + μ·v` with Nesterov's look-ahead: the direction of
 * {@link sgd} with momentum.
 * @throws for options out of range.
 */
export function addMomentum(options: MomentumOptions): GradientTransform<MomentumState> {
  checkOptions("addMomentum", options, "momentum", "nesterov");
  const { momentum, nesterov = false } = options;
  checkDecay("addMomentum", "momentum", momentum);
  checkFlag("addMomentum", "nesterov", nesterov);
  return {
    init: (parameters) => ({ velocity: zeroMoments("addMomentum", parameters) }),
    transform: (gradients, state, parameters) => {
      checkOptimizerState("addMomentum", state, ["velocity"]);
      const [directions, [velocity]] = updateTree(
        "addMomentum",
        (_, g, v) => momentumDirection(g, v!, momentum, nesterov),
        parameters,
        gradients,
        state.velocity,
      );
      return [directions, { velocity: velocity! }];
    },
  };
}

/** State of {@link scaleByRms}. */
export interface RmsState {
  /** s of each parameter. */
  readonly secondMoment: Tree;
}

/**
 * A link that gives `g/(√s + ε)` with `s ← ρs + (1−ρ)g²`: the direction of {@link rmsprop}.
 * @throws for options out of range.
 */
export function scaleByRms(options: RmsOptions = {}): GradientTransform<RmsState> {
  checkOptions("scaleByRms", options, "decay", "epsilon");
  const constants = rmsConstants("scaleByRms", options);
  return {
    init: (parameters) => ({ secondMoment: zeroMoments("scaleByRms", parameters) }),
    transform: (gradients, state, parameters) => {
      checkOptimizerState("scaleByRms", state, ["secondMoment"]);
      const [directions, [secondMoment]] = updateTree(
        "scaleByRms",
        (_, g, s) => rmsDirection(g, s!, constants),
        parameters,
        gradients,
        state.secondMoment,
      );
      return [directions, { secondMoment: secondMoment! }];
    },
  };
}

/**
 * A link that gives `m̂/(√v̂ + ε)`: the direction of {@link adamw}, whose page has the formulas.
 * @throws for options out of range.
 */
export function scaleByAdam(options: AdamOptions = {}): GradientTransform<AdamWState> {
  checkOptions("scaleByAdam", options, "beta1", "beta2", "epsilon");
  const constants = adamConstants("scaleByAdam", options);
  return {
    init: (parameters) => ({
      step: 0,
      firstMoment: zeroMoments("scaleByAdam", parameters),
      secondMoment: zeroMoments("scaleByAdam", parameters),
    }),
    transform: (gradients, state, parameters) => {
      checkOptimizerState("scaleByAdam", state, ["step", "firstMoment", "secondMoment"]);
      const { step } = state;
      const [directions, [firstMoment, secondMoment]] = updateTree(
        "scaleByAdam",
        (_, g, m, v) => adamDirection(g, m!, v!, constants, step),
        parameters,
        gradients,
        state.firstMoment,
        state.secondMoment,
      );
      return [
        directions,
        { step: step + 1, firstMoment: firstMoment!, secondMoment: secondMoment! },
      ];
    },
  };
}
