/**
 * Configurations of losses: TRL's option names turned into the losses' own.
 * @module
 */

import { type LossEntry, TRL_OPTIONS } from "./lossNames.js";
import type { WpoLossOptions } from "./wpo.js";

/** Options by TRL's names or by the loss's own. */
export type LossConfig = Readonly<Record<string, unknown>>;

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
    if (key in rest) weighting[key] = rest[key];
    delete rest[key];
  }
  return { rest: rest as LossConfig, weighting: weighting as WpoLossOptions };
}

/** A configuration by the loss's own names. */
export function translated(
  name: string,
  entry: LossEntry,
  config: LossConfig,
): Record<string, unknown> {
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

/** The error for an option of TRL's that a loss does not have. */
export function noOption(name: string, entry: LossEntry, key: string): TypeError {
  const known = Object.keys(entry.trl).join(", ") || "none";
  return new TypeError(
    `lossByName: ${name} has no part for \`${key}\`; of TRL's options it has ${known}`,
  );
}
