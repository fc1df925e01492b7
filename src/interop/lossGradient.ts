/**
 * Losses and their gradients on plain arrays, for models that live in another framework.
 * @module
 */

import { gradients } from "../autograd/gradients.js";
import type { DType, TypedArray } from "../kernels/dtype.js";
import type { PairLogProbs, PreferenceLoss } from "../losses/types.js";
import { tensor } from "../tensor/create.js";
import { realize } from "../tensor/evaluate.js";
import type { Tensor } from "../tensor/tensor.js";

/** Numbers, one for each pair. */
export type NumberArray =
  | readonly number[]
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** {@link PairLogProbs} as plain or typed arrays, each of the batch's length. */
export type PairArrays = { readonly [Name in keyof PairLogProbs]: NumberArray };

/** What the function that {@link lossGradient} returns gives. */
export interface LossGradient<Result extends PreferenceLoss = PreferenceLoss> {
  /** The loss: the mean over the batch. */
  readonly loss: number;
  /** The loss of each pair. */
  readonly perPair: TypedArray;
  /**
   * `∂loss/∂chosen` and `∂loss/∂rejected` of each pair, per nat: what a backward pass goes on from.
   * The mean's 1/B is in them.
   */
  readonly gradient: { readonly chosen: TypedArray; readonly rejected: TypedArray };
  /** Implicit rewards of each pair. */
  readonly rewards: { readonly chosen: TypedArray; readonly rejected: TypedArray };
  /** All that the loss function returned, evaluated: a loss's `state` for its next call is here. */
  readonly result: Result;
}

/** The inputs; a missing one would not compile. */
const INPUTS: Readonly<Record<keyof PairLogProbs, true>> = {
  chosen: true,
  rejected: true,
  referenceChosen: true,
  referenceRejected: true,
  chosenLength: true,
  rejectedLength: true,
};

/**
 * A preference loss as a function of plain arrays that gives the loss and its gradient as typed
 * arrays, so that a model in another framework can use it in its own backward pass: by the chain rule
 *
 * `∂L/∂θ = Σ_i (∂L/∂s_w,i)·∂s_w,i/∂θ + (∂L/∂s_l,i)·∂s_l,i/∂θ`, `s = log π_θ`,
 *
 * it is the gradient of `⟨gradient.chosen, chosen⟩ + ⟨gradient.rejected, rejected⟩` with the gradients
 * held constant. Repeated calls with a batch of the same size reuse one plan.
 *
 * Where `chosen` and `rejected` are both `Float32Array` it computes in float32 and gives `Float32Array`,
 * else `Float64Array`; the other inputs are converted. Lengths are tokens, log-probabilities nats, as
 * {@link PairLogProbs} has them.
 *
 * @param lossFunction Any preference loss of this library, or one with their signature.
 * @returns a function of the arrays and the loss's own options.
 * @throws (the returned promise rejects) for an unknown or missing input, something that is no array,
 * an element that is not a finite number, arrays of different lengths, and what the loss itself throws.
 * @example
 * const { loss, gradient } = await lossGradient(simpoLoss)(
 *   { chosen, rejected, chosenLength, rejectedLength },
 *   { beta: 2.5 },
 * );
 */
export function lossGradient<Options extends object, Result extends PreferenceLoss>(
  lossFunction: (pairs: PairLogProbs, options?: Options) => Result,
): (arrays: PairArrays, options?: Options) => Promise<LossGradient<Result>> {
  return async (arrays, options) => {
    const pairs = pairsOf(arrays);
    const result = lossFunction(pairs, options);
    const slopes = gradients(result.loss, [pairs.chosen, pairs.rejected]);
    await realize(result, slopes);
    const [toChosen, toRejected] = slopes;
    const [loss, perPair, chosen, rejected, chosenReward, rejectedReward] = await Promise.all([
      result.loss.item(),
      result.perPair.data(),
      toChosen!.data(),
      toRejected!.data(),
      result.rewards.chosen.data(),
      result.rewards.rejected.data(),
    ]);
    return {
      loss,
      perPair,
      gradient: { chosen, rejected },
      rewards: { chosen: chosenReward, rejected: rejectedReward },
      result,
    };
  };
}

function pairsOf(arrays: PairArrays): PairLogProbs {
  const given = Object.entries(arrays).filter(
    (entry): entry is [string, NumberArray] => entry[1] !== undefined,
  );
  for (const name of ["chosen", "rejected"] as const) {
    if (arrays[name] === undefined) throw new TypeError(`lossGradient: needs \`${name}\``);
  }
  for (const [name, values] of given) check(name, values, arrays.chosen.length);
  const single = arrays.chosen instanceof Float32Array && arrays.rejected instanceof Float32Array;
  const dtype: DType = single ? "float32" : "float64";
  return Object.fromEntries(
    given.map(([name, values]): [string, Tensor] => [
      name,
      tensor(values as number[], { dtype, shape: [values.length] }),
    ]),
  ) as unknown as PairLogProbs;
}

function check(name: string, values: unknown, batch: number): void {
  if (!Object.hasOwn(INPUTS, name)) {
    const known = Object.keys(INPUTS).join(", ");
    throw new TypeError(`lossGradient: there is no input \`${name}\`; there are ${known}`);
  }
  const isArray =
    Array.isArray(values) || (ArrayBuffer.isView(values) && !(values instanceof DataView));
  if (!isArray) {
    throw new TypeError(
      `lossGradient: \`${name}\` must be an array of numbers, got ${values === null ? "null" : typeof values}`,
    );
  }
  const numbers = values as ArrayLike<unknown>;
  if (numbers.length !== batch) {
    throw new RangeError(
      `lossGradient: \`${name}\` has ${numbers.length} elements, \`chosen\` has ${batch}`,
    );
  }
  for (let i = 0; i < numbers.length; i++) {
    if (!Number.isFinite(numbers[i])) {
      throw new RangeError(
        `lossGradient: \`${name}\` must hold finite numbers, got ${String(numbers[i])} at ${i}`,
      );
    }
  }
}
