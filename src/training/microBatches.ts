/**
 * The micro-batches of a step: parts evaluated one micro-batch at a time, and their sums.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { add } from "../ops/elementwise.js";
import { realize, realizeInto } from "../tensor/evaluate.js";
import type { Tensor } from "../tensor/tensor.js";
import { mapTrees, treeMap } from "../tensor/tree.js";
import type { Given, MicroBatches, Part, ResultOf } from "./objective.js";

/** What parts are, whatever they are given. */
type Parts<Batch> = Readonly<Record<string, Part<Batch>>>;

/**
 * The micro-batches of an objective's parts.
 * @param rows How many there are in all micro-batches.
 * @param count How many micro-batches there are.
 * @param batchAt Makes one. It is asked anew in every pass, so that only one has to be in memory.
 */
export function microBatchesOf<Batch, Own extends Parts<Batch>>(
  parts: Own,
  rows: number,
  count: number,
  batchAt: (index: number) => Batch | Promise<Batch>,
): MicroBatches<Own> {
  /** A part's result, evaluated. What the part did not compute itself is copied: all of it may be given up. */
  const evaluated = async <Name extends keyof Own>(
    name: Name,
    given: Given<Own[Name]>,
    index: number,
  ): Promise<ResultOf<Own[Name]>> => {
    const own = typeof given === "function" ? (given as (index: number) => unknown)(index) : given;
    const result = parts[name]!(own, await batchAt(index)) as ResultOf<Own[Name]>;
    return realize(treeMap((t) => (isComputed(t) ? stopGradient(t) : t), result));
  };
  return {
    rows,
    count,
    async sum(name, given) {
      let total = await evaluated(name, given, 0);
      for (let i = 1; i < count; i++) {
        const next = await evaluated(name, given, i);
        total = await realizeInto([total, next], summed(total, next));
      }
      return total;
    },
    async each(name, given) {
      const results = [];
      for (let i = 0; i < count; i++) results.push(await evaluated(name, given, i));
      return results;
    },
  };
}

/** Whether the tensor has its elements already, or is no one's result. */
const isComputed = ({ inputs, buffer, host }: Tensor): boolean =>
  inputs.length === 0 || buffer !== null || host !== null;

function summed<T>(total: T, next: T): T {
  const names = ["the micro-batches before", "this one"];
  return mapTrees("a part's sum", names, (a, b) => add(a, b!), total, [next]);
}
