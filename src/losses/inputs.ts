/**
 * Checks all losses share: inputs that are missing or do not fit, options that are unknown or out of
 * range. Nothing a caller gives is dropped silently.
 * @module
 */

import { isFloating } from "../kernels/dtype.js";
import { formatShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import type { PairLogProbs } from "./types.js";

type InputName = keyof PairLogProbs;

/** The inputs, those a loss names guaranteed to be there. */
export type PairsWith<Needed extends InputName> = PairLogProbs &
  Required<Pick<PairLogProbs, Needed>>;

const MEANING: Readonly<Record<InputName, string>> = {
  chosen: "log-probabilities of the chosen completions",
  rejected: "log-probabilities of the rejected completions",
  referenceChosen: "log-probabilities of the chosen completions under the reference model",
  referenceRejected: "log-probabilities of the rejected completions under the reference model",
  chosenLength: "token counts of the chosen completions",
  rejectedLength: "token counts of the rejected completions",
};

const LOG_PROBS: readonly string[] = [
  "chosen",
  "rejected",
  "referenceChosen",
  "referenceRejected",
] satisfies InputName[];

/**
 * The pairs, checked: those needed, and those given beyond.
 * @throws naming an input that is missing, is not a tensor of shape [batch], or has the wrong dtype.
 */
export function checkPairs<Needed extends InputName = never>(
  loss: string,
  pairs: PairLogProbs,
  ...needed: Needed[]
): PairsWith<Needed> {
  for (const name of ["chosen", "rejected", ...needed] as const) {
    if (pairs[name] === undefined) {
      throw new TypeError(`${loss}: needs \`${name}\`: ${MEANING[name]}, shape [batch]`);
    }
  }
  const { shape } = pairs.chosen;
  for (const name of Object.keys(MEANING) as InputName[]) {
    const input = pairs[name];
    if (input === undefined) continue;
    if (!(input instanceof Tensor)) {
      throw new TypeError(`${loss}: \`${name}\` must be a tensor, got ${typeof input}`);
    }
    if (input.rank !== 1 || input.size !== shape[0]) {
      throw new RangeError(
        input.rank === 1
          ? `${loss}: \`${name}\` has shape ${formatShape(input.shape)}, \`chosen\` has ${formatShape(shape)}`
          : `${loss}: \`${name}\` must have shape [batch], got ${formatShape(input.shape)}`,
      );
    }
    const fits = LOG_PROBS.includes(name) ? isFloating(input.dtype) : input.dtype !== "bool";
    if (!fits) {
      const expected = LOG_PROBS.includes(name) ? "floating point" : "int32 or floating point";
      throw new TypeError(`${loss}: \`${name}\` must be ${expected}, got ${input.dtype}`);
    }
  }
  if (shape[0] === 0) throw new RangeError(`${loss}: the batch is empty`);
  return pairs as PairsWith<Needed>;
}

/** Rejects options a loss does not have, and lists those it has. */
export function checkOptions<Options extends object>(
  loss: string,
  options: Options,
  ...known: (keyof Options & string)[]
): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key as keyof Options & string)) {
      const list = known.length > 0 ? known.join(", ") : "none";
      throw new TypeError(`${loss}: has no option \`${key}\`; it has ${list}`);
    }
  }
}

/** Rejects an option that is not a finite number or does not satisfy a condition. */
export function checkNumber(
  loss: string,
  option: string,
  value: number,
  holds: (value: number) => boolean,
  condition: string,
): void {
  if (!(typeof value === "number" && Number.isFinite(value) && holds(value))) {
    throw new RangeError(`${loss}: ${option} must be a number ${condition}, got ${value}`);
  }
}

/** β must be a number > 0. */
export function checkBeta(loss: string, beta: number): void {
  checkNumber(loss, "beta", beta, (b) => b > 0, "> 0");
}

/** The share of flipped labels must be at most one half. */
export function checkLabelSmoothing(loss: string, epsilon: number): void {
  checkNumber(loss, "labelSmoothing", epsilon, (e) => e >= 0 && e <= 0.5, "in [0, ½]");
}

/** Rejects a value that is none of the known ones, and lists them. */
export function checkChoice(
  loss: string,
  option: string,
  value: unknown,
  known: readonly string[],
): void {
  if (!known.includes(value as string)) {
    const list = known.map((name) => `"${name}"`).join(", ");
    throw new RangeError(`${loss}: ${option} must be one of ${list}, got ${JSON.stringify(value)}`);
  }
}
