/**
 * The diffusion task: a denoiser learns eight Gaussians, some modes are preferred, and from that checkpoint each variant
 * is trained on the same pairs in the same order.
 * @module
 */

import {
  type AlignDiffusionOptions,
  alignDiffusion,
  ddpm,
  ddpmSample,
  randomGenerator,
  type SamplePair,
  trainDiffusion,
} from "../../../src/index.js";
import { initDenoiser, type PointDenoiser, pointDenoiser } from "./denoiser.js";
import {
  figuresOf,
  modeOf,
  type Point,
  PREFERRED,
  pointOf,
  type SampleFigures,
} from "./mixture.js";

/** How large a run is. */
export interface DiffusionSizes {
  /** Width of the denoiser's layers. */
  readonly width: number;
  /** Steps of the checkpoint's training. */
  readonly trainingSteps: number;
  /** Samples that its steps take. */
  readonly trainingBatch: number;
  /** Samples of the checkpoint that pairs are made of. */
  readonly sampled: number;
  /** Steps of each variant, and the pairs they take. */
  readonly steps: number;
  readonly batch: number;
  /** Samples that are measured of each model. */
  readonly measured: number;
}

/** Sizes of the demo, and of a check that it works. */
export const DIFFUSION_SIZES: Readonly<Record<"full" | "quick", DiffusionSizes>> = {
  full: {
    width: 128,
    trainingSteps: 3000,
    trainingBatch: 512,
    sampled: 4000,
    steps: 400,
    batch: 256,
    measured: 4000,
  },
  quick: {
    width: 64,
    trainingSteps: 300,
    trainingBatch: 128,
    sampled: 400,
    steps: 10,
    batch: 32,
    measured: 200,
  },
};

/** β of both losses. */
const BETA = 5;

/** γ of SPO: the weight that the loss gives errors. */
const GAMMA = BETA / 2;

type Variant = Pick<AlignDiffusionOptions<PointDenoiser>, "loss" | "spo">;

const spo = { gamma: GAMMA };

/** What is trained from the checkpoint; null: denoising of the chosen samples alone. */
const VARIANTS: Readonly<Record<string, Variant | null>> = {
  "chosen samples alone": null,
  "Diffusion-DPO": { loss: "diffusion_dpo" },
  "Diffusion-DPO + SPO": { loss: "diffusion_dpo", spo },
  DMPO: { loss: "dmpo" },
  "DMPO + SPO": { loss: "dmpo", spo },
};

/** The checkpoint's name among the models. */
const CHECKPOINT = "checkpoint";

/** A model of a run. */
export interface DiffusionModelRun {
  readonly name: string;
  readonly figures: SampleFigures;
  readonly samples: readonly Point[];
}

/** Trains and measures all models of a seed, the checkpoint first; each is told when it is measured. */
export async function runDiffusion(
  seed: number,
  sizes: DiffusionSizes,
  measured: (model: DiffusionModelRun) => void = () => {},
): Promise<readonly DiffusionModelRun[]> {
  const schedule = ddpm({ steps: 50 });
  const model = { schedule, denoiser: pointDenoiser, shape: [2] };
  const samplesOf = async (layers: PointDenoiser, count: number, draw: string) => {
    const samples = await ddpmSample(schedule, (x, t) => pointDenoiser(layers, x, t), {
      shape: [count, 2],
      seed: `${draw} ${seed}`,
    });
    return (await samples.array()) as unknown as Point[];
  };
  const next = randomGenerator(`mixture ${seed}`);
  const data = Array.from({ length: DATA }, () => ({ sample: pointOf(next) }));
  const { parameters } = await trainDiffusion({
    ...model,
    parameters: initDenoiser(sizes.width, seed),
    data,
    learningRate: 2e-3,
    batchSize: sizes.trainingBatch,
    maxSteps: sizes.trainingSteps,
    seed,
  });
  const pairs = pairsOf(await samplesOf(parameters, sizes.sampled, "pairs"));
  const models: DiffusionModelRun[] = [];
  const measure = async (name: string, layers: PointDenoiser): Promise<void> => {
    const samples = await samplesOf(layers, sizes.measured, "measured");
    const found = { name, figures: figuresOf(samples), samples };
    models.push(found);
    measured(found);
  };
  await measure(CHECKPOINT, parameters);
  const training = {
    ...model,
    parameters,
    learningRate: 3e-4,
    batchSize: sizes.batch,
    maxSteps: sizes.steps,
    seed,
  };
  for (const [name, variant] of Object.entries(VARIANTS)) {
    const { parameters: trained } = variant
      ? await alignDiffusion({
          ...training,
          ...variant,
          data: pairs,
          lossOptions: { beta: BETA },
        })
      : await trainDiffusion({
          ...training,
          data: pairs.map(({ chosen }) => ({ sample: chosen })),
        });
    await measure(name, trained);
  }
  return models;
}

/** Points of the mixture that the checkpoint learns from. */
const DATA = 20_000;

/** A sample in a preferred mode is chosen over one that is in another, or in none. */
function pairsOf(samples: readonly Point[]): SamplePair[] {
  const isPreferred = (point: Point): boolean => {
    const mode = modeOf(point);
    return mode !== null && PREFERRED.includes(mode);
  };
  const chosen = samples.filter(isPreferred);
  const rejected = samples.filter((point) => !isPreferred(point));
  return chosen.slice(0, rejected.length).map((point, i) => ({
    chosen: point,
    rejected: rejected[i]!,
  }));
}
