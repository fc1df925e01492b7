/**
 * Aligning a diffusion model to preferences: Diffusion-DPO and DMPO, SPO around either.
 * @module
 */

import { checkChoice } from "../../checks.js";
import { diffusionDpoLoss, type PairErrors } from "../../losses/diffusionDpo.js";
import { type DmpoLossOptions, dmpoLoss } from "../../losses/dmpo.js";
import { type SpoLossOptions, spoLoss } from "../../losses/spo.js";
import type { PreferenceLoss } from "../../losses/types.js";
import { greater, mean, neg } from "../../ops/index.js";
import { tensor } from "../../tensor/create.js";
import type { Tensor } from "../../tensor/tensor.js";
import { type FitResult, fit } from "../../training/fit.js";
import type { RowBatch } from "../../training/rowObjective.js";
import { weightedSum } from "../../training/weightedSum.js";
import { batchOf, denoisingErrors, drawNoise } from "./denoising.js";
import {
  conditionOf,
  type DiffusionFitOptions,
  type DiffusionModel,
  diffusionObjective,
  drawsOf,
  dtypeOf,
  modelOf,
} from "./trainDiffusion.js";

/** A preference between two samples of one condition. */
export interface SamplePair {
  readonly chosen: ArrayLike<number>;
  readonly rejected: ArrayLike<number>;
  /** What both are conditioned on, a row of the denoiser's `condition`. All pairs have one, or none. */
  readonly condition?: ArrayLike<number>;
}

/** A loss of errors: {@link diffusionDpoLoss}, {@link dmpoLoss}, or a function that takes what they take. */
export type DiffusionLoss = "diffusion_dpo" | "dmpo" | ((errors: PairErrors) => PreferenceLoss);

/**
 * SPO around a loss of errors. The supervised loss is the policy's error on the chosen sample, v* the reference's. γ
 * weighs errors, which β/2 weighs in the loss: of β's size it matters.
 */
export type DiffusionSpoOptions = Omit<
  SpoLossOptions,
  "base" | "baseOptions" | "per" | "state" | "step"
>;

/** Options of {@link alignDiffusion}. */
export interface AlignDiffusionOptions<P>
  extends DiffusionFitOptions<P, SamplePair>,
    DiffusionModel<P> {
  /** Default `"diffusion_dpo"`. */
  readonly loss?: DiffusionLoss;
  /** Options of a loss that is named: β (5000), and α of DMPO (0.01). */
  readonly lossOptions?: DmpoLossOptions;
  /** SPO around the loss; default: the loss alone. */
  readonly spo?: DiffusionSpoOptions;
  /** The reference; default `parameters`, where training starts. It stays as it is. */
  readonly reference?: P;
}

/** What alignment carries from step to step: γ of dual ascent. */
interface AlignState {
  readonly gamma: Tensor | number;
}

interface Batch extends RowBatch {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
  readonly condition: Tensor | undefined;
}

/**
 * Trains a diffusion model on pairs of samples with Diffusion-DPO (Wallace et al. 2023, arXiv 2311.12908) or DMPO (arXiv
 * 2507.07510), SPO around it or not. In each step each pair has a new timestep and new noise, which both samples, policy
 * and reference share ({@link denoisingErrors}).
 *
 * What it takes, gives and throws is what {@link fit} does: `from` and the states of an observer's `save` go on with the
 * bits of a run that never stopped (`parameters` then stay those that it began with, which are the reference), `signal`
 * stops it. Draws are of `seed`, step and micro-batch: how a step is cut into micro-batches changes them.
 *
 * The papers' text was not at hand; DMPO's loss is a reconstruction.
 *
 * @throws (the returned promise rejects) for options that are unknown or out of range, before anything is computed; for a
 * row whose samples have not the numbers that `shape` asks for; and what `fit` throws.
 * @example
 * const { parameters } = await alignDiffusion({
 *   schedule: ddpm({ steps: 50 }), denoiser, shape: [2], parameters: trained, data: pairs,
 *   loss: "dmpo", lossOptions: { beta: 100 }, spo: { gamma: 50 }, learningRate: 1e-4,
 * });
 */
export async function alignDiffusion<P>(options: AlignDiffusionOptions<P>): Promise<FitResult<P>> {
  const caller = "alignDiffusion";
  const {
    schedule,
    denoiser,
    shape,
    loss = "diffusion_dpo",
    lossOptions = {},
    spo,
    reference = options.parameters,
    ...training
  } = modelOf(caller, options, "loss", "lossOptions", "spo", "reference");
  if (training.givesUpParameters && reference === options.parameters) {
    throw new TypeError(
      `${caller}: givesUpParameters needs a reference of its own: the default one is the parameters, and is read in every step`,
    );
  }
  const judgeErrors = judgeOf(loss, lossOptions, spo);
  const draw = drawsOf(options.seed);
  const dtype = dtypeOf(options.parameters);
  const isDual = spo?.gamma === "dual";
  const objective = diffusionObjective<P, SamplePair, AlignState, Batch>({
    semantics: "whole",
    coupled: isDual || spo?.hinge === true || typeof loss === "function",
    stateful: isDual,
    init: () => ({ gamma: 0 }),
    async collate(rows) {
      const side = (name: "chosen" | "rejected") =>
        batchOf(
          caller,
          name,
          rows.map((row) => row?.[name]),
          shape,
          dtype,
        );
      return {
        rows: rows.length,
        tokens: 0,
        chosen: side("chosen"),
        rejected: side("rejected"),
        condition: conditionOf(caller, rows, dtype),
      };
    },
    values(parameters, { chosen, rejected, condition }, at) {
      const draws = drawNoise(schedule, chosen, draw(at.draw));
      const inputs = { schedule, denoiser, condition, chosen, rejected, ...draws };
      const {
        chosen: own,
        rejected: other,
        ...facts
      } = denoisingErrors(parameters, reference, inputs);
      return { scores: { chosen: own, rejected: other }, facts };
    },
    judge({ scores, facts }, { state, step, training: isTraining }) {
      const errors = { ...scores, ...facts } as unknown as Required<PairErrors>;
      const { result, gap, gamma, next } = judgeErrors(errors, state, step);
      const { chosen, rejected } = result.rewards;
      const metrics = {
        loss: result.loss,
        "rewards/chosen": mean(chosen),
        "rewards/rejected": mean(rejected),
        "rewards/accuracies": mean(greater(chosen, rejected).cast(chosen.dtype)),
        "rewards/margins": mean(chosen.sub(rejected)),
        "errors/chosen": mean(errors.chosen),
        "errors/rejected": mean(errors.rejected),
        ...(gap && { "spo/gap": gap, "spo/gamma": gamma! }),
      };
      const entries = Object.entries(metrics).map(([name, value]) => {
        return [name, weightedSum(value, errors.chosen.size)] as const;
      });
      return {
        losses: [result.loss],
        metrics: Object.fromEntries(entries),
        state: isDual && isTraining ? next! : state,
      };
    },
  });
  return fit({ ...training, objective });
}

/** What a loss and SPO around it say of errors. */
interface Judged {
  readonly result: PreferenceLoss;
  readonly gap?: Tensor;
  readonly gamma?: Tensor;
  readonly next?: AlignState;
}

/** The loss of the options. @throws for options that it does not take. */
function judgeOf(
  loss: DiffusionLoss,
  lossOptions: DmpoLossOptions,
  spo: DiffusionSpoOptions | undefined,
): (errors: Required<PairErrors>, state: AlignState, step: number) => Judged {
  if (typeof loss !== "function") {
    checkChoice("alignDiffusion", "loss", loss, ["diffusion_dpo", "dmpo"]);
  }
  const base =
    typeof loss === "function"
      ? loss
      : (errors: PairErrors) =>
          (loss === "dmpo" ? dmpoLoss : diffusionDpoLoss)(errors, lossOptions);
  const judge = (errors: Required<PairErrors>, state: AlignState, step: number): Judged => {
    if (!spo) return { result: base(errors) };
    const point = spo.gamma === "dual" ? { state } : { step };
    const result = spoLoss(negated(errors), {
      ...spo,
      ...point,
      per: "sequence",
      base: (pairs) => base(negated(pairs as Required<PairErrors>)),
    });
    return { result, gap: result.gap, gamma: result.gamma, next: result.state };
  };
  // Options are refused before a row is read. Nothing is evaluated.
  const numbers = tensor([1, 2]);
  const errors = { chosen: numbers, rejected: numbers };
  judge({ ...errors, referenceChosen: numbers, referenceRejected: numbers }, { gamma: 0 }, 0);
  return judge;
}

/** Errors as log-probabilities, and back. */
const negated = (pairs: Required<PairErrors>): Required<PairErrors> => ({
  chosen: neg(pairs.chosen),
  rejected: neg(pairs.rejected),
  referenceChosen: neg(pairs.referenceChosen),
  referenceRejected: neg(pairs.referenceRejected),
});
