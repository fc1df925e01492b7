/**
 * The demo: trains a small language model on preference pairs, by imitation of the chosen responses,
 * with a preference loss alone and with the same loss kept in the safe region by SPO, and shows what
 * became of each.
 * `npm run demo -- --help` lists the options.
 * @module
 */

import { asInput, InputError } from "../../src/cli/input.js";
import { fullPolicy } from "../../src/index.js";
import { readCheckpoint } from "./checkpoint.js";
import { duration } from "./columns.js";
import { checkResume, parseCommandLine } from "./commandLine.js";
import { asksForDiffusion, diffusionDemo } from "./diffusion/main.js";
import { checkReplaceable, reportPath } from "./directory.js";
import { metricsPath } from "./metrics.js";
import { pairObjective } from "./objectives.js";
import { digestOf, type RunResult, run } from "./run.js";
import { phasesOf, type Settings, settingsFor } from "./settings.js";
import { type Task, taskOf } from "./task.js";
import { figuresTable, progressOn } from "./terminal.js";
import { modelOf } from "./train.js";
import { verdict } from "./verdict.js";

const EXIT_INPUT = 2;
const EXIT_INTERRUPTED = 130;

async function main(args: readonly string[]): Promise<number> {
  if (asksForDiffusion(args)) return diffusionDemo(args);
  const { chosen, directory, resume, overwrite } = parseCommandLine(args);
  const checkpoint = resume ? await readCheckpoint(directory) : null;
  if (checkpoint) checkResume(chosen, checkpoint);
  const settings = checkpoint?.settings ?? settingsFor(chosen);
  const task = await asInput(() => taskOf(settings));
  checkLoss(settings, task);
  if (!resume && !overwrite) {
    await checkReplaceable(directory, settings, digestOf(settings.data));
  }
  for (const line of task.description) console.log(line);

  const stopping = new AbortController();
  const progress = progressOn(process.stderr as NodeJS.WriteStream, phasesOf(settings));
  const interrupt = (): void => {
    progress.stop();
    if (stopping.signal.aborted) process.exit(EXIT_INTERRUPTED);
    console.error("\nstopping after this step; once more to stop at once");
    stopping.abort();
  };
  process.on("SIGINT", interrupt);
  let result: RunResult;
  try {
    result = await run({
      settings,
      task,
      directory,
      signal: stopping.signal,
      observer: progress,
      ...(checkpoint && { checkpoint }),
    });
  } finally {
    progress.stop();
  }
  const { finished, figures, seconds } = result;
  if (figures.size > 0) console.log(`\n${figuresTable(figures, seconds)}\n`);
  if (finished) for (const sentence of verdict(settings, figures)) console.log(sentence);
  if (!finished) {
    console.error(`stopped; continue with: npm run demo -- --resume --out ${directory}`);
    return EXIT_INTERRUPTED;
  }
  const total = Object.values(seconds).reduce((sum, spent) => sum + spent, 0);
  console.log(
    `\n${duration(total)}; answers and curves in ${reportPath(directory)}, numbers in ${metricsPath(directory)}`,
  );
  return 0;
}

/** Builds what the last phase descends, so that a loss or its options are refused before anything is trained. */
function checkLoss(settings: Settings, task: Task): void {
  const model = modelOf(settings, task);
  const policy = fullPolicy({ model, parameters: model.init(0) });
  try {
    pairObjective(settings, policy, "reference");
  } catch (error) {
    throw new InputError(`--base ${settings.base}: ${(error as Error).message}`);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof InputError)) throw error;
  console.error(error.message);
  process.exitCode = EXIT_INPUT;
}
