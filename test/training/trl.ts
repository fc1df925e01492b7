/**
 * Runs of TRL 1.13, made with the trained Llama of `../shared/golden/models`, step by step: their rows, logs and ends.
 */

import { existsSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import {
  adamwFor,
  type FitOptions,
  fit,
  fullPolicy,
  type LogRow,
  loadAdapter,
  loadModel,
  loraPolicy,
  type Policy,
  preferenceObjective,
  textObjective,
  treeNamed,
  unpairedObjective,
  withReferences,
} from "../../src/index.js";
import { familyOf } from "../../src/models/families/index.js";
import { packSequences, scoreSequences } from "../../src/training/sequences.js";

const MODELS = new URL("../../../shared/golden/models/", import.meta.url).pathname;

/** Whether the runs are there. */
export const areThere = existsSync(`${MODELS}trainer`);

interface Golden {
  readonly trainer: "DPOTrainer" | "KTOTrainer" | "SFTTrainer";
  readonly config: {
    readonly learning_rate: number;
    readonly train_sampling_strategy: "random" | "sequential";
    readonly loss_type?: readonly string[];
    readonly loss_weights?: readonly number[];
    readonly beta?: number;
  };
  readonly examples: readonly Example[];
  readonly steps: readonly LogRow[];
  readonly final_params: Readonly<
    Record<string, { l2: number; delta_l2: number; first4: readonly number[] }>
  >;
  readonly eval_rows_final_logprobs: readonly { ids: number[]; prompt_len: number; sum: number }[];
}

type Example = Readonly<Record<string, number[]>> & { readonly label?: boolean };

/** How far a metric may lie from TRL's. */
function tolerance(name: string, expected: number): number {
  if (name === "loss") return 3e-5 + 1e-5 * Math.abs(expected);
  if (name === "grad_norm") return 1e-4 * expected;
  if (name === "learning_rate") return 1e-8 * expected;
  if (name.startsWith("rewards/")) return 2e-4;
  if (name === "kl") return 5e-4;
  if (name.startsWith("logps/")) return 1e-3;
  if (name.startsWith("logits/") || name === "entropy") return 1e-5;
  // Within one token of some 400, by rounding.
  if (name === "mean_token_accuracy") return 3e-3;
  return 0;
}

/** What the log of a step has that metrics of TRL have not. */
const NOT_METRICS = ["step", "lr_used"];

/** Trains as a run of TRL did, and compares all it left: every metric of every step, and where it ended. */
export async function meetsTrl(name: string, steps = 12): Promise<void> {
  const directory = `${MODELS}trainer/${name}/`;
  const golden: Golden = JSON.parse(readFileSync(`${directory}golden.json`, "utf8"));
  const lm = await loadModel(`${MODELS}gsm-llama`);
  const isLora = existsSync(`${directory}initial_adapter.safetensors`);
  const initial = isLora
    ? await loadAdapter(
        {
          "adapter_config.json": `${directory}adapter/adapter_config.json`,
          "adapter_model.safetensors": `${directory}initial_adapter.safetensors`,
        },
        lm,
      )
    : null;
  const policy = (initial ? loraPolicy(lm, initial) : fullPolicy(lm)) as Policy<unknown>;
  const reference = fullPolicy(lm) as Policy<unknown>;
  const log: LogRow[] = [];
  const { config } = golden;
  const common: Omit<FitOptions<unknown, never>, "objective" | "data"> = {
    parameters: policy.parameters,
    learningRate: config.learning_rate,
    optimizer: (learningRate) =>
      adamwFor(policy.parameters, { learningRate, weightDecay: 0.01, epsilon: 1e-8 }),
    order: config.train_sampling_strategy,
    warmupSteps: 3,
    batchSize: 4,
    gradientAccumulationSteps: 2,
    maxSteps: 12,
    logEvery: 1,
    observer: {
      log(row) {
        log.push(row);
      },
    },
    signal: {
      get aborted() {
        return log.length >= steps;
      },
    },
  };
  const run = async () => {
    if (golden.trainer === "DPOTrainer") {
      const { rows } = await withReferences(pairsOf(golden.examples), { policy: reference });
      const [first] = config.loss_type!;
      const objective = preferenceObjective({
        policy,
        loss: (config.loss_type!.length > 1 ? config.loss_type : first) as "sigmoid",
        lossOptions: { beta: config.beta, ...weightsOf(config.loss_weights) },
        batchSemantics: "trl",
      });
      return fit({ ...(common as object as typeof common), objective, data: rows } as never);
    }
    if (golden.trainer === "KTOTrainer") {
      const { rows } = await withReferences(judgedOf(golden.examples), { policy: reference });
      const objective = unpairedObjective({ policy, beta: config.beta!, batchSemantics: "trl" });
      return fit({ ...common, objective, data: rows } as never);
    }
    const objective = textObjective({ policy, batchSemantics: "trl" });
    return fit({ ...common, objective, data: textsOf(golden.examples) } as never);
  };
  const { parameters } = (await run()) as { parameters: unknown };

  for (const [i, found] of log.entries()) {
    const expected = golden.steps[i]!;
    for (const [metric, value] of Object.entries(expected)) {
      if (NOT_METRICS.includes(metric) || typeof value !== "number") continue;
      // Before the first change rewards are rounding of either sign.
      if (metric === "rewards/accuracies" && i < 2) continue;
      const distance = Math.abs((found[metric] ?? Number.NaN) - value);
      const what = `${metric} of step ${i + 1} is ${found[metric]}, TRL's ${value}`;
      expect(distance, what).toBeLessThanOrEqual(tolerance(metric, value));
    }
  }
  expect(log).toHaveLength(steps);
  if (steps < 12) return;

  const sequences = golden.eval_rows_final_logprobs.map(({ ids, prompt_len: from }) => ({
    ids,
    mask: ids.map((_, t) => (t < from ? 0 : 1)),
  }));
  const scores = scoreSequences(policy, parameters, await packSequences(sequences));
  const sums = await scores.logProbs.data();
  for (const [i, { sum }] of golden.eval_rows_final_logprobs.entries()) {
    expect(Math.abs(sums[i]! - sum), `row ${i} at the end`).toBeLessThanOrEqual(1e-3);
  }
  const [before, after] = [treeNamed(policy.parameters), treeNamed(parameters)];
  if (isLora) {
    const ended = treeNamed((await loadAdapter(`${directory}adapter`, lm)).parameters);
    for (const [tensor, start] of Object.entries(before)) {
      const error = await distanceOf(after[tensor]!, ended[tensor]!);
      expect(error, tensor).toBeLessThanOrEqual(1e-3 * (await distanceOf(ended[tensor]!, start)));
    }
    return;
  }
  for (const { name: own, path, transposed } of familyOf("llama").tensors(lm.config)) {
    const expected = golden.final_params[own]!;
    const oriented = (t: (typeof after)[string]) => (transposed ? t.transpose() : t);
    const end = oriented(after[path]!);
    const length = await end.square().sum().sqrt().item();
    expect(Math.abs(length - expected.l2), own).toBeLessThanOrEqual(1e-5 * expected.l2);
    const change = await distanceOf(after[path]!, before[path]!);
    const allowed = 5e-4 * expected.delta_l2;
    expect(Math.abs(change - expected.delta_l2), own).toBeLessThanOrEqual(allowed);
    const first = (await end.reshape([-1]).slice([0, 4]).data()) as Float32Array;
    for (const [i, value] of expected.first4.entries()) {
      expect(Math.abs(first[i]! - value), own).toBeLessThanOrEqual(5e-6);
    }
  }
}

type TensorLike = ReturnType<typeof treeNamed>[string];

const distanceOf = (a: TensorLike, b: TensorLike): Promise<number> =>
  a.sub(b).square().sum().sqrt().item();

const weightsOf = (weights: readonly number[] | undefined) =>
  weights ? { loss_weights: weights } : {};

/** The ids behind those of the prompt, as truncation has left them. */
const rest = (ids: readonly number[], prompt: readonly number[]) => ids.slice(prompt.length);

const pairsOf = (examples: readonly Example[]) =>
  examples.map(
    ({ prompt_ids: prompt, chosen_input_ids: chosen, rejected_input_ids: rejected }, row) => ({
      row,
      promptIds: prompt!,
      chosenIds: rest(chosen!, prompt!),
      rejectedIds: rest(rejected!, prompt!),
    }),
  );

const judgedOf = (examples: readonly Example[]) =>
  examples.map(({ prompt_ids: prompt, input_ids: ids, KL_completion_ids: other, label }, row) => ({
    row,
    promptIds: prompt!,
    completionIds: rest(ids!, prompt!),
    // TRL cuts these as it cuts the others.
    mismatchedIds: other!.slice(0, 208 - prompt!.length),
    desirable: label === true,
  }));

const textsOf = (examples: readonly Example[]) =>
  examples.map(({ input_ids: ids, labels }, row) => ({
    row,
    ids: ids!,
    trained: labels!.map((label) => (label === -100 ? 0 : 1)),
  }));
