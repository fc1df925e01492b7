/**
 * SPO's v* as the formulation has it: the value of the lower level, found by fine-tuning on the chosen completions.
 * @module
 */

import { checkChoice, checkCount, checkOptions } from "../checks.js";
import type { PreferenceRow, Rows } from "../data/rows.js";
import { fingerprint } from "../files/fingerprint.js";
import { type DirectoryTarget, outputDirectory } from "../files/outputDirectory.js";
import { perToken } from "../losses/logRatios.js";
import { tensor } from "../tensor/create.js";
import { realize } from "../tensor/evaluate.js";
import { treeLeaves, treeUnflatten } from "../tensor/tree.js";
import { adamwFor } from "./adamwFor.js";
import { fit } from "./fit.js";
import { checkRowKind, givenRows } from "./givenRows.js";
import { columnsIn, contents, keep } from "./keptNumbers.js";
import { microBatchesOf } from "./microBatches.js";
import type { Objective } from "./objective.js";
import { checkPolicy, type Policy } from "./policy.js";
import { type RowBatch, rowObjective } from "./rowObjective.js";
import {
  completion,
  type PackedSequences,
  packSequences,
  type ReadingOptions,
  scoreSequences,
} from "./sequences.js";
import { weightedSum } from "./weightedSum.js";

/** Options of {@link optimumFloor}. */
export interface OptimumFloorOptions<P> extends ReadingOptions {
  /** What is fine-tuned, from where preference training will start. It stays as it is. */
  readonly policy: Policy<P>;
  /** Steps of fine-tuning. */
  readonly steps: number;
  /** The highest rate of AdamW, which falls linearly to 0. */
  readonly learningRate: number;
  /** Rows that choose the step. Default: none, and the last step is taken. */
  readonly heldOut?: Rows<PreferenceRow> | readonly PreferenceRow[];
  /** Steps between looks at them; default an eighth of `steps`. */
  readonly every?: number;
  /** Unit of the supervised loss, as {@link spoLoss} has it: `"token"` (default) or `"sequence"`. */
  readonly per?: "token" | "sequence";
  /** Rows of a step; default 8. */
  readonly batchSize?: number;
  /** Of the order of rows; default 42. */
  readonly seed?: number;
  /** Directory where the value is kept, as references are: see {@link withReferences}. */
  readonly cache?: DirectoryTarget;
  /** Called after each step. */
  readonly onProgress?: (done: number, steps: number) => void;
}

/** What {@link optimumFloor} finds. */
export interface OptimumFloor {
  /** v*, nats per unit: the supervised loss of the training rows at the step. */
  readonly floor: number;
  /** The step at which the held-out rows' loss was lowest; 0 is before the first. */
  readonly step: number;
  /** Whether it was in the cache; null without one. */
  readonly cached: boolean | null;
}

/**
 * SPO's v*, the supervised loss that can be reached: a copy of what is trained is fine-tuned on the chosen completions, the
 * held-out rows choose the step (on the training rows the loss falls as long as one trains), and v* is
 * `mean_i(−log π(y_w|x))`, per token or sequence, of the training rows there.
 *
 * @throws (the returned promise rejects) for options out of range, before anything is computed, and as {@link fit} does.
 * @example
 * const { floor } = await optimumFloor(pairs, { policy, heldOut, steps: 100, learningRate: 1e-5 });
 * const objective = preferenceObjective({ policy, spo: { gamma: "dual", floor } });
 */
export async function optimumFloor<P>(
  rows: Rows<PreferenceRow> | readonly PreferenceRow[],
  options: OptimumFloorOptions<P>,
): Promise<OptimumFloor> {
  checkOptions("optimumFloor", options, ...OPTIONS);
  const { policy, steps, learningRate, heldOut, per = "token", batchSize = 8, seed = 42 } = options;
  checkCount("optimumFloor", "steps", steps, 1);
  const { every = Math.ceil(steps / 8), cache } = options;
  checkCount("optimumFloor", "every", every, 1);
  checkChoice("optimumFloor", "per", per, ["token", "sequence"]);
  checkPolicy("optimumFloor", policy);
  const training = givenRows("optimumFloor", "rows", rows);
  const choosing = heldOut && givenRows("optimumFloor", "heldOut", heldOut);
  if (cache === undefined) {
    return { ...(await found(training, choosing, { ...options, every })), cached: null };
  }
  const settings = JSON.stringify({ steps, learningRate, every, per, batchSize, seed });
  const data = choosing ? [training, choosing] : [training];
  const print = await fingerprint(preceded(settings, contents(policy as Policy<unknown>, data)));
  const directory = await outputDirectory(cache);
  const name = `floor-${print.slice(0, 32)}.safetensors`;
  const kept = await columnsIn(directory, name);
  if (kept?.found) {
    const [floor, step] = kept.found as unknown as [number, number];
    return { floor, step, cached: true };
  }
  const own = await found(training, choosing, { ...options, every });
  await keep(directory, name, { found: Float64Array.of(own.floor, own.step) });
  return { ...own, cached: false };
}

const OPTIONS = [
  "policy",
  "steps",
  "learningRate",
  "heldOut",
  "every",
  "per",
  "batchSize",
  "seed",
  "cache",
  "onProgress",
  "chunkSize",
  "multipleOf",
] as const;

async function* preceded(text: string, pieces: AsyncIterable<Uint8Array>) {
  yield new TextEncoder().encode(text);
  yield* pieces;
}

async function found<P>(
  training: Rows<PreferenceRow>,
  heldOut: Rows<PreferenceRow> | undefined,
  options: OptimumFloorOptions<P> & { readonly every: number },
): Promise<{ readonly floor: number; readonly step: number }> {
  const { policy, steps, learningRate, every, batchSize = 8, seed = 42, onProgress } = options;
  const objective = chosenObjective(options);
  let best = { step: 0, parameters: policy.parameters };
  let [lowest, bestStep] = [Number.POSITIVE_INFINITY, 0];
  const last = await fit({
    parameters: policy.parameters,
    objective,
    data: training,
    learningRate,
    optimizer: (rate) => adamwFor(policy.parameters, { learningRate: rate, weightDecay: 0 }),
    maxSteps: steps,
    batchSize,
    seed,
    evaluation: heldOut && { data: heldOut, every, onStart: true },
    observer: {
      step: ({ step }) => onProgress?.(step, steps),
      evaluation({ step, eval_loss: loss = Number.NaN }) {
        if (loss < lowest) [lowest, bestStep] = [loss, step!];
      },
      // The loop goes on with these tensors; a state that is the best so far is saved at once.
      async save({ step, parameters }) {
        if (step === bestStep) best = { step, parameters: await copied(parameters) };
      },
    },
  });
  const at = heldOut ? best : { step: steps, parameters: last.parameters };
  const starts = Array.from({ length: Math.ceil(training.length / batchSize) }, (_, i) => i);
  const batchAt = async (i: number) => {
    const start = i * batchSize;
    const size = Math.min(batchSize, training.length - start);
    return objective.collate(
      await training.read(Array.from({ length: size }, (_, k) => start + k)),
    );
  };
  const { loss } = await objective.evaluate(
    { parameters: at.parameters, state: {}, step: at.step },
    microBatchesOf(objective.parts, training.length, starts.length, batchAt),
  );
  const [sum, weight] = await loss!.data();
  return { floor: sum! / weight!, step: at.step };
}

/** A copy that nobody takes over. */
async function copied<P>(tree: P): Promise<P> {
  const leaves = treeLeaves(tree).map(async (t) =>
    tensor((await t.data()).slice(), { shape: t.shape, dtype: t.dtype }),
  );
  return realize(treeUnflatten(tree, await Promise.all(leaves)) as P);
}

interface ChosenBatch extends RowBatch {
  readonly sequences: PackedSequences;
  readonly lengths: ReturnType<typeof tensor>;
}

/** SPO's lower level: the mean over pairs of the chosen completions' negative log-likelihood. */
function chosenObjective<P>(options: OptimumFloorOptions<P>): Objective<P, PreferenceRow, object> {
  const { policy, per = "token" } = options;
  const { dtype } = treeLeaves(policy.parameters)[0]!;
  return rowObjective<P, PreferenceRow, object, ChosenBatch>({
    semantics: "whole",
    coupled: false,
    stateful: false,
    init: () => ({}),
    async collate(rows) {
      checkRowKind("optimumFloor", rows, "readPreferences", "promptIds", "chosenIds");
      const own = rows.map((row) => completion(row.promptIds, row.chosenIds, row.row));
      return {
        rows: rows.length,
        tokens: own.reduce((total, { ids }) => total + ids.length, 0),
        sequences: await packSequences(own, options),
        lengths: tensor(
          rows.map((row) => row.chosenIds.length),
          { dtype },
        ),
      };
    },
    values: (parameters, { sequences, lengths }, { draw }) => ({
      scores: {
        chosen: scoreSequences(policy, parameters, sequences, { ...options, draw }).logProbs,
      },
      facts: { lengths },
    }),
    judge({ scores, facts }) {
      const chosen = scores.chosen!;
      const unit = per === "token" ? perToken(chosen, facts.lengths!) : chosen;
      const loss = unit.mean().neg();
      return { losses: [loss], metrics: { loss: weightedSum(loss, chosen.size) }, state: {} };
    },
  });
}
