/**
 * Preference losses by the names and options of configuration files.
 * @module
 */

import type { AlphaDpoLoss } from "./alphaDpo.js";
import type { BcoLoss } from "./bco.js";
import type { BetaDpoLoss } from "./betaDpo.js";
import { type LossConfig, noOption, splitWeighting, translated } from "./lossConfig.js";
import { LOSSES, type LossEntry, type LossName, TRL_OPTIONS } from "./lossNames.js";
import { mixLosses } from "./mix.js";
import type { SpoLoss } from "./spo.js";
import type { PairLogProbs, PreferenceLoss, PreferenceLossFunction } from "./types.js";
import { type WpoLossOptions, wpoLoss } from "./wpo.js";

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
 * can be passed on. Defaults are this library's, not TRL's.
 *
 * @throws for an unknown name, listing those there are, and for options the loss does not have, listing
 * those it has.
 * @example lossByName("sigmoid", { beta: 0.1, label_smoothing: 0.1 })(pairs);
 * @example lossByName(["sigmoid", "bco_pair", "sft"], { loss_weights: [0.8, 0.2, 1] })(pairs);
 */
export function lossByName<Name extends LossName>(
  name: Name,
  config?: LossConfig,
): NamedLoss<Name extends keyof NamedResults ? NamedResults[Name] : PreferenceLoss>;
export function lossByName(name: string | readonly string[], config?: LossConfig): NamedLoss;
export function lossByName(name: string | readonly string[], config: LossConfig = {}): NamedLoss {
  const prepare = typeof name === "string" ? single(name) : mixed(name);
  prepare(config);
  return (pairs, options = {}) => {
    const { loss, own, weighting } = prepare({ ...config, ...options });
    if (weighting === undefined) return loss(pairs, own);
    return wpoLoss(pairs, { ...weighting, base: loss, baseOptions: own });
  };
}

type AnyLoss = PreferenceLossFunction<Record<string, unknown>>;

/** A loss, its own options, and what weights it. */
interface Prepared {
  readonly loss: AnyLoss;
  readonly own: Record<string, unknown>;
  readonly weighting: WpoLossOptions | undefined;
}

function single(name: string): (config: LossConfig) => Prepared {
  const entry = entryOf(name);
  const loss = entry.loss as AnyLoss;
  return (config) => {
    const { rest, weighting } = splitWeighting(config);
    const own = { ...translated(`"${name}"`, entry, rest), ...entry.fixed };
    return { loss, own, weighting };
  };
}

function mixed(names: readonly string[]): (config: LossConfig) => Prepared {
  const entries = names.map(entryOf);
  return (config) => {
    const { rest, weighting } = splitWeighting(config);
    const { loss_weights: given, ...options } = rest;
    const weights = (given ?? names.map(() => 1)) as number[];
    if (!(Array.isArray(weights) && weights.length === names.length)) {
      throw new RangeError(
        `lossByName: loss_weights must be a list of ${names.length} numbers, got ${JSON.stringify(given)}`,
      );
    }
    // Every loss takes the options it has; one that no loss has is checked against all.
    const trl = Object.assign({}, ...entries.map((entry) => entry.trl));
    const all: LossEntry = { loss: mixLosses, trl, fixed: {} };
    const list = `[${names.join(", ")}]`;
    for (const key of Object.keys(options)) {
      if (!(key in all.trl || key in TRL_OPTIONS)) throw noOption(list, all, key);
    }
    translated(list, all, options);
    const terms = entries.map((entry, k) => {
      const part = Object.entries(options).filter(([key]) => key in entry.trl);
      const own = { ...translated(list, entry, Object.fromEntries(part)), ...entry.fixed };
      const loss = entry.loss as AnyLoss;
      return { loss, weight: weights[k]!, options: own };
    });
    return { loss: mixLosses(...terms), own: {}, weighting };
  };
}

function entryOf(name: string): LossEntry {
  if (Object.hasOwn(LOSSES, name)) return LOSSES[name as LossName];
  const known = Object.keys(LOSSES).join(", ");
  throw new RangeError(`lossByName: no loss "${name}"; there are ${known}`);
}
