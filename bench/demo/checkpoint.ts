/**
 * Checkpoints: where a run stands, exactly, as a tree in a file. It has the parameters, the optimizer's
 * state, the phase, the step, the settings and the seconds spent.
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../src/cli/input.js";
import { type GptParameters, loadTree, saveTree } from "../../src/index.js";
import type { Settings } from "./settings.js";
import type { Snapshot } from "./train.js";

/** What is kept with a snapshot. */
export interface RunState {
  readonly settings: Settings;
  /** SHA-256 of the data file; null for generated data. */
  readonly dataDigest: string | null;
  /** Seconds of computing up to the snapshot, by phase. */
  readonly seconds: Readonly<Record<string, number>>;
}

/** A checkpoint as read. */
export interface Checkpoint extends RunState {
  readonly snapshot: Snapshot;
}

/** Changes with what a checkpoint holds. */
const FORMAT = "prefgrad-demo 4";

/** The file of a run's last checkpoint. */
export function checkpointPath(directory: string): string {
  return join(directory, "checkpoint.safetensors");
}

/** The file of the model a phase ended with. */
export function modelPath(directory: string, phase: string): string {
  return join(directory, `${phase}.safetensors`);
}

/** Writes the run's checkpoint. */
export async function writeCheckpoint(
  directory: string,
  snapshot: Snapshot,
  { settings, dataDigest, seconds }: RunState,
): Promise<void> {
  const tree = { format: FORMAT, snapshot, settings, dataDigest, seconds };
  await saveTree(checkpointPath(directory), tree);
}

/**
 * The run's last checkpoint.
 * @throws InputError if there is none, or the file is something else.
 */
export async function readCheckpoint(directory: string): Promise<Checkpoint> {
  const path = checkpointPath(directory);
  if (!existsSync(path)) {
    throw new InputError(
      `--resume: ${directory} has no checkpoint; start the run without --resume`,
    );
  }
  const { format, ...checkpoint } = await read<Checkpoint & { format: unknown }>(path);
  if (format === FORMAT) return checkpoint;
  throw new InputError(`${path}: is no checkpoint of this version of the demo`);
}

/** Writes the parameters of the model a phase ended with. */
export async function writeModel(
  directory: string,
  phase: string,
  parameters: GptParameters,
): Promise<void> {
  await saveTree(modelPath(directory, phase), parameters);
}

/** The parameters of the model a phase ended with. */
export function readModel(directory: string, phase: string): Promise<GptParameters> {
  return read(modelPath(directory, phase));
}

async function read<T>(path: string): Promise<T> {
  try {
    return await loadTree<T>(path);
  } catch (error) {
    throw new InputError(`${path}: cannot be read as a checkpoint (${(error as Error).message})`);
  }
}
