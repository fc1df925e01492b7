/**
 * Checks of what bilevel steps are given and of what they compute.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { isfinite, stack, sum, where } from "../ops/index.js";
import { formatShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { treeNamed } from "../tensor/tree.js";

/** What the problem's function returned, a scalar. */
export function scalar(level: "upper" | "lower", value: Tensor): Tensor {
  if (value instanceof Tensor && value.size === 1) return value.reshape([]);
  const found = value instanceof Tensor ? `shape ${formatShape(value.shape)}` : typeof value;
  throw new TypeError(`bilevelStep: ${level} must return a scalar tensor, but returned ${found}`);
}

/** An option that is a constant: a finite number or a scalar tensor. */
export function scalarOption(option: string, value: number | Tensor): number | Tensor {
  if (!(value instanceof Tensor)) {
    checkNumber("bilevelStep", option, value, () => true, "or a scalar tensor");
    return value;
  }
  if (value.size !== 1) {
    throw new RangeError(`bilevelStep: ${option} must be a scalar, got shape [${value.shape}]`);
  }
  return stopGradient(value.reshape([]));
}

/** Rejects options a method does not have. */
export function checkKnown<Options extends { readonly method: string }>(
  options: Options,
  ...known: (keyof Options & string)[]
): void {
  checkOptions(`bilevelStep: method "${options.method}"`, options, "method", ...known);
}

/** Rejects an evaluated loss that is NaN or infinite. */
export async function checkFinite(what: string, loss: Tensor): Promise<void> {
  const value = await loss.item();
  if (!Number.isFinite(value)) throw new Error(`bilevelStep: ${what} is ${value}`);
}

/**
 * The check that trees, given by what they are, have no NaN or infinite elements. `counts` is graph, to
 * be evaluated along with them; `check` then rejects, naming the first tensor that has such elements.
 */
export function finiteness(trees: Readonly<Record<string, unknown>>) {
  const tensors = Object.entries(trees).flatMap(([what, tree]) =>
    Object.entries(treeNamed(tree)).map(
      ([name, t]) => [name === "" ? what : `${what} at ${name}`, t] as const,
    ),
  );
  const counts = stack(tensors.map(([, t]) => sum(where(isfinite(t), 0, 1))));
  const check = async (): Promise<void> => {
    for (const [i, count] of (await counts.data()).entries()) {
      if (count > 0) {
        throw new Error(`bilevelStep: ${tensors[i]![0]} has ${count} NaN or infinite elements`);
      }
    }
  };
  return { counts, check };
}
