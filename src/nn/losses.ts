/**
 * Losses of supervised learning, averaged unless asked otherwise.
 * @module
 */

import { checkChoice, checkNumber, checkOptions } from "../checks.js";
import { logSigmoid, logSoftmax } from "../ops/activations.js";
import { add, cast, div, equal, mul, neg, notEqual, sub, where } from "../ops/elementwise.js";
import { takeAlongAxis } from "../ops/indexing.js";
import { expandDims, squeeze } from "../ops/movement.js";
import { mean, sum } from "../ops/reduce.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import { checkTensor, type Tensor } from "../tensor/tensor.js";
import { checkIds } from "./embedding.js";

/** What becomes of the losses of single elements: their mean, their sum, or all of them. */
export type LossReduction = "mean" | "sum" | "none";

/** Options of {@link meanSquaredError} and {@link binaryCrossEntropyWithLogits}. */
export interface ReducedLossOptions {
  /** Default `"mean"`. */
  readonly reduction?: LossReduction;
}

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions extends ReducedLossOptions {
  /** Positions with this id count for nothing, whatever their logits; default −100. */
  readonly ignoreIndex?: number;
  /** ε in [0, 1]: the share of each target that is spread evenly over the classes; default 0. */
  readonly labelSmoothing?: number;
}

/**
 * Cross-entropy of class ids under logits, in nats. The classes are the **last** axis (in PyTorch the second): logits
 * `[…, classes]`, ids `[…]` as int32.
 *
 * `−(1 − ε)·log p_id − ε/C·Σ_c log p_c` with `p = softmax(logits)`.
 *
 * The mean is over the positions that count; over none of them it is NaN. Of ids that are computed, one that
 * is no class gives NaN.
 *
 * @throws if ids are no integers, not of the logits' shape without the last axis, or known and no class.
 */
export function crossEntropy(
  logits: Tensor,
  ids: Tensor,
  options: CrossEntropyOptions = {},
): Tensor {
  checkTensor("crossEntropy", logits);
  checkTensor("crossEntropy", ids);
  checkOptions("crossEntropy", options, "reduction", "ignoreIndex", "labelSmoothing");
  const { reduction = "mean", ignoreIndex = -100, labelSmoothing = 0 } = options;
  checkReduction("crossEntropy", reduction);
  const inUnit = (x: number): boolean => x >= 0 && x <= 1;
  checkNumber("crossEntropy", "labelSmoothing", labelSmoothing, inUnit, "in [0, 1]");
  if (logits.rank === 0 || !sameShape(ids.shape, logits.shape.slice(0, -1))) {
    throw new RangeError(
      `crossEntropy: ids have shape ${formatShape(ids.shape)}; for logits ${formatShape(logits.shape)}, ` +
        `whose last axis are the classes, they need ${formatShape(logits.shape.slice(0, -1))}`,
    );
  }
  checkIds("crossEntropy", ids, logits.shape.at(-1)!, ignoreIndex);
  const ignored = expandDims(equal(ids, ignoreIndex), -1);
  // Rows that do not count are replaced, so that nothing of them reaches the gradient.
  const logProbs = logSoftmax(where(ignored, 0, logits));
  const picked = takeAlongAxis(logProbs, where(ignored, 0, expandDims(ids, -1)));
  const expected =
    labelSmoothing === 0
      ? picked
      : add(
          mul(picked, 1 - labelSmoothing),
          mul(mean(logProbs, -1, { keepDims: true }), labelSmoothing),
        );
  const losses = squeeze(where(ignored, 0, neg(expected)), -1);
  if (reduction !== "mean") return reduced(losses, reduction);
  return div(sum(losses), sum(cast(notEqual(ids, ignoreIndex), losses.dtype)));
}

/** `(prediction − target)²`, averaged. Both have the same shape: nothing is broadcast. */
export function meanSquaredError(
  prediction: Tensor,
  target: Tensor,
  options: ReducedLossOptions = {},
): Tensor {
  const reduction = checkElementwise("meanSquaredError", prediction, target, options);
  const error = sub(prediction, target);
  return reduced(mul(error, error), reduction);
}

/**
 * Binary cross-entropy of targets in [0, 1] under logits x, in nats, averaged:
 * `−t·log σ(x) − (1 − t)·log σ(−x)`, finite for every finite x. Both have the same shape: nothing is broadcast.
 */
export function binaryCrossEntropyWithLogits(
  logits: Tensor,
  targets: Tensor,
  options: ReducedLossOptions = {},
): Tensor {
  const reduction = checkElementwise("binaryCrossEntropyWithLogits", logits, targets, options);
  const ofTrue = mul(targets, logSigmoid(logits));
  const ofFalse = mul(sub(1, targets), logSigmoid(neg(logits)));
  return reduced(neg(add(ofTrue, ofFalse)), reduction);
}

function checkElementwise(
  loss: string,
  a: Tensor,
  b: Tensor,
  options: ReducedLossOptions,
): LossReduction {
  checkTensor(loss, a);
  checkTensor(loss, b);
  checkOptions(loss, options, "reduction");
  if (!sameShape(a.shape, b.shape)) {
    throw new RangeError(
      `${loss}: shapes ${formatShape(a.shape)} and ${formatShape(b.shape)} differ; reshape or broadcastTo what is meant`,
    );
  }
  const { reduction = "mean" } = options;
  checkReduction(loss, reduction);
  return reduction;
}

function checkReduction(loss: string, reduction: LossReduction): void {
  checkChoice(loss, "reduction", reduction, ["mean", "sum", "none"]);
}

function reduced(losses: Tensor, reduction: LossReduction): Tensor {
  if (reduction === "none") return losses;
  return reduction === "sum" ? sum(losses) : mean(losses);
}
