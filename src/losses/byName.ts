/**
 * Preference losses by the names configurations use.
 * @module
 */

import { alphaDpoLoss } from "./alphaDpo.js";
import { cpoLoss } from "./cpo.js";
import { dpoLoss } from "./dpo.js";
import { dpopLoss, lengthRegularizedDpoLoss } from "./dpoVariants.js";
import { hingeLoss, ipoLoss } from "./margin.js";
import { sftLoss } from "./sft.js";
import { simpoLoss } from "./simpo.js";
import type { PreferenceLossFunction } from "./types.js";

const LOSSES = {
  sigmoid: dpoLoss,
  dpo: dpoLoss,
  hinge: hingeLoss,
  ipo: ipoLoss,
  dpop: dpopLoss,
  rdpo: lengthRegularizedDpoLoss,
  simpo: simpoLoss,
  cpo: cpoLoss,
  alphadpo: alphaDpoLoss,
  sft: sftLoss,
} as const;

/** Names {@link lossByName} knows. */
export type LossName = keyof typeof LOSSES;

/**
 * The loss of a name: TRL's `loss_type` names, and `dpo` (TRL's `sigmoid`), `dpop`, `rdpo`, `simpo`,
 * `cpo`, `alphadpo`. A loss checks its own options, so those of a configuration file can be passed on.
 *
 * @throws for an unknown name, listing those there are.
 * @example lossByName("ipo")(pairs, { beta: 0.5 });
 */
export function lossByName<Name extends LossName>(name: Name): (typeof LOSSES)[Name];
export function lossByName(name: string): PreferenceLossFunction;
export function lossByName(name: string): PreferenceLossFunction<never> {
  if (!Object.hasOwn(LOSSES, name)) {
    const known = Object.keys(LOSSES).join(", ");
    throw new RangeError(`lossByName: no loss "${name}"; there are ${known}`);
  }
  return LOSSES[name as LossName];
}
