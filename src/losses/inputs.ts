/**
 * Checks all losses share: inputs that are missing or do not fit, options that are unknown or out of
 * range. Nothing a caller gives is dropped silently.
 * @module
 */

import { checkNumber, describeValue, isPlainObject } from "../checks.js";
import { isFloating } from "../kernels/dtype.js";
import { formatShape } from "../tensor/shape.js";
import { knownElements, Tensor } from "../tensor/tensor.js";
import type { PairLogProbs } from "./types.js";

type InputName = keyof PairLogProbs;

/** What an input is, of which dtypes, and how large. */
export interface InputMeaning {
  readonly is: string;
  readonly dtype: "floating point" | "int32 or floating point" | "any";
  /** Known elements are at most this. */
  readonly largest?: number;
}

/** The inputs, those a loss names guaranteed to be there. */
export type PairsWith<Needed extends InputName> = PairLogProbs &
  Required<Pick<PairLogProbs, Needed>>;

/** Log-probabilities are at most 0; what is above by rounding alone is let through. */
export const LOG_PROBABILITY = { dtype: "floating point", largest: 1e-3 } as const;

const MEANING: Readonly<Record<InputName, InputMeaning>> = {
  chosen: { is: "log-probabilities of the chosen completions", ...LOG_PROBABILITY },
  rejected: { is: "log-probabilities of the rejected completions", ...LOG_PROBABILITY },
  referenceChosen: {
    is: "log-probabilities of the chosen completions under the reference model",
    ...LOG_PROBABILITY,
  },
  referenceRejected: {
    is: "log-probabilities of the rejected completions under the reference model",
    ...LOG_PROBABILITY,
  },
  chosenLength: { is: "token counts of the chosen completions", dtype: "int32 or floating point" },
  rejectedLength: {
    is: "token counts of the rejected completions",
    dtype: "int32 or floating point",
  },
};

/**
 * The pairs, checked: those needed, and those given beyond.
 * @throws naming an input that is missing, is not a tensor of shape [batch], has the wrong dtype, or,
 * where its elements are known, is too large.
 */
export function checkPairs<Needed extends InputName = never>(
  loss: string,
  pairs: PairLogProbs,
  ...needed: Needed[]
): PairsWith<Needed> {
  checkBatch<InputName>(loss, pairs, MEANING, ["chosen", "rejected", ...needed]);
  return pairs as PairsWith<Needed>;
}

/**
 * Checks tensors of shape [batch], those needed and those given beyond, against the first one needed.
 * @throws naming an input that is missing, is not a tensor of shape [batch], has the wrong dtype, or,
 * where its elements are known, is too large.
 */
export function checkBatch<Name extends string>(
  loss: string,
  inputs: Readonly<Partial<Record<Name, Tensor>>>,
  meaning: Readonly<Record<Name, InputMeaning>>,
  needed: readonly Name[],
): void {
  if (!isPlainObject(inputs)) {
    throw new TypeError(
      `${loss}: needs an object of tensors { ${needed.join(", ")} }, got ${describeValue(inputs)}`,
    );
  }
  for (const name of needed) {
    if (inputs[name] === undefined) {
      throw new TypeError(`${loss}: needs \`${name}\`: ${meaning[name].is}, shape [batch]`);
    }
  }
  const [first] = needed as [Name];
  const { shape } = inputs[first]!;
  for (const name of Object.keys(meaning) as Name[]) {
    const input = inputs[name];
    if (input === undefined) continue;
    if (!(input instanceof Tensor)) {
      throw new TypeError(
        `${loss}: \`${name}\` must be a tensor, got ${describeValue(input)}; make one with ` +
          `tensor(…), or give arrays to lossGradient(${loss})`,
      );
    }
    if (input.rank !== 1 || input.size !== shape[0]) {
      throw new RangeError(
        input.rank === 1
          ? `${loss}: \`${name}\` has shape ${formatShape(input.shape)}, \`${first}\` has ${formatShape(shape)}`
          : `${loss}: \`${name}\` must have shape [batch], got ${formatShape(input.shape)}`,
      );
    }
    const { dtype, largest } = meaning[name];
    const fits = isFloating(input.dtype) || (input.dtype === "int32" && dtype !== "floating point");
    if (!fits && dtype !== "any") {
      throw new TypeError(`${loss}: \`${name}\` must be ${dtype}, got ${input.dtype}`);
    }
    if (largest === undefined) continue;
    for (const value of knownElements(input) ?? [input._element]) {
      if (value <= largest) continue;
      const doubt = value > 0 ? ": is the sign right?" : "";
      throw new RangeError(
        `${loss}: \`${name}\` holds ${value}; log-probabilities are at most 0${doubt}`,
      );
    }
  }
  if (shape[0] === 0) throw new RangeError(`${loss}: the batch is empty`);
}

/** β must be a number > 0. */
export function checkBeta(loss: string, beta: number): void {
  checkNumber(loss, "beta", beta, (b) => b > 0, "> 0");
}

/** The share of flipped labels must be at most one half. */
export function checkLabelSmoothing(loss: string, epsilon: number): void {
  checkNumber(loss, "labelSmoothing", epsilon, (e) => e >= 0 && e <= 0.5, "in [0, ½]");
}

/** Rejects what is no loss where one is an option. */
export function checkLoss(caller: string, option: string, loss: unknown): void {
  if (typeof loss === "function") return;
  const byName = typeof loss === "string" ? `; by its name it is lossByName("${loss}")` : "";
  throw new TypeError(
    `${caller}: ${option} must be a loss function such as dpoLoss, got ${describeValue(loss)}${byName}`,
  );
}
