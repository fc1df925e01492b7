/**
 * The objective of one's own model: a function from parameters and rows to a loss.
 * @module
 */

import { valueAndGrad } from "../autograd/transforms.js";
import { checkFunction, describeValue, isPlainObject } from "../checks.js";
import { stopGradient } from "../ops/composite.js";
import { cast, div, mul } from "../ops/elementwise.js";
import { realizeInto } from "../tensor/evaluate.js";
import { Tensor } from "../tensor/tensor.js";
import { treeMap } from "../tensor/tree.js";
import type { Objective, WeightedSum } from "./objective.js";
import { weightedSum } from "./weightedSum.js";

/** What a function of parameters and rows says of them. */
export interface BatchLoss {
  /** The mean over what is counted in these rows, a scalar. */
  readonly loss: Tensor;
  /** How much is counted, for instance tokens; default the number of rows. */
  readonly weight?: Tensor | number;
  /** Further means over the same, scalars by the names of the log. */
  readonly metrics?: Readonly<Record<string, Tensor>>;
}

/** A loss of some rows at parameters: their mean, or a mean of what {@link BatchLoss} says. */
export type LossFunction<P, Row> = (parameters: P, rows: readonly Row[]) => Tensor | BatchLoss;

/** The parts of {@link lossObjective}. */
export interface LossParts<P, Row> {
  /** `w·∇loss` of the rows, and `[w·x, w]` of each mean. */
  gradient(
    parameters: P,
    rows: readonly Row[],
  ): { readonly gradient: P; readonly metrics: Readonly<Record<string, WeightedSum>> };
  /** `[w·x, w]` of each mean. */
  metrics(parameters: P, rows: readonly Row[]): Readonly<Record<string, WeightedSum>>;
  readonly [name: string]: (parameters: P, rows: readonly Row[]) => unknown;
}

/**
 * The objective `Σ w·loss / Σ w` over the micro-batches of a step. Where the loss is a mean over rows, or one over
 * tokens with their number as weight, it is the mean over the step, however the step is cut.
 *
 * @throws (when used) if the function gives no scalar.
 * @example
 * lossObjective((at: typeof parameters, rows: readonly Example[]) => {
 *   const [x, y] = batchOf(rows);
 *   return crossEntropy(apply(at, x), y);
 * });
 */
export function lossObjective<P, Row>(
  f: LossFunction<P, Row>,
): Objective<P, Row, null, readonly Row[], LossParts<P, Row>> {
  checkFunction("lossObjective", f);
  return {
    init: () => null,
    collate: (rows) => rows,
    parts: {
      gradient(parameters, rows) {
        const [[, metrics], gradient] = valueAndGrad(
          (at: P) => {
            const { loss, weight, metrics } = measured(f(at, rows), rows.length);
            const scale =
              weight instanceof Tensor ? cast(stopGradient(weight), loss.dtype) : weight;
            return [mul(loss, scale), metrics] as const;
          },
          { hasAux: true },
        )(parameters);
        return { gradient, metrics };
      },
      metrics: (parameters, rows) => measured(f(parameters, rows), rows.length).metrics,
    },
    async step({ parameters, state }, microBatches) {
      const { gradient, metrics } = await microBatches.sum("gradient", parameters);
      const weight = metrics.loss!.slice([1, 2]).reshape([]);
      const mean = treeMap((g) => div(g, cast(weight, g.dtype)), gradient);
      return { gradient: await realizeInto(gradient, mean), state, metrics };
    },
    evaluate: ({ parameters }, microBatches) => microBatches.sum("metrics", parameters),
  };
}

function measured(
  given: Tensor | BatchLoss,
  rows: number,
): { loss: Tensor; weight: Tensor | number; metrics: Readonly<Record<string, WeightedSum>> } {
  const { loss, weight = rows, metrics = {} } = given instanceof Tensor ? { loss: given } : given;
  if (!(loss instanceof Tensor && loss.size === 1)) {
    const found = loss instanceof Tensor ? `shape [${loss.shape}]` : describeValue(given);
    throw new TypeError(
      `fit: the objective must give a scalar tensor, or { loss, weight, metrics } with one, got ${found}` +
        (isPlainObject(given) ? " for loss" : ""),
    );
  }
  const means = Object.entries({ loss, ...metrics });
  return {
    loss: loss.reshape([]),
    weight: weight instanceof Tensor ? weight.reshape([]) : weight,
    metrics: Object.fromEntries(means.map(([name, mean]) => [name, weightedSum(mean, weight)])),
  };
}
