/**
 * Stable preference optimization: a preference loss kept inside a safe region of supervised loss.
 * @module
 */

import { checkChoice, checkFlag, checkNumber, checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { where } from "../ops/index.js";
import { Tensor } from "../tensor/tensor.js";
import { type DpoLossOptions, dpoLoss } from "./dpo.js";
import { checkLoss, checkPairs } from "./inputs.js";
import { asLogProbs } from "./logProbPairs.js";
import {
  checkWeight,
  multiplier,
  nextMultiplier,
  type PenaltyWeightOptions,
  penaltyWeight,
} from "./penaltyWeight.js";
import { supervisedFloor, supervisedLoss } from "./supervised.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link spoLoss}. */
export interface SpoLossOptions<
  BaseOptions extends object = DpoLossOptions,
  Base extends PreferenceLoss = PreferenceLoss,
> extends PenaltyWeightOptions {
  /** The preference loss to keep stable; default {@link dpoLoss}. */
  readonly base?: (pairs: PairLogProbs, options?: BaseOptions) => Base;
  /** Options of the base loss. */
  readonly baseOptions?: BaseOptions;
  /** Take `max(0, gap)`: inside the safe region the base loss alone acts. Default false. */
  readonly hinge?: boolean;
  /** ε ≥ 0, how far the supervised loss may exceed v*, nats; default 0. */
  readonly epsilon?: number;
  /**
   * v*, the supervised loss to hold on to, nats: a number, a scalar or a [batch] tensor. Default: the
   * reference's own loss on each pair, from `referenceChosen`. No gradient flows to it.
   */
  readonly floor?: number | Tensor;
  /** Unit of the supervised loss: `"token"` divides by `chosenLength` (default), `"sequence"` does not. */
  readonly per?: "token" | "sequence";
}

/** What {@link spoLoss} gives: a preference loss, and its parts for the log. */
export interface SpoLoss<Base extends PreferenceLoss = PreferenceLoss> extends PreferenceLoss {
  /** The base loss's own result, its state included. */
  readonly base: Base;
  /** Scalar, without gradient: `mean(L_SFT − v*) − ε`, nats; above 0 the policy is outside the safe region. */
  readonly gap: Tensor;
  /** Scalar, without gradient: `L_SFT`, the mean over pairs of the chosen completions' negative log-likelihood. */
  readonly sft: Tensor;
  /** Scalar: what the gap was weighted with: γ, with `"dual"` damped. */
  readonly gamma: Tensor;
  /** For the next step: with `"dual"` γ moved along the gap, else γ as it is. */
  readonly state: { readonly gamma: Tensor };
}

/**
 * Stable preference optimization by penalty (Jian, Yang et al., arXiv 2507.07723): any preference loss
 * plus the distance from a safe region around the supervised optimum,
 *
 * `L_pref + γ·gap`, or with `hinge` `L_pref + γ·max(0, gap)`, `gap = mean_i(L_SFT,i − v*_i) − ε`,
 * `L_SFT,i = −log π_θ(y_w|x)`, per token or per sequence.
 *
 * With `gamma: "dual"`, γ is a multiplier: the result's `state` holds `max(0, γ + ρ·gap)`, and the gap
 * weighs `max(0, γ + c·gap)` with the damping c.
 *
 * `perPair` shares the gap out by pairs, so its mean is the loss; rewards are the base loss's.
 *
 * The papers' numbered equations were not available to this implementation, and its defaults are not
 * the papers' hyperparameters. With one θ and a constant v*, the penalty without hinge has exactly the
 * gradient of `L_pref + γ·L_SFT`: what SPO adds is the safe region (hinge, ε, dual γ, or
 * {@link bilevelStep}'s barrier), not a new gradient term.
 *
 * @param pairs Needs `chosenLength` unless `per: "sequence"`, `referenceChosen` unless `floor` is
 * given, and what the base loss needs.
 * @throws for missing or misshapen inputs and options out of range or that do not go together.
 * @example spoLoss(pairs, { base: simpoLoss, baseOptions: { beta: 2 }, gamma: 1, hinge: true });
 */
export function spoLoss<
  BaseOptions extends object = DpoLossOptions,
  Base extends PreferenceLoss = PreferenceLoss,
>(pairs: PairLogProbs, options: SpoLossOptions<BaseOptions, Base> = {}): SpoLoss<Base> {
  const { base = dpoLoss as never, baseOptions } = options;
  const { hinge = false, epsilon = 0, per = "token", floor } = options;
  checkOptions("spoLoss", options, ...OPTIONS);
  checkLoss("spoLoss", "base", base);
  checkChoice("spoLoss", "per", per, ["token", "sequence"]);
  checkNumber("spoLoss", "epsilon", epsilon, (e) => e >= 0, "≥ 0");
  checkFlag("spoLoss", "hinge", hinge);
  checkWeight(options);
  if (floor !== undefined && !(floor instanceof Tensor)) {
    checkNumber("spoLoss", "floor", floor, () => true, "or a tensor");
  }
  const { chosen } = checkPairs("spoLoss", pairs);
  const gamma = multiplier(options, chosen);

  const nll = supervisedLoss(pairs, per);
  const excess = nll.sub(supervisedFloor(floor, pairs, per)).sub(epsilon);
  const gap = excess.mean();
  const observed = stopGradient(gap);
  const penalty = penaltyWeight(options, gamma, observed);
  const weight = hinge ? where(gap.greater(0), penalty, 0) : penalty;
  const pref = base(asLogProbs(pairs), baseOptions);
  return {
    loss: pref.loss.add(weight.mul(gap)),
    perPair: pref.perPair.add(weight.mul(excess)),
    rewards: pref.rewards,
    base: pref,
    gap: observed,
    sft: stopGradient(nll.mean()),
    gamma: penalty,
    state: { gamma: nextMultiplier(options, gamma, observed) },
  };
}

const OPTIONS = [
  "base",
  "baseOptions",
  "gamma",
  "step",
  "state",
  "dualRate",
  "damping",
  "hinge",
  "epsilon",
  "floor",
  "per",
] as const;
