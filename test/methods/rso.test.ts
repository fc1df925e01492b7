/**
 * RSO as a loop: what it accepts and where it ends on a tabular policy, and how it goes on after it was stopped.
 */

import { describe, expect, it } from "vitest";
import { decodeTree, encodeTree } from "../../src/files/index.js";
import {
  firstRoundRank,
  type LoopProgress,
  type LoopState,
  type Reward,
  type RsoOptions,
  rso,
  tournament,
} from "../../src/methods/index.js";
import { type GptParameters, gpt } from "../../src/models/gpt.js";
import { sgd } from "../../src/optim/sgd.js";
import { normalized, probabilitiesOf, type Table, tableOf, tabularModel } from "./tabular.js";

type Ids = readonly number[];

describe("rso on a tabular policy", () => {
  const policy = [0.5, 0.3, 0.2];
  const beta = 0.5;
  const rewards = [0, beta * Math.log(2), beta * Math.log(4)];
  const wanted = normalized(policy.map((p, y) => p * Math.exp(rewards[y]! / beta)));
  const reward: Reward<Ids> = (_, completions) => completions.map(([y]) => rewards[y!]!);

  it("accepts from π·e^(r/β), and with labels of that reward ends there", async () => {
    // Of 15 comparisons as Bradley and Terry label them, so many go to the better answer.
    const wins = [
      [1, 0, 10],
      [2, 1, 10],
      [2, 0, 12],
    ] as const;
    const accepted = [0, 0, 0];
    let asked = 0;
    const pairing: RsoOptions<Table>["pairing"] = (candidates, given) => {
      const first = [0, 1, 2].map((y) => candidates.find((i) => given[i] === rewards[y])!);
      for (const i of candidates) accepted[rewards.indexOf(given[i]!)]!++;
      if (asked++ > 0) return [];
      return wins.flatMap(([better, worse, won]) =>
        Array.from({ length: 15 }, (_, k) => ({
          chosen: first[k < won ? better : worse]!,
          rejected: first[k < won ? worse : better]!,
        })),
      );
    };
    const { parameters, rounds, done } = await rso<Table, Ids>({
      lm: { model: tabularModel(3), parameters: tableOf(policy) },
      prompts: Array.from({ length: 250 }, () => [0]),
      reward,
      samples: 1000,
      samplingBatchSize: 4000,
      accepted: 400,
      beta,
      maxNewTokens: 1,
      loss: "sigmoid",
      lossOptions: { beta: 1 },
      pairing,
      training: {
        optimizer: sgd({ learningRate: 4 }),
        batchSize: 45,
        maxSteps: 150,
        maxGradNorm: 0,
      },
    });
    expect(done).toBe(true);
    const draws = accepted.reduce((sum, n) => sum + n, 0);
    expect(draws).toBe(100_000);
    const chiSquare = accepted.reduce(
      (sum, n, y) => sum + (n - draws * wanted[y]!) ** 2 / (draws * wanted[y]!),
      0,
    );
    // Of two degrees of freedom, exceeded once in 10,000.
    expect(chiSquare).toBeLessThan(18.4);
    for (const [y, p] of (await probabilitiesOf(parameters)).entries()) {
      expect(p).toBeCloseTo(wanted[y]!, 6);
    }
    const expected = (of: readonly number[]) => of.reduce((sum, p, y) => sum + p * rewards[y]!, 0);
    expect(rounds).toHaveLength(1);
    expect(rounds[0]!.pairs).toBe(45);
    expect(rounds[0]!.reward).toBeCloseTo(expected(policy), 2);
    expect(rounds[0]!.acceptedReward).toBeCloseTo(expected(wanted), 2);
  });
});

const model = gpt({ vocabularySize: 7, contextLength: 8, width: 8, layers: 1, heads: 2 });
const start = model.init(1);
/** How many tokens are 3. */
const threes: Reward<Ids> = async (_, completions) =>
  completions.map((ids) => ids.filter((id) => id === 3).length);
const options = {
  lm: { model, parameters: start },
  prompts: [[1], [2, 5], [4], [6, 1], [5]] as Ids[],
  reward: threes,
  rounds: 2,
  samples: 8,
  accepted: 4,
  maxNewTokens: 4,
  saveEvery: 2,
  pairing: tournament,
  training: { learningRate: 1e-2, batchSize: 4, epochs: 2, saveEvery: 2 },
  seed: 3,
} satisfies RsoOptions<GptParameters, Ids>;

describe("rso", () => {
  it("raises the reward, round by round, and tells how far it is", async () => {
    const heard: LoopProgress[] = [];
    const ended: number[] = [];
    const { rounds, state } = await rso<GptParameters, Ids>({
      ...options,
      rounds: 3,
      loss: "sigmoid",
      lossOptions: (round) => ({ beta: 0.5 + round / 4 }),
      spo: { gamma: 0.1 },
      training: { learningRate: 3e-2, batchSize: 4, epochs: 3 },
      onProgress: (progress) => {
        heard.push(progress);
      },
      onRound: ({ round }) => {
        ended.push(round);
      },
    });
    expect(rounds.map(({ round }) => round)).toEqual([0, 1, 2]);
    expect(ended).toEqual([0, 1, 2]);
    expect(rounds[2]!.reward).toBeGreaterThan(rounds[0]!.reward + 0.2);
    for (const round of rounds) expect(round.acceptedReward).toBeGreaterThan(round.reward);
    expect(JSON.parse(state.history)).toEqual(rounds);
    expect(heard[0]).toEqual({ round: 0, rounds: 3, phase: "sample", done: 1, of: 5 });
    const last = heard.at(-1)!;
    expect([last.phase, last.done, Number.isFinite(last.loss)]).toEqual(["train", last.of, true]);
  });

  it("goes on from every state it saved, through a file, with the same bits", async () => {
    const files: Uint8Array[] = [];
    const whole = await rso<GptParameters, Ids>({
      ...options,
      onSave: async (state) => {
        files.push(await encodeTree(state));
      },
    });
    const wanted = await encodeTree(whole.state);
    // Twice two prompts and all, some steps, and the end of a round.
    expect(files.length).toBeGreaterThan(9);
    const phases = new Set<string>();
    for (const bytes of files) {
      const from = await decodeTree<LoopState>(bytes);
      phases.add(from.fit ? "train" : JSON.parse(from.sampled).prompts > 0 ? "sample" : "round");
      const { state, rounds } = await rso<GptParameters, Ids>({ ...options, from });
      expect(await encodeTree(state)).toEqual(wanted);
      expect(rounds).toEqual(whole.rounds);
    }
    expect([...phases].sort()).toEqual(["round", "sample", "train"]);
  });

  it("keeps what was scored where the reward throws, and where a judge's signal stops it", async () => {
    const whole = await encodeTree((await rso<GptParameters, Ids>(options)).parameters);
    for (const stops of [false, true]) {
      const controller = new AbortController();
      let calls = 0;
      let saved: LoopState<GptParameters> | undefined;
      const running = rso<GptParameters, Ids>({
        ...options,
        samplingBatchSize: 8,
        signal: controller.signal,
        reward: (prompt, completions) => {
          calls++;
          if (calls === 3) {
            if (stops) controller.abort();
            throw new Error("the judge is gone");
          }
          return options.reward(prompt, completions);
        },
        onSave: (state) => {
          saved = state;
        },
      });
      if (stops) expect(await running).toMatchObject({ done: false });
      else await expect(running).rejects.toThrow("the judge is gone");
      expect(JSON.parse(saved!.sampled).prompts).toBe(2);
      const { parameters } = await rso<GptParameters, Ids>({ ...options, from: saved! });
      expect(await encodeTree(parameters)).toEqual(whole);
    }
  });

  it("stops at a signal between batches and between steps, and goes on", async () => {
    const whole = await encodeTree((await rso<GptParameters, Ids>(options)).parameters);
    for (const [phase, after] of [
      ["sample", 3],
      ["train", 5],
    ] as const) {
      const controller = new AbortController();
      const stopped = await rso<GptParameters, Ids>({
        ...options,
        samplingBatchSize: 8,
        signal: controller.signal,
        onProgress: (progress) => {
          if (progress.phase === phase && progress.done === after) controller.abort();
        },
      });
      expect(stopped.done).toBe(false);
      expect(stopped.state.fit?.step).toBe(phase === "train" ? after : undefined);
      const { parameters, done } = await rso<GptParameters, Ids>({
        ...options,
        from: stopped.state,
      });
      expect(done).toBe(true);
      expect(await encodeTree(parameters)).toEqual(whole);
    }
  });

  it("has nothing to train on where all rewards are equal", async () => {
    const { parameters, rounds } = await rso<GptParameters, Ids>({
      ...options,
      rounds: 1,
      reward: (_, completions) => completions.map(() => 1),
    });
    expect(rounds).toEqual([
      { round: 0, reward: 1, acceptedReward: 1, pairs: 0, steps: 0, loss: null },
    ]);
    expect(await encodeTree(parameters)).toEqual(await encodeTree(start));
  });

  it("trains with a loss that compares whole distributions with the reference", async () => {
    const { rounds } = await rso<GptParameters, Ids>({ ...options, rounds: 1, loss: "tdpo2" });
    expect(rounds[0]!.loss).toBeGreaterThan(0);
  });

  it("reads texts where the model has a tokenizer", async () => {
    const tokenizer = {
      encode: (text: string) => [...text].map(Number),
      decode: (ids: readonly number[]) => ids.join(""),
    };
    const seen: [string, readonly string[]][] = [];
    const { state } = await rso({
      ...options,
      lm: { ...options.lm, tokenizer },
      prompts: ["1", "25"],
      rounds: 1,
      reward: (prompt, completions) => {
        seen.push([prompt, completions]);
        return completions.map((text) => text.split("3").length);
      },
    });
    expect(state.round).toBe(1);
    expect(seen.map(([prompt]) => prompt)).toEqual(["1", "25"]);
    expect(seen.flatMap(([, texts]) => texts).every((text) => /^[0-6]{4}$/.test(text))).toBe(true);
    expect(seen[0]![1]).toHaveLength(8);
  });

  it("asks for options of the loss in the rounds there are, and goes on for more", async () => {
    const asked: number[] = [];
    const betas = [0.5, 0.6, 0.7];
    const lossOptions = (round: number) => {
      asked.push(round);
      return { beta: betas[round]! };
    };
    const own = { ...options, loss: "sigmoid", lossOptions } as const;
    const two = await rso<GptParameters, Ids>(own);
    expect(new Set(asked)).toEqual(new Set([0, 1]));
    const three = await rso<GptParameters, Ids>({ ...own, rounds: 3, from: two.state });
    const whole = await rso<GptParameters, Ids>({ ...own, rounds: 3 });
    expect(await encodeTree(three.state)).toEqual(await encodeTree(whole.state));
    // A shorter loop goes on from it as well, and does not forget what it was asked for.
    const none = await rso<GptParameters, Ids>({ ...own, from: three.state });
    expect(none.state).toEqual(three.state);
    betas[1] = 9;
    const refused = rso<GptParameters, Ids>({ ...own, rounds: 3, from: two.state });
    await expect(refused).rejects.toThrow(
      /lossOptions was \[\{"beta":0\.5\},\{"beta":0\.6\}\], now/,
    );
  });

  it("refuses what does not fit before anything is computed", async () => {
    const asked: string[] = [];
    const refused = async (more: object, message: string) => {
      const all = {
        ...options,
        reward: () => {
          asked.push(message);
          return [];
        },
        ...more,
      };
      await expect(rso(all as never)).rejects.toThrow(message);
    };
    await refused({ acepted: 3 }, "rso: has no option `acepted`; did you mean `accepted`?");
    await refused({ loss: "aspo" }, "rso: aspo takes rows with sentences");
    await refused({ accepted: 9 }, "rso: accepted must be a number ≤ samples, 8, got 9");
    await refused({ beta: -1 }, "rso: beta must be a number ≥ 0, or Infinity, got -1");
    await refused({ rounds: 0 }, "rso: rounds must be an integer ≥ 1, got 0");
    await refused({ maxNewTokens: 7 }, "rso: prompt 1 has 2 tokens; it needs at least one, and");
    await refused({ prompts: ["12"] }, "rso: prompts are lists of ids, since the model has no");
    await refused({ prompts: [] }, "rso: prompts must be a list of at least one, got an array");
    await refused({ temperature: -1 }, "rso: temperature must be a number ≥ 0, got -1");
    await refused({ lm: model }, "rso: lm must be a model with its parameters");
    await refused({ reward: 3 }, "rso: expected a function, got 3");
    await refused({ loss: "dmpo" }, "dmpo takes squared denoising errors");
    await refused({ lossOptions: { betta: 1 } }, "betta");
    await refused({ training: {} }, "fit: learningRate is needed");
    await refused({ training: undefined }, "rso: training must be options of fit");
    await refused(
      { training: { learningRate: 1e-3, givesUpParameters: true } },
      "rso: training: givesUpParameters is not for rounds",
    );
    await refused({ lora: { alpha: 1, targets: [] } }, "rso: lora needs a model as loadModel");
    const { state } = await rso<GptParameters, Ids>({ ...options, rounds: 1 });
    const from = { ...state, round: 0 };
    await refused({ from, seed: 4 }, "from is of a loop with other settings (seed was 3, now 4)");
    await refused({ from, pairing: firstRoundRank }, 'pairing was "tournament"');
    expect(asked).toEqual([]);
  });
});
