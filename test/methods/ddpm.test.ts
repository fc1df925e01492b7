/**
 * The noise schedule, what is sampled with denoisers that are known, and the errors that losses of preferences take.
 */

import { describe, expect, it } from "vitest";
import { grad } from "../../src/autograd/transforms.js";
import {
  ddpm,
  ddpmSample,
  denoisingError,
  denoisingErrors,
  timestepEmbedding,
} from "../../src/methods/index.js";
import { tensor } from "../../src/tensor/create.js";
import { randomNormal } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const schedule = ddpm({ steps: 50 });

const meanAndVariance = (values: ArrayLike<number>): [number, number] => {
  const all = Array.from(values);
  const mean = all.reduce((sum, x) => sum + x, 0) / all.length;
  return [mean, all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length];
};

describe("ddpm", () => {
  it("has the paper's schedule at 1000 steps, and ends at noise with fewer", () => {
    const { steps, betas, alphaBars } = ddpm();
    expect(steps).toBe(1000);
    expect(betas[0]).toBeCloseTo(1e-4, 12);
    expect(betas[999]).toBeCloseTo(0.02, 12);
    expect(betas[500]! - betas[499]!).toBeCloseTo(0.0199 / 999, 12);
    expect(alphaBars[999]).toBeLessThan(1e-4);
    expect(schedule.alphaBars[49]).toBeLessThan(1e-4);
    expect(schedule.alphaBars[2]).toBeCloseTo(
      schedule.betas.slice(0, 3).reduce((product, beta) => product * (1 - beta), 1),
      12,
    );
  });

  it("has marginals as if noise were added step by step", async () => {
    // By the recursion of the chain: mean and variance of x_t given x_0.
    let [mean, variance] = [1, 0];
    for (const [t, beta] of schedule.betas.entries()) {
      mean *= Math.sqrt(1 - beta);
      variance = variance * (1 - beta) + beta;
      const start = tensor([[3], [0]], { dtype: "float64" });
      const noise = tensor([[0], [2]], { dtype: "float64" });
      const [[ofStart], [ofNoise]] = (await schedule
        .noised(start, [t, t], noise)
        .array()) as number[][] as [[number], [number]];
      expect(ofStart).toBeCloseTo(3 * mean, 12);
      expect(ofNoise).toBeCloseTo(2 * Math.sqrt(variance), 12);
    }
  });

  it("has the posterior that Bayes' rule gives", () => {
    for (const t of [1, 20, 49]) {
      // N(x_{t−1}; √ᾱ_{t−1}·x_0, 1 − ᾱ_{t−1}) times N(x_t; √(1 − β)·x_{t−1}, β), as precisions.
      const beta = schedule.betas[t]!;
      const before = schedule.alphaBars[t - 1]!;
      const precision = 1 / (1 - before) + (1 - beta) / beta;
      const { ofStart, ofNoised, variance } = schedule.posterior(t);
      expect(variance).toBeCloseTo(1 / precision, 12);
      expect(ofStart).toBeCloseTo(Math.sqrt(before) / (1 - before) / precision, 12);
      expect(ofNoised).toBeCloseTo(Math.sqrt(1 - beta) / beta / precision, 12);
    }
    const first = schedule.posterior(0);
    expect(first.ofStart).toBeCloseTo(1, 12);
    expect([first.ofNoised, first.variance]).toEqual([0, 0]);
  });

  it("takes betas, and refuses what is no schedule", () => {
    expect(ddpm({ betas: [0.1, 0.5] })).toMatchObject({ steps: 2 });
    expect(ddpm({ betas: [0.1, 0.5] }).alphaBars[1]).toBeCloseTo(0.45, 12);
    expect(() => ddpm({ steps: 0 })).toThrow("ddpm: steps must be an integer ≥ 1, got 0");
    expect(() => ddpm({ steps: 10 })).toThrow(
      /betas\[5\] must be a number in \(0, 1\); with steps 10 give/,
    );
    expect(() => ddpm({ betas: [0.1, 1] })).toThrow(
      "ddpm: betas[1] must be a number in (0, 1), got 1",
    );
    expect(() => ddpm({ betas: [0.1], steps: 2 })).toThrow("steps is 2, but there are 1 betas");
    expect(() => ddpm({ step: 3 } as never)).toThrow("did you mean `steps`?");
    const x = tensor([[1], [2]]);
    expect(() => schedule.noised(x, [1], x)).toThrow(
      "needs a timestep for each of 2 samples, got 1",
    );
    expect(() => schedule.noised(x, [1, 50], x)).toThrow("are integers from 0 to 49, got 50");
    expect(() => schedule.posterior(-1)).toThrow("from 0 to 49, got -1");
  });
});

/** `E[ε | x_t]` of data that are N(mean, variance). */
const optimal =
  (mean: number, variance: number) =>
  (x: Tensor, timesteps: Tensor): Tensor => {
    const of = (f: (alphaBar: number) => number) =>
      tensor(Array.from(schedule.alphaBars, f), { dtype: x.dtype })
        .gather(timesteps)
        .reshape([-1, 1]);
    const total = (a: number) => a * variance + 1 - a;
    return x.sub(of((a) => Math.sqrt(a) * mean)).mul(of((a) => Math.sqrt(1 - a) / total(a)));
  };

describe("ddpmSample", () => {
  it("gives the moments of a Gaussian with its optimal denoiser", async () => {
    const options = { shape: [20_000, 2], seed: 1 };
    for (const [mean, std] of [
      [0, 1],
      [1.5, 0.5],
    ] as const) {
      const denoise = optimal(mean, std ** 2);
      const samples = await ddpmSample(schedule, denoise, { ...options, variance: "beta" });
      const [found, variance] = meanAndVariance(await samples.data());
      // Of 40,000 numbers the mean is known to 0.005·std; with 50 steps the variance is not exact but for std 1.
      expect(Math.abs(found - mean)).toBeLessThan(0.025);
      expect(Math.abs(Math.sqrt(variance) - std)).toBeLessThan(std === 1 ? 0.015 : 0.06);
    }
  });

  it("has the variance that the recursion of its linear chain has", async () => {
    const [mean, own] = [-1, 0.25];
    // x_{t−1} = a·x_t + c + σ·z, with ε̂ linear in x_t.
    let [m, v] = [0, 1];
    for (let t = schedule.steps - 1; t >= 0; t--) {
      const [ab, beta] = [schedule.alphaBars[t]!, schedule.betas[t]!];
      const before = t === 0 ? 1 : schedule.alphaBars[t - 1]!;
      const slope = Math.sqrt(1 - ab) / (ab * own + 1 - ab);
      // The paper's algorithm 2: (x − β/√(1 − ᾱ)·ε̂)/√(1 − β).
      const a = (1 - (beta / Math.sqrt(1 - ab)) * slope) / Math.sqrt(1 - beta);
      const c = ((beta / Math.sqrt(1 - ab)) * slope * Math.sqrt(ab) * mean) / Math.sqrt(1 - beta);
      m = a * m + c;
      v = a * a * v + ((1 - before) / (1 - ab)) * beta;
    }
    const samples = await ddpmSample(schedule, optimal(mean, own), { shape: [40_000, 1], seed: 2 });
    const [found, variance] = meanAndVariance(await samples.data());
    expect(Math.abs(found - m)).toBeLessThan(0.012);
    expect(Math.abs(variance / v - 1)).toBeLessThan(0.03);
    expect(Math.abs(m - mean)).toBeLessThan(0.01);
  });

  it("ends in a point where the data are one", async () => {
    const samples = await ddpmSample(schedule, optimal(2, 0), { shape: [5, 3], dtype: "float64" });
    for (const x of await samples.data()) expect(x).toBeCloseTo(2, 9);
  });

  it("gives the same samples for the same seed", async () => {
    const sample = async (seed?: number) =>
      Array.from(
        await (
          await ddpmSample(schedule, optimal(0, 1), {
            shape: [4, 2],
            ...(seed !== undefined && { seed }),
          })
        ).data(),
      );
    expect(await sample(3)).toEqual(await sample(3));
    expect(await sample()).toEqual(await sample(0));
    expect(await sample(3)).not.toEqual(await sample(4));
  });

  it("refuses what does not fit", async () => {
    const refused = (options: object, message: string) =>
      expect(ddpmSample(schedule, optimal(0, 1), options as never)).rejects.toThrow(message);
    await refused({ shape: [2], sed: 1 }, "did you mean `seed`?");
    await refused({ shape: [2], variance: "large" }, 'variance must be one of "posterior", "beta"');
    await expect(ddpmSample(schedule, 3 as never, { shape: [1] })).rejects.toThrow("ddpmSample");
  });
});

describe("timestepEmbedding", () => {
  it("is sines and cosines of falling rates", async () => {
    const found = (await timestepEmbedding(
      tensor([0, 7], { dtype: "int32" }),
      4,
    ).array()) as number[][];
    const wanted = [0, 7].map((t) => [
      Math.sin(t),
      Math.sin(t / 100),
      Math.cos(t),
      Math.cos(t / 100),
    ]);
    for (const [i, row] of wanted.entries()) {
      for (const [j, value] of row.entries()) expect(found[i]![j]).toBeCloseTo(value, 6);
    }
    expect(() => timestepEmbedding(tensor([0]), 3)).toThrow(
      "width/2 must be an integer ≥ 1, got 1.5",
    );
  });
});

/** ε̂ = w·x_t + c·condition, the same for all timesteps. */
const linearDenoiser = (w: Tensor, x: Tensor, _: Tensor, condition?: Tensor): Tensor =>
  condition ? x.mul(w).add(condition) : x.mul(w);
const float64 = { dtype: "float64" } as const;

describe("denoising errors", () => {
  const inputs = {
    schedule,
    denoiser: linearDenoiser,
    timesteps: [3, 40],
    noise: tensor(
      [
        [0.5, -1],
        [2, 0.25],
      ],
      float64,
    ),
  };
  const chosen = tensor(
    [
      [1, 2],
      [-1, 0.5],
    ],
    float64,
  );
  const rejected = tensor(
    [
      [0, -2],
      [3, 1],
    ],
    float64,
  );

  /** By hand. */
  const errorsOf = async (w: number, samples: Tensor, condition = 0): Promise<number[]> => {
    const [x, e] = [await samples.array(), await inputs.noise.array()] as number[][][];
    return inputs.timesteps.map((t, i) => {
      const a = schedule.alphaBars[t]!;
      const squares = [0, 1].map((j) => {
        const noised = Math.sqrt(a) * x![i]![j]! + Math.sqrt(1 - a) * e![i]![j]!;
        return (e![i]![j]! - w * noised - condition) ** 2;
      });
      return (squares[0]! + squares[1]!) / 2;
    });
  };
  const close = async (found: Tensor, wanted: readonly number[]) => {
    for (const [i, x] of (await found.data()).entries()) expect(x).toBeCloseTo(wanted[i]!, 12);
  };

  it("are those of policy and reference, at one timestep and with one noise", async () => {
    const [policy, reference] = [tensor(0.7, float64), tensor(0.4, float64)];
    const found = denoisingErrors(policy, reference, { ...inputs, chosen, rejected });
    await close(found.chosen, await errorsOf(0.7, chosen));
    await close(found.rejected, await errorsOf(0.7, rejected));
    await close(found.referenceChosen, await errorsOf(0.4, chosen));
    await close(found.referenceRejected, await errorsOf(0.4, rejected));
    await close(denoisingError(policy, chosen, inputs), await errorsOf(0.7, chosen));
  });

  it("give both sides the pair's condition", async () => {
    const condition = tensor([[0.3], [0.3]], float64);
    const w = tensor(0.7, float64);
    const found = denoisingErrors(w, w, { ...inputs, condition, chosen, rejected });
    await close(found.chosen, await errorsOf(0.7, chosen, 0.3));
    await close(found.rejected, await errorsOf(0.7, rejected, 0.3));
  });

  it("have no gradient by the reference", async () => {
    const sumOf = (policy: Tensor, reference: Tensor) => {
      const found = denoisingErrors(policy, reference, { ...inputs, chosen, rejected });
      return Object.values(found)
        .map((t) => t.sum())
        .reduce((a, b) => a.add(b));
    };
    const w = tensor(0.7, float64);
    expect(await grad((own: Tensor) => sumOf(w, own))(w).item()).toBe(0);
    const total = async (at: number) =>
      [...(await errorsOf(at, chosen)), ...(await errorsOf(at, rejected))].reduce((a, b) => a + b);
    const slope = ((await total(0.7 + 1e-6)) - (await total(0.7 - 1e-6))) / 2e-6;
    expect(await grad((own: Tensor) => sumOf(own, w))(w).item()).toBeCloseTo(slope, 6);
  });

  it("refuse a denoiser that gives something else", () => {
    const denoiser = (_: Tensor, x: Tensor) => x.sum();
    expect(() =>
      denoisingError(tensor(1), randomNormal([2, 2], { seed: 0 }), { ...inputs, denoiser }),
    ).toThrow(
      "denoisingError: the denoiser must give the noise, of the samples' shape [2,2], got shape []",
    );
  });
});
