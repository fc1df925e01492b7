/**
 * Methods that sample, score and train in rounds, on the additions of imperfect writers: a small GPT imitates them, and
 * from that checkpoint each variant trains on its own answers to sums that it was fine-tuned on, with an exact checker as
 * the reward. Several seeds, means with 95 % intervals: a table, and with `--out` a figure and all numbers.
 * `node --import tsx bench/demo/rounds.ts --method rso --seeds 0,1,2 --out docs/images`
 * @module
 */

import { Command, Option } from "commander";
import {
  adamw,
  apo,
  fit,
  fullPolicy,
  type GptParameters,
  type LoopOptions,
  type LoopResult,
  type Reward,
  rso,
  textObjective,
} from "../../src/index.js";
import { writeTexts } from "../../src/training/runFiles.js";
import { sumOf } from "./arithmetic.js";
import { arithmeticTask } from "./arithmeticTask.js";
import { accuraciesOf } from "./evaluate.js";
import { intervalText, seedsIn } from "./interval.js";
import { textOf } from "./pairs.js";
import { roundsFigure } from "./roundsFigure.js";
import { settingsFor } from "./settings.js";
import { spoChanges } from "./spoChanges.js";
import { modelOf } from "./train.js";

/** What the variants of a method have in common, and what tells them apart. */
type Shared = LoopOptions<GptParameters, string>;
type Variants = Readonly<Record<string, (shared: Shared) => Promise<LoopResult<GptParameters>>>>;

const ROUNDS = 3;

/** What the names of variants with SPO end with. */
const WITH_SPO = " + SPO, γ 1";

const METHODS: Readonly<Record<string, Variants>> = {
  rso: {
    RSO: (shared) => rso(shared),
    [`RSO${WITH_SPO}`]: (shared) => rso({ ...shared, spo: { gamma: 1 } }),
  },
  apo: {
    "α 0": (shared) => apo({ ...shared, alpha: 0 }),
    "α 0.3": (shared) => apo({ ...shared, alpha: 0.3 }),
    [`α 0${WITH_SPO}`]: (shared) => apo({ ...shared, alpha: 0, spo: { gamma: 1 } }),
    [`α 0.3${WITH_SPO}`]: (shared) => apo({ ...shared, alpha: 0.3, spo: { gamma: 1 } }),
  },
};

/** Right or wrong. */
const exact: Reward = (prompt, completions) => {
  const [a, b] = prompt.slice(0, -1).split("+").map(Number) as [number, number];
  const { answer } = sumOf(a, b);
  return completions.map((text) => Number(text === answer));
};

/** Sampled accuracies on held-out sums, before the first round and after each, by variant. */
async function measure(
  method: string,
  seed: number,
  { prompts, samples, learningRate }: Sizes,
): Promise<Map<string, readonly number[]>> {
  const settings = settingsFor({ seed });
  const task = arithmeticTask(settings);
  const { tokenizer, supervised, training } = task;
  const model = modelOf(settings, task);
  const parameters = model.init(seed, { std: 0.05 });
  const { batchSize } = settings;
  const sft = await fit({
    parameters,
    objective: textObjective({ policy: fullPolicy({ model, parameters }), multipleOf: 32 }),
    data: supervised.map(textOf),
    optimizer: adamw({ learningRate: settings.sftLearningRate }),
    batchSize: 2 * batchSize,
    maxSteps: settings.sftSteps,
    seed,
  });
  const accuracyOf = async (at: GptParameters) =>
    (await accuraciesOf(model, at, task, batchSize)).sampledAccuracy!;
  const before = await accuracyOf(sft.parameters);
  const found = new Map<string, readonly number[]>();
  for (const [name, run] of Object.entries(METHODS[method]!)) {
    const accuracies = [before];
    const begun = performance.now();
    const { rounds } = await run({
      lm: {
        model,
        parameters: sft.parameters,
        tokenizer,
        generationConfig: { eosTokenIds: [tokenizer.end] },
      },
      prompts: training.slice(0, prompts).map(({ promptIds }) => {
        return tokenizer.decode(Array.from(promptIds));
      }),
      reward: exact,
      rounds: ROUNDS,
      samples,
      samplingBatchSize: 256,
      maxNewTokens: 5,
      training: { learningRate, lrSchedulerType: "constant", batchSize, epochs: 2 },
      seed,
      onRound: async (_, at) => {
        accuracies.push(await accuracyOf(at));
      },
    });
    const seconds = ((performance.now() - begun) / 1000).toFixed(0);
    const pairs = rounds.map((round) => round.pairs).join(", ");
    console.error(
      `seed ${seed}, ${name}: ${accuracies.map((a) => a.toFixed(3)).join(" → ")}, pairs ${pairs}, ${seconds} s`,
    );
    found.set(name, accuracies);
  }
  return found;
}

interface Sizes {
  readonly prompts: number;
  readonly samples: number;
  readonly learningRate: number;
}

const TITLES: Readonly<Record<string, string>> = {
  rso: "Rounds of rejection sampling",
  apo: "Iterations with momentum",
};

const { method, seeds, out, ...sizes } = new Command("rounds")
  .description("Measures methods that sample, score and train in rounds, and writes a table.")
  .addOption(new Option("--method <name>").choices(Object.keys(METHODS)).default("rso"))
  .option("--seeds <list>", "integers, separated by commas", seedsIn, [0, 1, 2])
  .option("--prompts <n>", "sums that are sampled", Number, 256)
  .option("--samples <n>", "candidates of each", Number, 16)
  .option("--learning-rate <x>", "of each round", Number, 5e-4)
  .option("--out <directory>", "where METHOD.svg and METHOD.json go; default: nowhere")
  .parse()
  .opts<{ method: string; seeds: number[]; out?: string } & Sizes>();

const runs: Map<string, readonly number[]>[] = [];
for (const seed of seeds) runs.push(await measure(method, seed, sizes));
const names = [...runs[0]!.keys()];
const variants = names.map((name) => ({ name, seeds: runs.map((models) => models.get(name)!) }));
const step = method === "apo" ? "iteration" : "round";
const headings = Array.from({ length: ROUNDS + 1 }, (_, i) =>
  i === 0 ? "before" : `${step} ${i}`,
);
console.log(`| mean ± 95 % | ${headings.join(" | ")} |`);
console.log(`|---${"|---".repeat(headings.length)}|`);
for (const { name, seeds: values } of variants) {
  const cells = headings.map((_, i) => intervalText(values.map((own) => own[i]!)));
  console.log(`| ${name} | ${cells.join(" | ")} |`);
}
const last = variants.map(
  ({ name, seeds: own }) => [name, own.map((values) => values.at(-1)!)] as const,
);
for (const line of spoChanges(new Map(last), WITH_SPO)) console.log(line);
if (out !== undefined) {
  const labels = {
    title: TITLES[method]!,
    note: `right answers when sampled, ${seeds.length} seeds`,
    headings,
  };
  await writeTexts(out, {
    [`${method}.svg`]: roundsFigure(labels, variants),
    [`${method}.json`]: `${JSON.stringify({ seeds, ...sizes, headings, variants }, null, 2)}\n`,
  });
}
