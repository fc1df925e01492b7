/**
 * Options: flags and files under this command line's names and TRL's, what wins, and what is refused.
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readConfig } from "../../src/cli/configFile.js";
import { checkedOptions, optionsOf, ownArguments, withDefaults } from "../../src/cli/options.js";
import { IGNORED, MEANINGS, NEUTRAL } from "../../src/training/settings/trlKeys.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-options-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Reads a file with this text. */
async function config(text: string, name: "align" | "sft" = "align") {
  const path = join(folder, "run.yaml");
  await writeFile(path, text);
  return readConfig(path, name);
}

/** What refuses a file with this text, without the folder. */
async function refusal(text: string, name: "align" | "sft" = "align"): Promise<string> {
  const error = await config(text, name).then(
    () => new Error("accepted"),
    (reason: Error) => reason,
  );
  return error.message.replaceAll(`${folder}/`, "").replaceAll(`${folder}\\`, "");
}

describe("a file", () => {
  it("of TRL's gives its settings, and names what has no meaning here", async () => {
    const { given, ignored } = await config(`# an example of TRL's
model_name_or_path: Qwen/Qwen2.5-0.5B-Instruct
dataset_name: trl-lib/ultrafeedback_binarized
dataset_train_split: train
torch_dtype: float32
per_device_train_batch_size: 4
gradient_accumulation_steps: 2
learning_rate: 5.0e-7
num_train_epochs: 1
max_steps: -1
lr_scheduler_type: cosine
warmup_ratio: 0.1
loss_type:
  - sigmoid
  - sft
loss_weights: [1.0, 0.5]
beta: 0.2
train_sampling_strategy: group_by_length
eval_strategy: no
use_peft: true
lora_r: 8
lora_target_modules: [q_proj, v_proj]
output_dir: out
save_total_limit: null
max_length: null
optim: adamw_torch_fused
bf16: false
dataloader_num_workers: 4
report_to: none
`);
    expect(given).toEqual({
      model: "Qwen/Qwen2.5-0.5B-Instruct",
      data: "trl-lib/ultrafeedback_binarized",
      split: "train",
      dtype: "float32",
      batchSize: 4,
      gradientAccumulationSteps: 2,
      learningRate: 5e-7,
      epochs: 1,
      lrSchedulerType: "cosine",
      warmupSteps: 0.1,
      loss: ["sigmoid", "sft"],
      lossWeights: [1, 0.5],
      beta: 0.2,
      groupByLength: true,
      evalShare: 0,
      lora: true,
      loraRank: 8,
      loraTargets: ["q_proj", "v_proj"],
      output: "out",
      maxLength: 0,
    });
    expect(ignored).toEqual(["optim", "bf16", "dataloader_num_workers", "report_to"]);
  });

  it("has words for numbers and switches as older YAML reads them", async () => {
    const { given } = await config(
      "learning-rate: '1e-5'\nlimit: 1_000\nlora: yes\nspo: true\nlora_target_modules: all-linear\n",
    );
    expect(given).toEqual({
      learningRate: 1e-5,
      limit: 1000,
      lora: true,
      spo: "dual",
      loraTargets: "all-linear",
    });
    expect((await config("")).given).toEqual({});
    expect((await config("columns: { prompt: question }\nrevision: null")).given).toEqual({
      columns: { prompt: "question" },
    });
  });

  it.each([
    ["learnig_rate: 1", "run.yaml:1: learnig_rate is no option; did you mean learning_rate?"],
    ["\nzebra: 1", "run.yaml:2: zebra is no option of align"],
    ["beta: -1", "run.yaml:1: beta must be a number above 0, got -1"],
    ["beta: large", "run.yaml:1: beta must be a number above 0, got large"],
    ["epochs: null", "run.yaml:1: epochs must be a number above 0, got null"],
    [
      "bf16: true",
      "run.yaml:1: bf16: true is not supported; everything is computed in float32: remove the key",
    ],
    ["temperature: 1", "run.yaml:1: temperature is of generate and sample, not of align"],
    [
      "batch_size: 1\nper_device_train_batch_size: 2",
      "run.yaml:2: per_device_train_batch_size is a second name of batchSize",
    ],
    [
      "a: [",
      "run.yaml:1: Flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
    ["- a", "run.yaml: must be a list of names and values"],
    [
      "beta: 0\nloss: {}\nlora: maybe",
      "run.yaml:1: beta must be a number above 0, got 0\nrun.yaml:2: loss must be a list, each a text that is not empty, got {}\nrun.yaml:3: lora must be true or false, got maybe",
    ],
  ])("is refused: %j", async (text, message) => {
    expect(await refusal(text)).toBe(message);
  });

  it("has no losses for sft, and has to exist", async () => {
    expect(await refusal("beta: 1", "sft")).toBe(
      "run.yaml:1: beta is of align and sample, not of sft",
    );
    await expect(readConfig(join(folder, "none.yaml"), "sft")).rejects.toThrow(/^--config: ENOENT/);
  });
});

describe("arguments", () => {
  it("have TRL's names, underscores, and words after switches", () => {
    const given =
      "--per_device_train_batch_size 4 --learning_rate=1e-5 --use_peft true --resume false --overwrite=False --loss_type sigmoid -- --a_b";
    expect(ownArguments(given.split(" "), "align")).toEqual(
      "--batch-size 4 --learning-rate=1e-5 --lora --no-resume --no-overwrite --loss sigmoid -- --a_b".split(
        " ",
      ),
    );
    // A word after another option is its value.
    expect(ownArguments(["--stop", "true", "--chat", "a"], "generate")).toEqual([
      "--stop",
      "true",
      "--chat",
      "a",
    ]);
  });

  it("become values, or are refused by the flag's name", () => {
    const given = {
      loss: ["ipo,sft"],
      columns: ["prompt=q", "chosen=a"],
      spo: true,
      evalShare: "0",
    };
    expect(checkedOptions("align", given)).toEqual({
      loss: ["ipo", "sft"],
      columns: { prompt: "q", chosen: "a" },
      spo: "dual",
      evalShare: 0,
    });
    expect(() => checkedOptions("align", { loraRank: "0" })).toThrow(
      "--lora-rank must be an integer, at least 1, got 0",
    );
    expect(() => checkedOptions("align", { spo: "double" })).toThrow(
      "--spo must be one of dual, penalty, hinge, barrier, lookahead, got double",
    );
    expect(() => checkedOptions("align", { columns: ["prompt"] })).toThrow("--columns must be");
  });
});

it("defaults are TRL's, and parts need their whole", () => {
  const needed = { model: "m", data: "d", output: "o" };
  expect(withDefaults("align", needed)).toMatchObject({
    ...needed,
    maxLength: 1024,
    loss: ["sigmoid"],
    epochs: 3,
    batchSize: 8,
    gradientAccumulationSteps: 1,
    lrSchedulerType: "linear",
    warmupSteps: 0,
    weightDecay: 0,
    maxGradNorm: 1,
    seed: 42,
    saveEvery: 500,
    logEvery: 10,
  });
  expect(() => withDefaults("align", { ...needed, loraRank: 8 })).toThrow(
    "--lora-rank is part of --lora: give --lora, too",
  );
  expect(withDefaults("align", { ...needed, lora: false, loraRank: 8 })).toMatchObject({
    lora: false,
  });
  expect(() => withDefaults("align", { model: "m" })).toThrow("align needs --data <file>");
});

it("every default is a value of its kind, and no name means two things", () => {
  const commands = [
    "align",
    "sft",
    "score",
    "check",
    "generate",
    "info",
    "merge",
    "prompt",
    "sample",
  ] as const;
  for (const command of commands) {
    const names = optionsOf(command).flatMap(([key, { trl = [], kind, default: value }]) => {
      if (value !== undefined) expect(kind.is(value), key).toBe(true);
      return [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), ...trl];
    });
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect([...IGNORED, ...Object.keys(NEUTRAL)]).not.toContain(name);
  }
  for (const key of Object.keys(MEANINGS)) expect(IGNORED).not.toContain(key);
});
