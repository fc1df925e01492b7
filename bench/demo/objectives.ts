/**
 * What the steps of each phase descend.
 * @module
 */

import {
  type AnyObjective,
  type GptParameters,
  type LossName,
  lossByName,
  type Policy,
  preferenceObjective,
  type ReferencedPair,
  zeros,
} from "../../src/index.js";
import { InputError } from "./inputError.js";
import type { Settings } from "./settings.js";

/** Packed batches of generated sums have one or two sizes then, so that one or two plans serve all steps. */
export const READING = { multipleOf: 64 };

/** The preference loss of the settings, with SPO around it where there is a v*. */
export function pairObjective(
  settings: Settings,
  policy: Policy<GptParameters>,
  floor: number | "reference" | null,
): AnyObjective<GptParameters, ReferencedPair> {
  const { base, gamma, hinge, epsilon } = settings;
  return preferenceObjective({
    policy,
    loss: base as LossName,
    lossOptions: lossOptions(settings),
    ...READING,
    ...(floor !== null && { spo: { gamma, floor, hinge, epsilon } }),
  });
}

function lossOptions({ beta }: Settings): { beta?: number } {
  return beta === null ? {} : { beta };
}

/** Losses that `lossByName` knows and that are no base. */
const NO_BASES: Readonly<Record<string, string>> = {
  diffusion_dpo: "compares errors of a diffusion model",
  dmpo: "compares errors of a diffusion model",
  sft: "is no preference loss; every run starts with it",
  spo: "is what every run adds to its base loss; name the loss to keep stable, such as dpo",
};

/**
 * Whether the settings' loss can be built: an expression that is never evaluated.
 * @throws InputError with the loss's own words, such as the list of known names.
 */
export function checkLoss(settings: Settings): void {
  const refusal = NO_BASES[settings.base];
  if (refusal) throw new InputError(`--base ${settings.base}: ${refusal}`);
  const lengths = zeros([2]);
  const scores = { chosen: zeros([2]), rejected: zeros([2]) };
  const references = { referenceChosen: zeros([2]), referenceRejected: zeros([2]) };
  try {
    const loss = lossByName(settings.base, lossOptions(settings));
    loss({ ...scores, ...references, chosenLength: lengths, rejectedLength: lengths });
  } catch (error) {
    throw new InputError(`--base ${settings.base}: ${(error as Error).message}`);
  }
}
