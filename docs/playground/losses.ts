/**
 * The choice of a preference loss.
 * @module
 */

import { phaseTitle } from "../../bench/demo/columns.js";

const LOSSES = ["dpo", "ipo", "simpo", "cpo", "orpo", "dpop", "alphadpo"];

/** Adds the losses to a choice, DPO first. */
export function addLosses(select: HTMLSelectElement): void {
  for (const loss of LOSSES) select.add(new Option(phaseTitle(loss), loss));
}
