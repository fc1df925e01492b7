/**
 * Preference losses by the names and options of configuration files.
 * @module
 */

import type { AlphaDpoLoss } from "../alphaDpo.js";
import type { BcoLoss } from "../bco.js";
import type { BetaDpoLoss } from "../betaDpo.js";
import type { MixedLoss } from "../mixLosses.js";
import type { SpoLoss } from "../spo.js";
import type { PairLogProbs, PreferenceLoss } from "../types.js";
import { wpoLoss } from "../wpo.js";
import { type LossConfig, splitWeighting } from "./lossConfig.js";
import type { LossName } from "./lossNames.js";
import { checkConfig, checkEarly, merged, mixed, single } from "./lossTerms.js";

/** A loss found by name: options given to it add to those of its configuration. */
export type NamedLoss<Result extends PreferenceLoss = PreferenceLoss> = (
  pairs: PairLogProbs,
  options?: Record<string, unknown>,
) => Result;

/** Results that hold more than a preference loss does, by the loss's name. */
export interface NamedResults {
  /** With δ's state. */
  readonly bco_pair: BcoLoss;
  /** With the running statistics, β' and the pairs kept. */
  readonly betadpo: BetaDpoLoss;
  /** With the running statistics. */
  readonly alphadpo: AlphaDpoLoss;
  /** With the penalty's parts. */
  readonly spo: SpoLoss;
}

/**
 * The loss of a name: TRL's `loss_type` names (`sigmoid`, `hinge`, `ipo`, `exo_pair`, `nca_pair`,
 * `robust`, `bco_pair`, `sppo_hard`, `aot`, `aot_unpaired`, `apo_zero`, `apo_down`, `discopop`,
 * `sigmoid_norm`, `sft`) and `dpo`, `dpop`, `rdpo`, `odpo`, `caldpo`, `sppo`, `tdpo1`, `tdpo2`,
 * `betadpo`, `wpo`, `simpo`, `alphapo`, `cpo`, `orpo`, `slic`, `rso`, `sgdpo`, `alphadpo`, `kto`,
 * `aspo`, `diffusion_dpo`, `dmpo`, `spo`. A list of names is their mix, as TRL's `loss_type` list is,
 * weighted by `loss_weights` (default 1 each).
 *
 * Options are TRL's (`beta`, `label_smoothing`, `f_divergence_type`, `f_alpha_divergence_coef`,
 * `discopop_tau`, `simpo_gamma`, `cpo_alpha`, `desirable_weight`, `undesirable_weight`, and the authors'
 * `gamma_beta_ratio`), or the loss's own, which it checks. `use_weighting` wraps the loss in
 * {@link wpoLoss}, whose `chosenLogWeight` and `rejectedLogWeight` are given with the pairs.
 *
 * An option of TRL's that the loss has no part for is accepted only at the value at which it does
 * nothing (`label_smoothing: 0`, `f_divergence_type: "reverse_kl"`, null), so that whole configurations
 * can be passed on; `sft` takes any `beta`, and a single name `loss_weights: [1]`. Defaults are this
 * library's, not TRL's.
 *
 * The losses of a list share its options, and each has to have them; but `sft` stands beside any loss,
 * and options named after one (`discopop_tau`, `simpo_gamma`, …) are for those that have them. Under a
 * loss's name stand options for it alone: `{ beta: 0.1, kto: { kl } }`.
 *
 * @throws for an unknown name, naming the nearest or those there are, and at once for options that a loss does not
 * have, listing those it has, or that are out of its range; for options of a loss inside another
 * (`baseOptions`) and tensors that do not fit the pairs, when it gets pairs.
 * @example lossByName("sigmoid", { beta: 0.1, label_smoothing: 0.1 })(pairs);
 * @example lossByName(["sigmoid", "bco_pair", "sft"], { loss_weights: [0.8, 0.2, 1] })(pairs);
 */
export function lossByName<Name extends LossName>(
  name: Name,
  config?: LossConfig,
): NamedLoss<Name extends keyof NamedResults ? NamedResults[Name] : PreferenceLoss>;
export function lossByName(names: readonly string[], config?: LossConfig): NamedLoss<MixedLoss>;
export function lossByName(name: string | readonly string[], config?: LossConfig): NamedLoss;
export function lossByName(name: string | readonly string[], config: LossConfig = {}): NamedLoss {
  checkConfig("the configuration", config);
  const find = Array.isArray(name) ? mixed(name) : single(name as string);
  const prepare = (given: LossConfig) => {
    const { rest, weighting } = splitWeighting(given);
    return { ...find(rest), weighting };
  };
  prepare(config).terms.forEach(checkEarly);
  return (pairs, options = {}) => {
    checkConfig("what comes with the pairs", options);
    const { loss, weighting } = prepare(merged(config, options));
    return weighting === undefined ? loss(pairs) : wpoLoss(pairs, { ...weighting, base: loss });
  };
}
