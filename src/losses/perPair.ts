/**
 * What a loss takes for each pair beside log-probabilities: given as options, checked here.
 * @module
 */

import { checkNumber } from "../checks.js";
import { isFloating } from "../kernels/dtype.js";
import { tensor } from "../tensor/create.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";

/**
 * A tensor for each pair, of the log-probabilities' dtype.
 * @param like A [batch] tensor.
 * @throws naming the option if it is missing, not a floating-point tensor, or of another shape.
 */
export function perPairTensor(
  loss: string,
  option: string,
  meaning: string,
  value: Tensor | undefined,
  like: Tensor,
): Tensor {
  if (value === undefined) {
    throw new TypeError(
      `${loss}: needs the option \`${option}\`: ${meaning}, shape ${formatShape(like.shape)}`,
    );
  }
  if (!(value instanceof Tensor && isFloating(value.dtype))) {
    const found = value instanceof Tensor ? value.dtype : typeof value;
    throw new TypeError(`${loss}: ${option} must be a floating-point tensor, got ${found}`);
  }
  if (!sameShape(value.shape, like.shape)) {
    throw new RangeError(
      `${loss}: ${option} must have shape ${formatShape(like.shape)}, got ${formatShape(value.shape)}`,
    );
  }
  return value.cast(like.dtype);
}

/** Rejects a number out of range where there may be a tensor too: a check that needs no pairs. */
export function checkIfNumber(
  loss: string,
  option: string,
  value: unknown,
  holds: (value: number) => boolean = () => true,
  condition = "or a tensor",
): void {
  if (typeof value === "number") checkNumber(loss, option, value, holds, condition);
}

/** The same, or one number (or scalar tensor) for all pairs; see {@link checkIfNumber}. */
export function perPairValue(
  loss: string,
  option: string,
  meaning: string,
  value: Tensor | number | undefined,
  like: Tensor,
): Tensor | number {
  if (typeof value === "number") return value;
  if (value instanceof Tensor && value.size === 1) {
    return value.reshape([]).cast(like.dtype);
  }
  return perPairTensor(loss, option, meaning, value, like);
}

/** A number of a state, kept as a tensor or read back as a plain number, as a scalar tensor. */
export function stateScalar(
  loss: string,
  name: string,
  value: Tensor | number,
  like: Tensor,
): Tensor {
  if (value instanceof Tensor) return value.reshape([]).cast(like.dtype);
  checkNumber(loss, name, value, () => true, "or a tensor");
  return tensor(value, { dtype: like.dtype });
}
