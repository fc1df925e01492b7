/**
 * Training a diffusion model to denoise samples, and what of it aligning one has, too.
 * @module
 */

import { checkFunction, checkOptions } from "../../checks.js";
import { mean } from "../../ops/index.js";
import type { Shape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { treeLeaves } from "../../tensor/tree.js";
import { type FitResult, fit } from "../../training/fit.js";
import { FIT_OPTIONS, type FitOptions } from "../../training/fitOptions.js";
import type { Objective } from "../../training/objective.js";
import { type RowBatch, type RowProblem, rowObjective } from "../../training/rowObjective.js";
import { weightedSum } from "../../training/weightedSum.js";
import type { Ddpm } from "./ddpm.js";
import { batchOf, type Denoiser, denoisingError, drawNoise } from "./denoising.js";

/** What is trained, and how its samples are noised. */
export interface DiffusionModel<P> {
  readonly schedule: Ddpm;
  readonly denoiser: Denoiser<P>;
  /** Shape of a sample; rows hold its numbers, row-major. */
  readonly shape: Shape;
}

/** A sample to learn from. */
export interface SampleRow {
  readonly sample: ArrayLike<number>;
  /** What the sample is conditioned on, a row of the denoiser's `condition`. All rows have one, or none. */
  readonly condition?: ArrayLike<number>;
}

/** What of {@link fit} a diffusion model's training takes. Its `seed` is of order, timesteps and noise. */
export type DiffusionFitOptions<P, Row> = Omit<FitOptions<P, Row>, "objective">;

/** Options of {@link trainDiffusion}. */
export interface TrainDiffusionOptions<P>
  extends DiffusionFitOptions<P, SampleRow>,
    DiffusionModel<P> {}

/**
 * Trains a denoiser by its mean squared error on noised samples ({@link denoisingError}), with a new timestep and new noise
 * for each sample in each step.
 *
 * What it takes, gives and throws is what {@link fit} does: `from` and the states of an observer's `save` go on with the
 * bits of a run that never stopped, `signal` stops it. Draws are of `seed`, step and micro-batch: how a step is cut into
 * micro-batches changes them.
 *
 * @throws (the returned promise rejects) for a row whose sample has not the numbers that `shape` asks for, and what
 * `fit` throws.
 * @example
 * const { parameters } = await trainDiffusion({
 *   schedule: ddpm({ steps: 50 }), denoiser, shape: [2], parameters: start, data: rows, learningRate: 2e-3,
 * });
 */
export async function trainDiffusion<P>(options: TrainDiffusionOptions<P>): Promise<FitResult<P>> {
  const caller = "trainDiffusion";
  const { schedule, denoiser, shape, ...training } = modelOf(caller, options);
  const draw = drawsOf(options.seed);
  const dtype = dtypeOf(options.parameters);
  interface Batch extends RowBatch {
    readonly samples: Tensor;
    readonly condition: Tensor | undefined;
  }
  const objective = diffusionObjective<P, SampleRow, null, Batch>({
    semantics: "whole",
    coupled: false,
    stateful: false,
    init: () => null,
    collate: async (rows) => ({
      rows: rows.length,
      tokens: 0,
      samples: batchOf(
        caller,
        "sample",
        rows.map(({ sample }) => sample),
        shape,
        dtype,
      ),
      condition: conditionOf(caller, rows, dtype),
    }),
    values: (parameters, { samples, condition }, at) => {
      const draws = drawNoise(schedule, samples, draw(at.draw));
      const inputs = { schedule, denoiser, condition, ...draws };
      return { scores: { error: denoisingError(parameters, samples, inputs) }, facts: {} };
    },
    judge({ scores }) {
      const error = scores.error!;
      const loss = mean(error);
      return { losses: [loss], metrics: { loss: weightedSum(loss, error.size) }, state: null };
    },
  });
  return fit({ ...training, objective });
}

/**
 * The options, when their names and the model are checked.
 * @param own Names of those that others do not have.
 * @throws for what is no model.
 */
export function modelOf<Options extends DiffusionModel<never>>(
  caller: string,
  options: Options,
  ...own: string[]
): Options {
  const names = [...FIT_OPTIONS, "schedule", "denoiser", "shape", ...own];
  checkOptions(caller, options, ...(names.filter((name) => name !== "objective") as never[]));
  const { schedule, denoiser, shape } = options;
  checkFunction(`${caller}: denoiser`, denoiser);
  if (typeof schedule?.noised !== "function") {
    throw new TypeError(
      `${caller}: schedule must be a noise schedule, ddpm({ steps: 50 }) for instance`,
    );
  }
  if (!(Array.isArray(shape) && shape.every((n) => Number.isInteger(n) && n > 0))) {
    throw new TypeError(`${caller}: shape must be the shape of a sample, [3, 32, 32] for instance`);
  }
  return options;
}

/** The text that a batch's draws are seeded by; an evaluation always has the same. */
export const drawsOf =
  (seed = 42) =>
  (draw = "evaluation"): string =>
    `diffusion ${seed} ${draw}`;

/** Of the parameters, and so of samples and noise. */
export const dtypeOf = (parameters: unknown): Tensor["dtype"] =>
  treeLeaves(parameters)[0]?.dtype ?? "float32";

/** Conditions of rows, `[batch, numbers]`; undefined where there are none. @throws if only some rows have one. */
export function conditionOf(
  caller: string,
  rows: readonly { readonly condition?: ArrayLike<number> }[],
  dtype: Tensor["dtype"],
): Tensor | undefined {
  const conditions = rows.flatMap(({ condition }) => (condition ? [condition] : []));
  if (conditions.length === 0) return undefined;
  if (conditions.length < rows.length) {
    throw new TypeError(
      `${caller}: a row has no condition, others have; give one to all or to none`,
    );
  }
  return batchOf(caller, "condition", conditions, [conditions[0]!.length], dtype);
}

/** A {@link rowObjective} that counts no tokens, as there are none. */
export function diffusionObjective<P, Row, State, Batch extends RowBatch>(
  problem: RowProblem<P, Row, State, Batch>,
): Objective<P, Row, State, Batch> {
  const objective = rowObjective(problem);
  return {
    ...objective,
    async step(at, microBatches) {
      const { totals: _, ...made } = await objective.step(at, microBatches as never);
      return made;
    },
  };
}
