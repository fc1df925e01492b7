/**
 * Losses and their gradients on plain arrays, for models that live in another framework.
 * @module
 */

import { gradients } from "../autograd/gradients.js";
import { describeValue, isPlainObject } from "../checks.js";
import type { TypedArray } from "../kernels/dtype.js";
import { checkLoss } from "../losses/inputs.js";
import type { PairLogProbs, PreferenceLoss } from "../losses/types.js";
import { realize } from "../tensor/evaluate.js";
import { Tensor } from "../tensor/tensor.js";
import { type TreeNumbers, treeNumbers } from "../tensor/tree.js";
import { type LossArrays, type TensorOption, tensorsOf } from "./arrays.js";

/** Gradients by input: of the policy's log-probabilities, and of each further input given. */
export type InputGradients<Options extends object> = {
  /** `∂loss/∂chosen` of each pair, per nat. */
  readonly chosen: TypedArray;
  /** `∂loss/∂rejected` of each pair, per nat. */
  readonly rejected: TypedArray;
} & { readonly [Name in TensorOption<Options>]?: TypedArray };

/** A loss's result, each `state` in it as plain numbers. */
export type WithPlainStates<T> = T extends Tensor
  ? T
  : T extends object
    ? { [Key in keyof T]: Key extends "state" ? TreeNumbers<T[Key]> : WithPlainStates<T[Key]> }
    : T;

/** What the function that {@link lossGradient} returns gives. */
export interface LossGradient<
  Result extends PreferenceLoss = PreferenceLoss,
  Options extends object = object,
> {
  /** The loss: the mean over the batch. */
  readonly loss: number;
  /** The loss of each pair. */
  readonly perPair: TypedArray;
  /**
   * What a backward pass goes on from: `∂loss/∂chosen`, `∂loss/∂rejected`, and by the same rule the
   * gradient of every further input, row after row; 0 where the loss takes it for a constant. The
   * mean's 1/B is in them.
   */
  readonly gradient: InputGradients<Options>;
  /** Implicit rewards of each pair. */
  readonly rewards: { readonly chosen: TypedArray; readonly rejected: TypedArray };
  /**
   * All that the loss function returned, evaluated, and each `state` in it as plain numbers: for the next
   * call, and for JSON.
   */
  readonly result: WithPlainStates<Result>;
}

/**
 * A preference loss as a function of plain arrays that gives the loss and its gradient as typed
 * arrays, so that a model in another framework can use it in its own backward pass: by the chain rule
 *
 * `∂L/∂θ = Σ_i (∂L/∂s_w,i)·∂s_w,i/∂θ + (∂L/∂s_l,i)·∂s_l,i/∂θ`, `s = log π_θ`,
 *
 * it is the gradient of `⟨gradient.chosen, chosen⟩ + ⟨gradient.rejected, rejected⟩` with the gradients
 * held constant. Repeated calls with a batch of the same size reuse one plan.
 *
 * What a loss takes for each pair beside log-probabilities, as options (`chosenKl`, `sentences`,
 * `offset`, …), is given with the arrays under the option's name, and its gradient stands beside the
 * others: whatever of it depends on θ has a term of its own in the chain rule.
 *
 * Where `chosen` and `rejected` are both `Float32Array` it computes in float32 and gives `Float32Array`,
 * else `Float64Array`; the other inputs are converted. Lengths are tokens, log-probabilities nats, as
 * {@link PairLogProbs} has them.
 *
 * @param lossFunction Any preference loss of this library, or one with their signature.
 * @returns a function of the arrays and the loss's own options.
 * @throws (the returned promise rejects) for a missing input, something that is no array, an element
 * that is not a finite number, arrays of different lengths, an input given as an option too, and what
 * the loss itself throws.
 * @example
 * const { loss, gradient } = await lossGradient(tdpoLoss)(
 *   { chosen, rejected, referenceChosen, referenceRejected, chosenKl, rejectedKl },
 *   { beta: 0.5 },
 * );
 */
export function lossGradient<Options extends object, Result extends PreferenceLoss>(
  lossFunction: (pairs: PairLogProbs, options?: Options) => Result,
): (arrays: LossArrays<Options>, options?: Options) => Promise<LossGradient<Result, Options>> {
  checkLoss("lossGradient", "the argument", lossFunction);
  return async (arrays, options) => {
    if (options !== undefined && !isPlainObject(options)) {
      throw new TypeError(
        `lossGradient: takes (arrays, options), got ${describeValue(options)} for the options`,
      );
    }
    const { pairs, further } = tensorsOf(arrays);
    for (const name of Object.keys(further)) {
      if (options !== undefined && Object.hasOwn(options, name)) {
        throw new TypeError(
          `lossGradient: \`${name}\` is among the arrays and the options; give one`,
        );
      }
    }
    const result = lossFunction(pairs, { ...options, ...further } as Options);
    const inputs = { chosen: pairs.chosen, rejected: pairs.rejected, ...further };
    const slopes = gradients(result.loss, Object.values(inputs));
    await realize(result, slopes);
    const plain = await withPlainStates(result);
    const [loss, perPair, chosen, rejected, ...values] = await Promise.all([
      result.loss.item(),
      result.perPair.data(),
      result.rewards.chosen.data(),
      result.rewards.rejected.data(),
      ...slopes.map((slope) => slope.data()),
    ]);
    const named = Object.keys(inputs).map((name, i) => [name, values[i]!]);
    return {
      loss,
      perPair,
      gradient: Object.fromEntries(named) as InputGradients<Options>,
      rewards: { chosen, rejected },
      result: plain,
    };
  };
}

/** The result with plain numbers for the tensors of its states. */
async function withPlainStates<T>(tree: T): Promise<WithPlainStates<T>> {
  if (tree instanceof Tensor || typeof tree !== "object" || tree === null) return tree as never;
  const entries = Object.entries(tree).map(async ([key, value]) => [
    key,
    await (key === "state" ? treeNumbers(value) : withPlainStates(value)),
  ]);
  const read = await Promise.all(entries);
  return (Array.isArray(tree) ? read.map(([, value]) => value) : Object.fromEntries(read)) as never;
}
