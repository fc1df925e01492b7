/**
 * `npm run demo -- --task diffusion`: its options, what it prints, what it writes.
 * @module
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { InputError } from "../../../src/cli/input.js";
import { writeTexts } from "../../../src/training/runFiles.js";
import { duration } from "../columns.js";
import { MOST_VALUES } from "../interval.js";
import { samplesFigure } from "./figure.js";
import { type DiffusionRuns, diffusionTable, diffusionVerdict } from "./report.js";
import { DIFFUSION_SIZES, type DiffusionModelRun, runDiffusion } from "./task.js";

interface Options {
  readonly seeds: number;
  readonly seed: number;
  readonly out: string;
  readonly quick: boolean;
}

/** Whether arguments ask for this task. */
export const asksForDiffusion = (args: readonly string[]): boolean =>
  args.some(
    (arg, i) => arg === "--task=diffusion" || (arg === "--task" && args[i + 1] === "diffusion"),
  );

/**
 * Runs the task. `--help` is answered here, and ends the process.
 * @throws InputError (the returned promise rejects) for arguments that cannot be understood.
 */
export async function diffusionDemo(args: readonly string[]): Promise<number> {
  const { seeds, seed, out, quick } = optionsOf(args);
  const sizes = DIFFUSION_SIZES[quick ? "quick" : "full"];
  try {
    mkdirSync(out, { recursive: true });
  } catch (error) {
    throw new InputError(`--out ${out}: cannot be created (${(error as Error).message})`);
  }
  console.log(
    "a denoiser of points learns eight Gaussians on a circle; every other one is preferred",
  );
  const begun = performance.now();
  const runs: (readonly DiffusionModelRun[])[] = [];
  for (let own = seed; own < seed + seeds; own++) {
    const models = await runDiffusion(own, sizes, ({ name, figures }) => {
      const numbers = Object.entries(figures).map(([key, value]) => `${key} ${value.toFixed(3)}`);
      console.error(`seed ${own}, ${name}: ${numbers.join(", ")}`);
    });
    runs.push(models);
    await writeTexts(out, filesOf(runs, seed));
  }
  console.log(`\n${diffusionTable(runs)}\n`);
  for (const sentence of diffusionVerdict(runs)) console.log(sentence);
  const seconds = (performance.now() - begun) / 1000;
  console.log(
    `\n${duration(seconds)}; samples in ${join(out, FIGURE)}, numbers in ${join(out, NUMBERS)}`,
  );
  return 0;
}

const FIGURE = "diffusion.svg";
const NUMBERS = "diffusion.json";

/** The samples of the first seed as a figure, the numbers of all. */
function filesOf(runs: DiffusionRuns, seed: number): Record<string, string> {
  const numbers = runs.map((models, i) => ({
    seed: seed + i,
    models: Object.fromEntries(models.map(({ name, figures }) => [name, figures])),
  }));
  return {
    [FIGURE]: samplesFigure(`Samples of seed ${seed}`, runs[0]!),
    [NUMBERS]: `${JSON.stringify(numbers, null, 2)}\n`,
  };
}

function optionsOf(args: readonly string[]): Options {
  const command = new Command("npm run demo -- --task diffusion")
    .description(
      "Trains a denoiser of points on eight Gaussians, and from that checkpoint Diffusion-DPO, DMPO and SPO around " +
        "each on pairs in which samples of every other Gaussian are chosen.",
    )
    .option("--task <name>", "diffusion")
    .option("--seeds <n>", "how many runs", counted(1, MOST_VALUES), 1)
    .option("--seed <n>", "of the first run", counted(0, Number.MAX_SAFE_INTEGER), 0)
    .option("--out <directory>", "where to write", "demo-output")
    .option("--quick", "everything smaller: a check that the demo works", false)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  try {
    return command.parse(args, { from: "user" }).opts<Options>();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) process.exit();
    throw new InputError(error.message);
  }
}

const counted =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be an integer from ${least} to ${most}.`);
  };
