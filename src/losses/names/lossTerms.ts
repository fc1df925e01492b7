/**
 * Losses found by name, each with the options a configuration has for it.
 * @module
 */

import { describeValue, nearestName } from "../../checks.js";
import { mixLosses } from "../mixLosses.js";
import type { PairLogProbs, PreferenceLoss, PreferenceLossFunction } from "../types.js";
import { type LossConfig, translated, translatedList } from "./lossConfig.js";
import { LOSSES, type LossEntry, type LossName } from "./lossNames.js";

/** A loss with its options. */
type BoundLoss = (pairs: PairLogProbs) => PreferenceLoss;

/** What a configuration makes of names: the loss, and those it is a mix of or itself. */
export interface FoundLoss {
  readonly loss: BoundLoss;
  readonly terms: readonly BoundLoss[];
}

/** The loss of a name, for any configuration. */
export function single(name: string): (config: LossConfig) => FoundLoss {
  const entry = entryOf(name);
  return ({ loss_weights: weights, ...config }) => {
    if (
      weights !== undefined &&
      weights !== null &&
      !(Array.isArray(weights) && weights.length === 1 && weights[0] === 1)
    ) {
      throw new RangeError(
        `lossByName: "${name}" alone weighs 1; loss_weights other than [1] need a list, ["${name}"]`,
      );
    }
    const loss = bound(entry, translated(`"${name}"`, entry, config));
    return { loss, terms: [loss] };
  };
}

/** The mix of a list of names, for any configuration. */
export function mixed(names: readonly string[]): (config: LossConfig) => FoundLoss {
  const entries = names.map(entryOf);
  return ({ loss_weights: given, ...config }) => {
    const weights = (given ?? names.map(() => 1)) as number[];
    if (!(Array.isArray(weights) && weights.length === names.length)) {
      throw new RangeError(
        `lossByName: loss_weights must be a list of ${names.length} numbers, got ${Array.isArray(given) ? `[${given}]` : describeValue(given)}`,
      );
    }
    const forAll = Object.entries(config).filter(([key]) => !names.includes(key));
    const shared = translatedList(names, entries, Object.fromEntries(forAll));
    const terms = entries.map((entry, k) => {
      const own = translated(`"${names[k]}"`, entry, ownOf(config, names[k]!));
      return bound(entry, { ...shared[k], ...own });
    });
    const loss = mixLosses(...terms.map((term, k) => ({ loss: term, weight: weights[k]! })));
    return { loss, terms };
  };
}

function bound(entry: LossEntry, options: Record<string, unknown>): BoundLoss {
  const loss = entry.loss as PreferenceLossFunction;
  return (pairs) => loss(pairs, options);
}

/** The options for one loss of a list. */
function ownOf(config: LossConfig, name: string): LossConfig {
  const own = config[name] ?? {};
  checkConfig(`\`${name}\``, own);
  return own;
}

/** Rejects a configuration that is no object. */
export function checkConfig(what: string, value: unknown): asserts value is LossConfig {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw new TypeError(
    `lossByName: ${what} must be an object of options, got ${describeValue(value)}`,
  );
}

/** A configuration with further options; those for one loss of a list add to its own. */
export function merged(config: LossConfig, options: LossConfig): LossConfig {
  const names = Object.keys(options).filter((key) => Object.hasOwn(LOSSES, key));
  const own = names.map((name) => [name, { ...ownOf(config, name), ...ownOf(options, name) }]);
  return { ...config, ...options, ...Object.fromEntries(own) };
}

/** Losses check their options before they read their pairs: pairs that cannot be read try those alone. */
export function checkEarly(loss: BoundLoss): void {
  let isRead = false;
  const unreadable = {
    get chosen(): never {
      isRead = true;
      throw new Error("options are checked before pairs are read");
    },
  };
  try {
    loss(unreadable as unknown as PairLogProbs);
  } catch (error) {
    if (!isRead) throw error;
  }
}

function entryOf(name: string): LossEntry {
  if (typeof name !== "string") {
    throw new TypeError(
      `lossByName: needs a loss's name or a list of names, got ${describeValue(name)}`,
    );
  }
  if (Object.hasOwn(LOSSES, name)) return LOSSES[name as LossName];
  const known = Object.keys(LOSSES);
  const nearest = nearestName(name, known);
  throw new RangeError(
    `lossByName: no loss "${name}"; ` +
      (nearest ? `did you mean "${nearest}"?` : `there are ${known.join(", ")}`),
  );
}
