/**
 * What v* does to SPO with dual γ: the additions of imperfect writers at the demo's settings, several seeds, means with
 * 95 % intervals. `node --import tsx bench/demo/floors.ts --seeds 0,1,2,3,4`
 * @module
 */

import { Command } from "commander";
import type { GptParameters } from "../../src/index.js";
import { arithmeticTask } from "./arithmeticTask.js";
import { phaseTitle, written } from "./columns.js";
import { intervalOf, seedsIn } from "./interval.js";
import { type Choices, phasesOf, settingsFor } from "./settings.js";
import { type Snapshot, train } from "./train.js";

/** How SPO weighs its gap, and above which v*. */
const VARIANTS: Readonly<Record<string, Partial<Choices>>> = {
  "γ 1": { gamma: 1 },
  "dual γ, v* = reference": { gamma: "dual", floor: "reference" },
  "dual γ, v* = optimum": { gamma: "dual", floor: "optimum" },
};

/** What is reported of a model, by its name: the gap is the mean of the last epoch's batches, γ that of the last step. */
const COLUMNS: Readonly<Record<string, string>> = {
  greedyAccuracy: "greedy",
  sampledAccuracy: "sampled",
  chosenPerToken: "chosen/token",
  gap: "gap at the end",
  gamma: "γ at the end",
};

/** Figures by their names; null where there is none. */
type Measured = Readonly<Record<string, number | null>>;

/** All models of a seed. The variants start from the same models and see the same batches. */
async function measure(seed: number, quick: boolean): Promise<Map<string, Measured>> {
  const models = new Map<string, Measured>();
  let from: { snapshot: Snapshot; sft: GptParameters } | undefined;
  for (const [title, choices] of Object.entries(VARIANTS)) {
    const demo = settingsFor({ seed, quick, ...choices });
    const settings = { ...demo, sftEvaluateEvery: demo.sftSteps, evaluateEvery: demo.steps };
    const [sft, , base, spo] = phasesOf(settings);
    const epoch = settings.trainingPairs / settings.batchSize;
    const steps: Measured[] = [];
    let fineTuned: GptParameters | undefined;
    await train(
      settings,
      arithmeticTask(settings),
      {
        step(phase, _, values) {
          if (phase === spo) steps.push(values);
        },
        evaluation(phase, _, figures) {
          if (phase !== spo) {
            models.set(phaseTitle(phase), { ...figures });
            return;
          }
          const gap = steps.slice(-epoch).reduce((sum, own) => sum + own["spo/gap"]! / epoch, 0);
          const gamma = steps.at(-1)!["spo/gamma"]!;
          models.set(`${phaseTitle(phase)}, ${title}`, { ...figures, gap, gamma });
        },
        checkpoint(snapshot) {
          const { phase, step, parameters } = snapshot;
          if (phase === sft && step === settings.sftSteps) fineTuned = parameters;
          if (phase === base && step === settings.steps) from = { snapshot, sft: fineTuned! };
        },
      },
      from && { from },
    );
  }
  const [reference, optimum] = [...models.values()].slice(-2) as [Measured, Measured];
  const differences = Object.keys(COLUMNS).map((key) => [key, optimum[key]! - reference[key]!]);
  models.set("optimum − reference, of the same seed", Object.fromEntries(differences));
  return models;
}

const { seeds, quick } = new Command("floors")
  .description("Measures what v* does to SPO with dual γ, and writes a table.")
  .option("--seeds <list>", "integers, separated by commas", seedsIn, [0, 1, 2, 3, 4])
  .option("--quick", "everything smaller: a check that it works", false)
  .parse()
  .opts<{ seeds: number[]; quick: boolean }>();

const runs: Map<string, Measured>[] = [];
for (const seed of seeds) {
  runs.push(await measure(seed, quick));
  console.error(`seed ${seed}: done`);
}
console.log(`| mean ± 95 % | ${Object.values(COLUMNS).join(" | ")} |`);
console.log(`|---${"|---".repeat(Object.keys(COLUMNS).length)}|`);
for (const model of runs[0]!.keys()) {
  const cells = Object.keys(COLUMNS).map((key) => {
    const values = runs.flatMap((models) => models.get(model)![key] ?? []);
    const [mean, half] = intervalOf(values);
    return values.length === 0 ? "" : `${written(mean.toFixed(3))} ± ${half.toFixed(3)}`;
  });
  console.log(`| ${model} | ${cells.join(" | ")} |`);
}
