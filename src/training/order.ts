/**
 * The order in which the rows of a dataset are trained on, epoch by epoch: a function of the seed and the epoch, so
 * that a run continues with the same rows wherever it was interrupted.
 * @module
 */

import { checkCount, checkOptions } from "../checks.js";
import { mersenneTwister } from "./mersenneTwister.js";

/** The indices of all rows, each once, in the order of an epoch, counted from 0. */
export type Order = (epoch: number) => ArrayLike<number>;

/**
 * The order of TRL's `train_sampling_strategy: random`, index for index: epoch e is `torch.randperm(count)` with a
 * generator of seed `seed + e`.
 *
 * @throws for a count or a seed that is no integer ≥ 0.
 */
export function randomOrder(count: number, seed = 42): Order {
  checkCount("randomOrder", "count", count);
  checkCount("randomOrder", "seed", seed);
  return (epoch) => randomPermutation(count, seed + epoch);
}

/** From the first row to the last, in every epoch. */
export function sequentialOrder(count: number): Order {
  checkCount("sequentialOrder", "count", count);
  return () => Uint32Array.from({ length: count }, (_, i) => i);
}

/** Options of {@link groupByLength}. */
export interface GroupByLengthOptions {
  /** Rows of a step: batch size times accumulation. */
  readonly rowsPerStep: number;
  /** Default 42. */
  readonly seed?: number;
}

/**
 * An order in which neighbours have similar lengths, so that batches hold little padding: transformers'
 * `group_by_length`. Of a {@link randomOrder}, stretches of up to 50 steps are sorted by falling length; then the
 * longest row of all comes first, so that it is the first step that does not fit into memory.
 *
 * @param lengths The rows' lengths, by index.
 * @throws for options that are no counts.
 */
export function groupByLength(lengths: ArrayLike<number>, options: GroupByLengthOptions): Order {
  checkOptions("groupByLength", options, "rowsPerStep", "seed");
  const { rowsPerStep, seed = 42 } = options;
  checkCount("groupByLength", "rowsPerStep", rowsPerStep, 1);
  checkCount("groupByLength", "seed", seed);
  const count = lengths.length;
  const stretch = rowsPerStep * Math.max(1, Math.min(50, Math.floor(count / (rowsPerStep * 4))));
  return (epoch) => {
    const order = randomPermutation(count, seed + epoch);
    let [first, longest] = [0, Number.NEGATIVE_INFINITY];
    for (let from = 0; from < count; from += stretch) {
      const part = order.subarray(from, from + stretch);
      part.sort((a, b) => lengths[b]! - lengths[a]!);
      if (lengths[part[0]!]! > longest) [first, longest] = [from, lengths[part[0]!]!];
    }
    if (count > 0) [order[0], order[first]] = [order[first]!, order[0]!];
    return order;
  };
}

/** Fisher and Yates, as `torch.randperm` has it. */
function randomPermutation(count: number, seed: number): Uint32Array {
  const next = mersenneTwister(seed);
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = 0; i < count - 1; i++) {
    const j = i + (next() % (count - i));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** The steps that rows in an order are cut into. */
export interface Windows {
  readonly stepsPerEpoch: number;
  /** The micro-batches of a step, as indices of rows. */
  at(step: number): readonly (readonly number[])[];
  /** Epochs gone after so many steps, in micro-batches: 1½ is in the middle of the second. */
  epochAfter(steps: number): number;
}

/**
 * Epochs cut into micro-batches of `batchSize` rows, and these into steps of `accumulation` micro-batches. The last
 * of either may be shorter; none reaches into the next epoch.
 */
export function windowsOf(
  order: Order,
  count: number,
  batchSize: number,
  accumulation: number,
): Windows {
  const batches = Math.ceil(count / batchSize);
  const stepsPerEpoch = Math.ceil(batches / accumulation);
  let known: { epoch: number; rows: ArrayLike<number> } | undefined;
  const rowsOf = (epoch: number): ArrayLike<number> => {
    if (known?.epoch !== epoch) known = { epoch, rows: checkedOrder(order(epoch), count) };
    return known.rows;
  };
  return {
    stepsPerEpoch,
    at(step) {
      const rows = rowsOf(Math.floor(step / stepsPerEpoch));
      const first = (step % stepsPerEpoch) * accumulation;
      const length = Math.min(accumulation, batches - first);
      return Array.from({ length }, (_, i) => {
        const from = (first + i) * batchSize;
        return Array.from(
          { length: Math.min(batchSize, count - from) },
          (_, row) => rows[from + row]!,
        );
      });
    },
    epochAfter(steps) {
      const within = Math.min(batches, (steps % stepsPerEpoch) * accumulation);
      return Math.floor(steps / stepsPerEpoch) + within / batches;
    },
  };
}

/** Rejects an order that leaves rows out or repeats them. */
function checkedOrder(rows: ArrayLike<number>, count: number): ArrayLike<number> {
  const seen = new Uint8Array(count);
  let distinct = 0;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (seen[row] === 0) distinct++;
    seen[row] = 1;
  }
  if (rows.length === count && distinct === count) return rows;
  throw new RangeError(
    `fit: order must give each of the ${count} rows once, got ${rows.length} indices, ${distinct} distinct rows`,
  );
}
