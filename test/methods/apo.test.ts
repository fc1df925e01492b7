/**
 * APO: its momentum on tabular policies, where the answer is known, and what it is without it.
 */

import { describe, expect, it } from "vitest";
import { decodeTree, encodeTree } from "../../src/files/index.js";
import {
  type ApoOptions,
  apo,
  extrapolate,
  type LoopState,
  type Reward,
  rso,
} from "../../src/methods/index.js";
import { type GptParameters, gpt } from "../../src/models/gpt.js";
import { sgd } from "../../src/optim/sgd.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import { probabilitiesOf, type Table, tableOf, tabularModel } from "./tabular.js";

type Ids = readonly number[];

/** Coefficients of r_0 … r_3 for α = 0.3 after four iterations. */
const COEFFICIENTS = [1.417, 1.39, 1.3, 1];

describe("extrapolate", () => {
  it("gives the tabular policy its coefficients 1.417, 1.39, 1.3, 1", async () => {
    // The optimum of an iteration adds its reward to the logits, here a coordinate for each.
    const unit = (t: number) => tensor(COEFFICIENTS.map((_, i) => Number(i === t)));
    let [trained, policy] = [tensor([0, 0, 0, 0]), tensor([0, 0, 0, 0])];
    for (const t of COEFFICIENTS.keys()) {
      const next = policy.add(unit(t));
      policy = extrapolate({ logits: next }, { logits: trained }, 0.3).logits;
      trained = next;
    }
    for (const [i, found] of ((await trained.array()) as number[]).entries()) {
      expect(found).toBeCloseTo(COEFFICIENTS[i]!, 6);
    }
  });

  it("names what does not fit", () => {
    expect(() => extrapolate({ a: tensor(1) }, { a: tensor(1) }, -1)).toThrow(
      "extrapolate: alpha must be a number ≥ 0, got -1",
    );
    expect(() => extrapolate({ a: tensor(1) }, {} as never, 1)).toThrow(
      "extrapolate: trees differ at a: a tensor in trained, undefined in before",
    );
  });
});

describe("apo on a tabular policy", () => {
  const start = [0.6, 0.4];
  /** Wins of token 1 in 15 comparisons, by iteration, as Bradley and Terry label a reward. */
  const wins = [10, 12, 5, 9];
  const reward: Reward<Ids> = (_, completions) => completions.map(([y]) => y!);

  it("ends at π₀·exp(Σ c_i·r_i/β), the coefficients those of the formula, to 1e-6", async () => {
    let asked = 0;
    const pairing: ApoOptions<Table>["pairing"] = (candidates, rewards) => {
      const [zero, one] = [0, 1].map((y) => candidates.find((i) => rewards[i] === y)!);
      const won = wins[asked++]!;
      return Array.from({ length: 15 }, (_, k) =>
        k < won ? { chosen: one!, rejected: zero! } : { chosen: zero!, rejected: one! },
      );
    };
    const { parameters, state } = await apo<Table, Ids>({
      lm: { model: tabularModel(2), parameters: tableOf(start) },
      prompts: [[0]],
      reward,
      rounds: 4,
      samples: 64,
      maxNewTokens: 1,
      lossOptions: { beta: 2 },
      pairing,
      training: {
        optimizer: sgd({ learningRate: 0.5 }),
        batchSize: 15,
        maxSteps: 60,
        maxGradNorm: 0,
      },
    });
    const [p0, p1] = await probabilitiesOf(parameters);
    const moved = Math.log(p1! / p0!) - Math.log(start[1]! / start[0]!);
    const rewards = wins.map((won) => Math.log(won / (15 - won)));
    const wanted = rewards.reduce((sum, r, i) => sum + (COEFFICIENTS[i]! * r) / 2, 0);
    expect(Math.abs(moved - wanted)).toBeLessThan(1e-6);
    // What would go on is extrapolated, the result is not.
    expect(state.trained).toBe(parameters);
    expect(await probabilitiesOf(state.policy)).not.toEqual([p0, p1]);
  });
});

const model = gpt({ vocabularySize: 7, contextLength: 8, width: 8, layers: 1, heads: 2 });
const start = model.init(1);
const options = {
  lm: { model, parameters: start },
  prompts: [[1], [2, 5], [4], [6, 1]] as Ids[],
  reward: (_: Ids, completions: readonly Ids[]) =>
    completions.map((ids) => ids.filter((id) => id === 3).length),
  rounds: 2,
  samples: 6,
  maxNewTokens: 3,
  training: { learningRate: 1e-2, batchSize: 4, epochs: 2, saveEvery: 2 },
} satisfies ApoOptions<GptParameters, Ids>;

describe("apo", () => {
  it("without momentum is iterative DPO: what rso is that accepts all", async () => {
    const { parameters, state } = await apo<GptParameters, Ids>({
      ...options,
      alpha: 0,
      lossOptions: { beta: 0.2 },
    });
    const iterative = await rso<GptParameters, Ids>({
      ...options,
      accepted: 6,
      beta: Number.POSITIVE_INFINITY,
      loss: "sigmoid",
      lossOptions: { beta: 0.2 },
    });
    expect(await encodeTree(parameters)).toEqual(await encodeTree(iterative.parameters));
    expect(state.policy).toBe(parameters);
  });

  it("extrapolates as ExPO does after one iteration, whose training it leaves as it is", async () => {
    const one = { ...options, rounds: 1 };
    const { parameters, state } = await apo<GptParameters, Ids>({ ...one, alpha: 0.3 });
    const plain = await apo<GptParameters, Ids>({ ...one, alpha: 0 });
    expect(await encodeTree(parameters)).toEqual(await encodeTree(plain.parameters));
    const expo = await realize(extrapolate(parameters, start, 0.3));
    expect(await encodeTree(state.policy)).toEqual(await encodeTree(expo));
  });

  it("has β 0.01, 0.1 and 1 for the first three iterations of DPO", async () => {
    const rounds = { ...options, rounds: 3, training: { learningRate: 1e-2, epochs: 1 } };
    const own = await apo<GptParameters, Ids>(rounds);
    const given = await apo<GptParameters, Ids>({
      ...rounds,
      lossOptions: (round) => ({ beta: 10 ** (round - 2) }),
    });
    expect(await encodeTree(own.parameters)).toEqual(await encodeTree(given.parameters));
  });

  it("goes on from every state it saved, through a file, with the same bits", async () => {
    const files: Uint8Array[] = [];
    const whole = await apo<GptParameters, Ids>({
      ...options,
      onSave: async (state) => {
        files.push(await encodeTree(state));
      },
    });
    expect(files.length).toBeGreaterThan(3);
    for (const bytes of files) {
      const from = await decodeTree<LoopState>(bytes);
      const { state } = await apo<GptParameters, Ids>({ ...options, from });
      expect(await encodeTree(state)).toEqual(await encodeTree(whole.state));
    }
  });

  it("refuses what does not fit", async () => {
    const refused = (more: object, message: string) =>
      expect(apo({ ...options, ...more } as never)).rejects.toThrow(message);
    await refused({ alpha: 1 }, "apo: alpha must be a number ≥ 0 and < 1, got 1");
    await refused({ samples: 1 }, "apo: samples must be a number ≥ 2, which make a pair, got 1");
    await refused({ accepted: 2 }, "apo: has no option `accepted`");
    const { state } = await apo<GptParameters, Ids>({ ...options, rounds: 1 });
    await refused({ from: state, alpha: 0.2 }, "alpha was 0.3, now 0.2");
  });
});
