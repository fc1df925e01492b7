/**
 * Configurations of losses: TRL's option names turned into the losses' own.
 * @module
 */

import type { WpoLossOptions } from "../wpo.js";
import type { LossEntry } from "./lossNames.js";

/** Options by TRL's names or by the loss's own. */
export type LossConfig = Readonly<Record<string, unknown>>;

/**
 * TRL's options and the values at which they do nothing: a whole configuration can be passed on to a
 * loss that has no part for them.
 */
const TRL_OPTIONS: LossConfig = {
  beta: undefined,
  label_smoothing: 0,
  f_divergence_type: "reverse_kl",
  f_alpha_divergence_coef: 0.5,
  discopop_tau: 0.05,
  loss_weights: undefined,
  use_weighting: false,
  ld_alpha: undefined,
  simpo_gamma: undefined,
  cpo_alpha: 0,
  desirable_weight: undefined,
  undesirable_weight: undefined,
};

/** TRL's options whose names say which loss of a list they are for. */
const OF_ONE_LOSS: readonly string[] = [
  "discopop_tau",
  "simpo_gamma",
  "cpo_alpha",
  "desirable_weight",
  "undesirable_weight",
];

const WEIGHTING = ["chosenLogWeight", "rejectedLogWeight", "clamp"] as const;

/** What belongs to `use_weighting`, and the rest. */
export function splitWeighting(config: LossConfig) {
  const { use_weighting: use, ...rest }: Record<string, unknown> = config;
  if (use !== undefined && use !== null && typeof use !== "boolean") {
    throw new RangeError(`lossByName: use_weighting must be true or false, got ${String(use)}`);
  }
  if (!use) return { rest: rest as LossConfig, weighting: undefined };
  const weighting: Record<string, unknown> = {};
  for (const key of WEIGHTING) {
    if (Object.hasOwn(rest, key)) weighting[key] = rest[key];
    delete rest[key];
  }
  return {
    rest: rest as LossConfig,
    weighting: weighting as Omit<WpoLossOptions, "base" | "baseOptions">,
  };
}

/** A configuration by the loss's own names, with what the loss's name fixes. */
export function translated(
  name: string,
  entry: LossEntry,
  config: LossConfig,
): Record<string, unknown> {
  const own = new Map<string, unknown>();
  for (const [key, value] of Object.entries(config)) {
    const has = Object.hasOwn(entry.trl, key);
    const isTrl = has || Object.hasOwn(TRL_OPTIONS, key);
    if (isTrl && (value === undefined || value === null)) continue;
    if (key === "loss_type") {
      throw new TypeError(
        "lossByName: `loss_type` is the first argument: a name or a list of names",
      );
    }
    if (key === "ld_alpha") {
      throw new TypeError(
        "lossByName: ld_alpha changes the log-probabilities, not the loss: give the loss those of ldDpoLogProbs",
      );
    }
    const divergence = config.f_divergence_type ?? config.fDivergence;
    const idle = key === "f_alpha_divergence_coef" && divergence !== "alpha_divergence";
    if (isTrl && (!has || idle) && value === TRL_OPTIONS[key]) continue;
    if (entry.idle?.includes(key)) continue;
    if (isTrl && !has) throw noOption(name, entry, key);
    const target = has ? entry.trl[key]! : key;
    if (own.has(target)) throw new TypeError(`lossByName: ${name} got \`${target}\` twice`);
    if (Object.hasOwn(entry.fixed, key)) {
      throw new TypeError(`lossByName: ${name} fixes \`${key}\` to ${String(entry.fixed[key])}`);
    }
    own.set(target, value);
  }
  return { ...Object.fromEntries(own), ...entry.fixed };
}

/**
 * The options of a list of losses, by the losses' own names. They go to all, and all have to have them,
 * as TRL demands of `f_divergence_type`; where TRL ignores `label_smoothing` with a warning this is an
 * error too. Two exceptions, for options that another of the losses has: `sft`, which TRL lets stand
 * beside any loss, and options named after one loss.
 */
export function translatedList(
  names: readonly string[],
  entries: readonly LossEntry[],
  config: LossConfig,
): Record<string, unknown>[] {
  return entries.map((entry, k) => {
    const concerns = (key: string): boolean =>
      Object.hasOwn(entry.trl, key) ||
      !(names[k] === "sft" || OF_ONE_LOSS.includes(key)) ||
      !entries.some((other) => Object.hasOwn(other.trl, key));
    const part = Object.entries(config).filter(([key]) => concerns(key));
    return translated(`"${names[k]}"`, entry, Object.fromEntries(part));
  });
}

/** The error for an option of TRL's that a loss does not have. */
function noOption(name: string, entry: LossEntry, key: string): TypeError {
  const known = Object.keys(entry.trl).join(", ") || "none";
  return new TypeError(
    `lossByName: ${name} has no part for \`${key}\`; of TRL's options it has ${known}`,
  );
}
