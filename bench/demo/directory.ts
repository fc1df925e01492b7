/**
 * The output directory of a run: whether what it holds may be replaced, and replacing it.
 * @module
 */

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../src/cli/input.js";
import { differencesOf } from "../../src/training/runSettings.js";
import { type Checkpoint, checkpointPath, modelPath, readCheckpoint } from "./checkpoint.js";
import { metricsPath } from "./metrics.js";
import { phasesOf, type Settings, stepsOf } from "./settings.js";

/** The file with the report of a run. */
export const REPORT = "report.html";

/** The report of a run. */
export function reportPath(directory: string): string {
  return join(directory, REPORT);
}

/**
 * Whether a new run may go where an earlier one is: it may if that one was the same and finished.
 * @throws InputError naming what is there and the options that decide.
 */
export async function checkReplaceable(
  directory: string,
  settings: Settings,
  dataDigest: string | null,
): Promise<void> {
  const found = await holding(directory, settings, dataDigest);
  if (found === null) return;
  throw new InputError(
    `--out ${directory}: holds ${found}; --resume goes on with it, --overwrite replaces it, ` +
      "or name another directory",
  );
}

/** What is in the way of a new run, in words; null: nothing. */
async function holding(
  directory: string,
  settings: Settings,
  dataDigest: string | null,
): Promise<string | null> {
  if (!existsSync(checkpointPath(directory))) {
    const traces = [metricsPath(directory), reportPath(directory)];
    return traces.some((path) => existsSync(path)) ? "an unfinished run" : null;
  }
  const earlier = await readable(directory);
  if (!earlier) return "a checkpoint that cannot be read";
  const { phase, step } = earlier.snapshot;
  if (phase !== phasesOf(earlier.settings).at(-1) || step < stepsOf(earlier.settings, phase)) {
    return "an unfinished run";
  }
  const differences = differencesOf({ ...earlier.settings }, { ...settings });
  if (differences !== "") return `another run (${differences})`;
  return earlier.dataDigest === dataDigest ? null : `a run on other contents of ${settings.data}`;
}

/**
 * Makes the directory ready for a new run: files of an earlier one go, others stay.
 * @throws InputError where it cannot be created.
 */
export async function clearDirectory(directory: string, settings: Settings): Promise<void> {
  try {
    mkdirSync(directory, { recursive: true });
  } catch (error) {
    throw new InputError(`--out ${directory}: cannot be created (${(error as Error).message})`);
  }
  const earlier = await readable(directory);
  const phases = [...phasesOf(settings), ...(earlier ? phasesOf(earlier.settings) : [])];
  const files = [
    checkpointPath(directory),
    metricsPath(directory),
    reportPath(directory),
    ...phases.map((phase) => modelPath(directory, phase)),
  ];
  for (const path of files) rmSync(path, { force: true });
}

/** The directory's checkpoint, if there is one that can be read. */
async function readable(directory: string): Promise<Checkpoint | null> {
  try {
    return await readCheckpoint(directory);
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}
