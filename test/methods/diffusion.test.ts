/**
 * Training and aligning diffusion models: what is descended, by hand and by finite differences, and how runs go on.
 */

import { describe, expect, it } from "vitest";
import { decodeTree, encodeTree } from "../../src/files/index.js";
import { diffusionDpoLoss, dmpoLoss } from "../../src/losses/index.js";
import { drawNoise } from "../../src/methods/diffusion/denoising.js";
import {
  type AlignDiffusionOptions,
  alignDiffusion,
  ddpm,
  denoisingErrors,
  type SamplePair,
  type TrainDiffusionOptions,
  timestepEmbedding,
  trainDiffusion,
} from "../../src/methods/index.js";
import { initLinear, type LinearParameters, linear } from "../../src/nn/index.js";
import { concat, silu } from "../../src/ops/index.js";
import { sgd } from "../../src/optim/sgd.js";
import { tensor } from "../../src/tensor/create.js";
import { randomGenerator } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { FitState } from "../../src/training/fitState.js";

const schedule = ddpm({ steps: 40 });

type Layers = readonly LinearParameters[];
const denoiser = ([first, second]: Layers, x: Tensor, t: Tensor): Tensor =>
  linear(second!, silu(linear(first!, concat([x, timestepEmbedding(t, 4).cast(x.dtype)], 1))));
const start: Layers = [
  initLinear(6, 12, { seed: 1, std: 0.4, dtype: "float64" }),
  initLinear(12, 2, { seed: 2, std: 0.3, dtype: "float64" }),
];
const model = { schedule, denoiser, shape: [2] };

const next = randomGenerator(7);
const data = Array.from({ length: 24 }, () => ({ sample: [1 + 0.1 * next(), -1 + 0.1 * next()] }));
const pairs: SamplePair[] = data.map(({ sample }) => ({ chosen: sample, rejected: [-1, next()] }));

const training = {
  ...model,
  parameters: start,
  data,
  learningRate: 1e-2,
  batchSize: 8,
  epochs: 4,
} satisfies TrainDiffusionOptions<Layers>;
const aligning = {
  ...training,
  data: pairs,
  loss: "dmpo",
  lossOptions: { beta: 10 },
  seed: 5,
} satisfies AlignDiffusionOptions<Layers>;

describe("trainDiffusion", () => {
  it("lowers the error, with new noise in each step", async () => {
    const losses: number[] = [];
    await trainDiffusion({
      ...training,
      epochs: 100,
      logEvery: 50,
      observer: {
        log: (row) => {
          losses.push(row.loss!);
          expect(Object.keys(row)).not.toContain("num_tokens");
        },
      },
    });
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);
  });

  it("draws anew in each step, and the same in each evaluation", async () => {
    const [steps, evaluations] = [[], []] as number[][] as [number[], number[]];
    await trainDiffusion({
      ...training,
      optimizer: sgd({ learningRate: 0 }),
      learningRate: undefined as never,
      batchSize: 24,
      maxSteps: 3,
      order: "sequential",
      evaluation: { data, every: 1 },
      observer: {
        step: ({ loss }) => void steps.push(loss),
        evaluation: (row) => void evaluations.push(row.eval_loss!),
      },
    });
    expect(new Set(steps).size).toBe(3);
    expect(new Set(evaluations).size).toBe(1);
  });

  it("gives each row's condition to the denoiser", async () => {
    const seen: (readonly number[])[] = [];
    await trainDiffusion({
      ...training,
      denoiser: (layers: Layers, x, t, condition) => {
        seen.push(condition!.shape);
        return denoiser(layers, x.add(condition!), t);
      },
      data: data.map((row, i) => ({ ...row, condition: [i, 0] })),
      maxSteps: 1,
    });
    expect(seen[0]).toEqual([8, 2]);
  });

  it("refuses what does not fit", async () => {
    const refused = (more: object, message: string) =>
      expect(trainDiffusion({ ...training, ...more } as never)).rejects.toThrow(message);
    await refused(
      { shedule: 1 },
      "trainDiffusion: has no option `shedule`; did you mean `schedule`?",
    );
    await refused({ objective: () => 1 }, "trainDiffusion: has no option `objective`");
    await refused({ denoiser: 3 }, "trainDiffusion: denoiser: expected a function, got 3");
    await refused({ schedule: { steps: 3 } }, "schedule must be a noise schedule");
    await refused({ shape: [2, 0] }, "shape must be the shape of a sample");
    await refused(
      { shape: [3] },
      "sample of a row must be the 3 numbers of a sample of shape [3], got 2",
    );
    await refused({ data: [{ sampel: [1, 2] }] }, "sample of a row must be the 2 numbers");
    await refused({ learningRate: undefined }, "fit: learningRate is needed");
    const mixed = [{ sample: [1, 2], condition: [1] }, { sample: [1, 2] }];
    await refused({ data: mixed }, "a row has no condition, others have");
  });
});

/** Losses of the first step's batch at parameters, from the library's parts. */
async function firstLoss(
  at: Layers,
  name: "diffusion_dpo" | "dmpo",
  gamma: number,
): Promise<number> {
  const side = (of: (pair: SamplePair) => ArrayLike<number>) =>
    tensor(
      pairs.map((pair) => Array.from(of(pair))),
      { dtype: "float64" },
    );
  const chosen = side((pair) => pair.chosen);
  const draws = drawNoise(schedule, chosen, "diffusion 5 0 0");
  const rejected = side((pair) => pair.rejected);
  const errors = denoisingErrors(at, start, { schedule, denoiser, chosen, rejected, ...draws });
  const apply = name === "dmpo" ? dmpoLoss : diffusionDpoLoss;
  const loss = await apply(errors, { beta: 10 }).loss.item();
  const gap = await errors.chosen.sub(errors.referenceChosen).mean().item();
  return loss + gamma * gap;
}

const whole = {
  ...aligning,
  learningRate: undefined as never,
  batchSize: pairs.length,
  maxSteps: 1,
  maxGradNorm: 0,
  order: "sequential" as const,
};

describe("alignDiffusion", () => {
  it.each([
    ["diffusion_dpo", 0],
    ["dmpo", 0],
    ["diffusion_dpo", 3],
    ["dmpo", 3],
  ] as const)("descends %s with γ %s, by finite differences", async (loss, gamma) => {
    const spo = gamma > 0 ? { spo: { gamma } } : {};
    let told = 0;
    const { parameters } = await alignDiffusion({
      ...whole,
      loss,
      ...spo,
      optimizer: sgd({ learningRate: 1 }),
      observer: {
        step: (step) => {
          told = step.loss;
        },
      },
    });
    expect(told).toBeCloseTo(await firstLoss(start, loss, gamma), 9);
    const bias = async (layers: Layers) => (await layers[1]!.bias!.array()) as number[];
    const [before, after] = [await bias(start), await bias(parameters)];
    for (const i of [0, 1]) {
      const moved = (by: number): Layers => [
        start[0]!,
        {
          ...start[1]!,
          bias: tensor(
            before.map((b, j) => (j === i ? b + by : b)),
            { dtype: "float64" },
          ),
        },
      ];
      const h = 1e-4;
      const slope =
        ((await firstLoss(moved(h), loss, gamma)) - (await firstLoss(moved(-h), loss, gamma))) /
        (2 * h);
      expect(before[i]! - after[i]!).toBeCloseTo(slope, 6);
      expect(Math.abs(slope)).toBeGreaterThan(1e-2);
    }
  });

  it("moves u up, and logs what SPO weighs", async () => {
    const rows: Readonly<Record<string, number>>[] = [];
    await alignDiffusion({
      ...aligning,
      loss: "diffusion_dpo",
      spo: { gamma: "dual" },
      epochs: 40,
      observer: { log: (row) => void rows.push(row) },
    });
    const last = rows.at(-1)!;
    expect(last["rewards/margins"]!).toBeGreaterThan(rows[0]!["rewards/margins"]! + 0.5);
    for (const name of ["spo/gap", "spo/gamma", "errors/chosen", "errors/rejected"]) {
      expect(Number.isFinite(last[name])).toBe(true);
    }
    expect(rows.some((row) => row["spo/gamma"]! > 0)).toBe(true);
  });

  it("with the hinge judges the gap of the whole step, however it is cut", async () => {
    const rows: Readonly<Record<string, number>>[] = [];
    const reference = (await trainDiffusion({ ...training, maxSteps: 1 })).parameters;
    await alignDiffusion({
      ...aligning,
      reference,
      // ln 2, and what SPO adds.
      loss: "diffusion_dpo",
      lossOptions: { beta: 1e-9 },
      spo: { gamma: 1, hinge: true },
      batchSize: 1,
      gradientAccumulationSteps: 24,
      maxSteps: 1,
      observer: { log: (row) => void rows.push(row) },
    });
    const { loss, "spo/gap": gap } = rows[0]!;
    expect(Math.abs(gap!)).toBeGreaterThan(1e-3);
    expect(loss).toBeCloseTo(Math.LN2 + Math.max(0, gap!), 5);
  });

  it("takes a function of errors as the loss", async () => {
    const named = await alignDiffusion({ ...aligning, lossOptions: { beta: 10, alpha: 0.1 } });
    const { lossOptions: _, ...rest } = aligning;
    const own = await alignDiffusion({
      ...rest,
      loss: (errors) => dmpoLoss(errors, { beta: 10, alpha: 0.1 }),
    });
    expect(await encodeTree(own.parameters)).toEqual(await encodeTree(named.parameters));
  });

  it("takes another reference, and leaves parameters as they are", async () => {
    const before = await encodeTree(start);
    const { parameters } = await alignDiffusion(aligning);
    const other = await alignDiffusion({ ...aligning, reference: parameters });
    expect(await encodeTree(start)).toEqual(before);
    expect(await encodeTree(other.parameters)).not.toEqual(await encodeTree(parameters));
  });

  it("gives the same numbers for the same seed, and others for another", async () => {
    const run = async (seed: number) =>
      encodeTree((await alignDiffusion({ ...aligning, order: "sequential", seed })).parameters);
    expect(await run(5)).toEqual(await run(5));
    expect(await run(6)).not.toEqual(await run(5));
  });

  it("goes on from every state it saved, through a file, with the same bits", async () => {
    const dual = { ...aligning, spo: { gamma: "dual" as const }, saveEvery: 3 };
    const files: Uint8Array[] = [];
    const uncut = await alignDiffusion({
      ...dual,
      observer: { save: async (state) => void files.push(await encodeTree(state)) },
    });
    expect(files.length).toBe(4);
    for (const bytes of files) {
      const from = await decodeTree<FitState>(bytes);
      const { state, done } = await alignDiffusion({ ...dual, from });
      expect(done).toBe(true);
      expect(await encodeTree(state)).toEqual(await encodeTree(uncut.state));
    }
  });

  it("stops at a signal and goes on", async () => {
    const controller = new AbortController();
    const stopped = await alignDiffusion({
      ...aligning,
      signal: controller.signal,
      observer: {
        step: ({ step }) => {
          if (step === 5) controller.abort();
        },
      },
    });
    expect([stopped.done, stopped.state.step]).toEqual([false, 5]);
    const { parameters } = await alignDiffusion({ ...aligning, from: stopped.state });
    const uncut = await alignDiffusion(aligning);
    expect(await encodeTree(parameters)).toEqual(await encodeTree(uncut.parameters));
  });

  it("refuses what does not fit before a row is read", async () => {
    let read = 0;
    const rows = {
      length: 8,
      read: async () => {
        read++;
        return [];
      },
    };
    const refused = (more: object, message: string) =>
      expect(alignDiffusion({ ...aligning, data: rows, ...more } as never)).rejects.toThrow(
        message,
      );
    await refused({ los: "dmpo" }, "alignDiffusion: has no option `los`; did you mean `loss`?");
    await refused({ loss: "dpo" }, 'loss must be one of "diffusion_dpo", "dmpo", got "dpo"');
    await refused({ lossOptions: { betta: 1 } }, "dmpoLoss: has no option `betta`");
    await refused({ lossOptions: { beta: 0 } }, "beta");
    await refused({ loss: "diffusion_dpo", lossOptions: { alpha: 0.1 } }, "has no option `alpha`");
    await refused({ spo: { gama: 1 } }, "spoLoss: has no option `gama`");
    await refused({ spo: { gamma: -1 } }, "gamma must be a number ≥ 0");
    await refused({ denoiser: null }, "alignDiffusion: denoiser");
    await refused({ givesUpParameters: true }, "givesUpParameters needs a reference of its own");
    expect(read).toBe(0);
    await refused({ data: [{ chosen: [1, 2] }] }, "rejected of a row must be the 2 numbers");
  });
});
