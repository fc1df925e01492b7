/**
 * Preference losses by the names and options of configuration files.
 * @module
 */

import { LOSSES, type LossEntry, type LossName, TRL_OPTIONS } from "./lossNames.js";
import { mixLosses } from "./mix.js";
import type { PairLogProbs, PreferenceLoss, PreferenceLossFunction } from "./types.js";
import { type WpoLossOptions, wpoLoss } from "./wpo.js";

/** Options by TRL's names or by the loss's own. */
export type LossConfig = Readonly<Record<string, unknown>>;

/** A loss found by name: options given to it add to those of its configuration. */
export type NamedLoss<Result extends PreferenceLoss = PreferenceLoss> = (
  pairs: PairLogProbs,
  options?: Record<string, unknown>,
) => Result;

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
): NamedLoss<ReturnType<(typeof LOSSES)[Name]["loss"]>>;
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

const WEIGHTING = ["chosenLogWeight", "rejectedLogWeight", "clamp"] as const;

function single(name: string): (config: LossConfig) => Prepared {
  const entry = entryOf(name);
  const loss = LOSSES[name as LossName].loss as unknown as AnyLoss;
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
    const all: LossEntry = { trl: Object.assign({}, ...entries.map(({ trl }) => trl)), fixed: {} };
    const list = `[${names.join(", ")}]`;
    for (const key of Object.keys(options)) {
      if (!(key in all.trl || key in TRL_OPTIONS)) throw noOption(list, all, key);
    }
    translated(list, all, options);
    const terms = entries.map((entry, k) => {
      const part = Object.entries(options).filter(([key]) => key in entry.trl);
      const own = { ...translated(list, entry, Object.fromEntries(part)), ...entry.fixed };
      const loss = LOSSES[names[k] as LossName].loss as unknown as AnyLoss;
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

/** What belongs to `use_weighting`, and the rest. */
function splitWeighting(config: LossConfig) {
  const { use_weighting: use, ...rest }: Record<string, unknown> = config;
  if (use !== undefined && use !== null && typeof use !== "boolean") {
    throw new RangeError(`lossByName: use_weighting must be true or false, got ${String(use)}`);
  }
  if (!use) return { rest: rest as LossConfig, weighting: undefined };
  const weighting: Record<string, unknown> = {};
  for (const key of WEIGHTING) {
    if (key in rest) weighting[key] = rest[key];
    delete rest[key];
  }
  return { rest: rest as LossConfig, weighting: weighting as WpoLossOptions };
}

/** A configuration by the loss's own names. */
function translated(name: string, entry: LossEntry, config: LossConfig): Record<string, unknown> {
  const own: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    const isTrl = key in entry.trl || key in TRL_OPTIONS;
    if (isTrl && (value === undefined || value === null)) continue;
    if (key === "ld_alpha") {
      throw new TypeError(
        "lossByName: ld_alpha changes the log-probabilities, not the loss: give the loss those of ldDpoLogProbs",
      );
    }
    const divergence = config.f_divergence_type ?? config.fDivergence;
    const idle = key === "f_alpha_divergence_coef" && divergence !== "alpha_divergence";
    const has = key in entry.trl;
    if (isTrl && (!has || idle) && value === TRL_OPTIONS[key]) continue;
    if (isTrl && !has) throw noOption(name, entry, key);
    const target = entry.trl[key] ?? key;
    if (target in own) throw new TypeError(`lossByName: ${name} got \`${target}\` twice`);
    if (key in entry.fixed) {
      throw new TypeError(`lossByName: ${name} fixes \`${key}\` to ${String(entry.fixed[key])}`);
    }
    own[target] = value;
  }
  return own;
}

function noOption(name: string, entry: LossEntry, key: string): TypeError {
  const known = Object.keys(entry.trl).join(", ") || "none";
  return new TypeError(
    `lossByName: ${name} has no part for \`${key}\`; of TRL's options it has ${known}`,
  );
}
