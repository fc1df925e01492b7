/**
 * Checks all losses share: inputs that are missing or do not fit, options that are unknown or out of
 * range. Nothing a caller gives is dropped silently.
 * @module
 */

import { isFloating } from "../kernels/dtype.js";
import { formatShape } from "../tensor/shape.js";
import { describeValue, Tensor } from "../tensor/tensor.js";
import type { PairLogProbs } from "./types.js";

type InputName = keyof PairLogProbs;

/** What an input is, and of which dtypes. */
export interface InputMeaning {
  readonly is: string;
  readonly dtype: "floating point" | "int32 or floating point" | "any";
}

/** The inputs, those a loss names guaranteed to be there. */
export type PairsWith<Needed extends InputName> = PairLogProbs &
  Required<Pick<PairLogProbs, Needed>>;

const MEANING: Readonly<Record<InputName, InputMeaning>> = {
  chosen: { is: "log-probabilities of the chosen completions", dtype: "floating point" },
  rejected: { is: "log-probabilities of the rejected completions", dtype: "floating point" },
  referenceChosen: {
    is: "log-probabilities of the chosen completions under the reference model",
    dtype: "floating point",
  },
  referenceRejected: {
    is: "log-probabilities of the rejected completions under the reference model",
    dtype: "floating point",
  },
  chosenLength: { is: "token counts of the chosen completions", dtype: "int32 or floating point" },
  rejectedLength: {
    is: "token counts of the rejected completions",
    dtype: "int32 or floating point",
  },
};

/**
 * The pairs, checked: those needed, and those given beyond.
 * @throws naming an input that is missing, is not a tensor of shape [batch], or has the wrong dtype.
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
 * @throws naming an input that is missing, is not a tensor of shape [batch], or has the wrong dtype.
 */
export function checkBatch<Name extends string>(
  loss: string,
  inputs: Readonly<Partial<Record<Name, Tensor>>>,
  meaning: Readonly<Record<Name, InputMeaning>>,
  needed: readonly Name[],
): void {
  if (typeof inputs !== "object" || inputs === null) {
    throw new TypeError(`${loss}: needs an object of tensors, got ${describeValue(inputs)}`);
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
      throw new TypeError(`${loss}: \`${name}\` must be a tensor, got ${typeof input}`);
    }
    if (input.rank !== 1 || input.size !== shape[0]) {
      throw new RangeError(
        input.rank === 1
          ? `${loss}: \`${name}\` has shape ${formatShape(input.shape)}, \`${first}\` has ${formatShape(shape)}`
          : `${loss}: \`${name}\` must have shape [batch], got ${formatShape(input.shape)}`,
      );
    }
    const { dtype } = meaning[name];
    const fits = isFloating(input.dtype) || (input.dtype === "int32" && dtype !== "floating point");
    if (!fits && dtype !== "any") {
      throw new TypeError(`${loss}: \`${name}\` must be ${dtype}, got ${input.dtype}`);
    }
  }
  if (shape[0] === 0) throw new RangeError(`${loss}: the batch is empty`);
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
    throw new RangeError(
      `${loss}: ${option} must be a number ${condition}, got ${describeValue(value)}`,
    );
  }
}

/** Rejects an option that is neither true nor false. */
export function checkFlag(loss: string, option: string, value: boolean): void {
  if (typeof value !== "boolean") {
    throw new TypeError(`${loss}: ${option} must be true or false, got ${describeValue(value)}`);
  }
}

/** Rejects a state that is no object. */
export function checkState(loss: string, form: string, state: object): void {
  if (typeof state !== "object" || state === null) {
    throw new TypeError(`${loss}: state must be ${form}, got ${describeValue(state)}`);
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
    throw new RangeError(`${loss}: ${option} must be one of ${list}, got ${describeValue(value)}`);
  }
}
