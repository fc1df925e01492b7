/**
 * What the steps of each phase descend.
 * @module
 */

import {
  type AnyObjective,
  type GptParameters,
  type LossName,
  type Policy,
  preferenceObjective,
  type ReferencedPair,
} from "../../src/index.js";
import type { Settings } from "./settings.js";

/** What is no base: every run has it. */
const NO_BASES: Readonly<Record<string, string>> = {
  sft: "is no preference loss; every run starts with it",
  spo: "is what every run adds to its base loss; name the loss to keep stable, such as dpo",
};

/** Packed batches of generated sums have one or two sizes then, so that one or two plans serve all steps. */
export const READING = { multipleOf: 64 };

/**
 * The preference loss of the settings, with SPO around it where there is a v*.
 * @throws for a loss that is unknown, takes something else than pairs, or does not take its options.
 */
export function pairObjective(
  settings: Settings,
  policy: Policy<GptParameters>,
  floor: number | "reference" | null,
): AnyObjective<GptParameters, ReferencedPair> {
  const refusal = NO_BASES[settings.base];
  if (refusal) throw new TypeError(refusal);
  const { base, beta, gamma, hinge, epsilon } = settings;
  return preferenceObjective({
    policy,
    loss: base as LossName,
    lossOptions: beta === null ? {} : { beta },
    ...READING,
    ...(floor !== null && { spo: { gamma, floor, hinge, epsilon } }),
  });
}
