/**
 * Checkpoints: where a run stands, exactly. A file holds the parameters and the optimizer's moments
 * as named float32 arrays (`parameters.blocks.0.mlp.…`, `optimizer.firstMoment.…`), and as metadata
 * the phase, the step, the settings and the seconds spent. The data order needs no state: it
 * follows from the seed and the step.
 * @module
 */

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AdamWState, type GptParameters, Tensor, type Tree, tensor } from "../../src/index.js";
import { InputError } from "./inputError.js";
import {
  decodeSafetensors,
  encodeSafetensors,
  type NamedArray,
  type SafetensorsFile,
} from "./safetensors.js";
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

const FORMAT = "prefgrad-demo 1";

/** The file of a run's last checkpoint. */
export function checkpointPath(directory: string): string {
  return join(directory, "checkpoint.safetensors");
}

/** The file of the model a phase ended with. */
export function modelPath(directory: string, phase: string): string {
  return join(directory, `${phase}.safetensors`);
}

/** Writes a file so that a reader finds the old contents or the new, never a part. */
export function writeAtomically(path: string, contents: string | Uint8Array): void {
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, contents, { flush: true });
  renameSync(temporary, path);
}

/** Writes the run's checkpoint. */
export async function writeCheckpoint(
  directory: string,
  snapshot: Snapshot,
  { settings, dataDigest, seconds }: RunState,
): Promise<void> {
  const { phase, step, parameters, optimizer } = snapshot;
  const arrays = await named({ parameters, optimizer });
  const metadata = {
    format: FORMAT,
    phase,
    step: String(step),
    settings: JSON.stringify(settings),
    dataDigest: JSON.stringify(dataDigest),
    seconds: JSON.stringify(seconds),
  };
  writeAtomically(checkpointPath(directory), encodeSafetensors({ metadata, arrays }));
}

/**
 * The run's last checkpoint.
 * @throws InputError if there is none, or the file is something else.
 */
export function readCheckpoint(directory: string): Checkpoint {
  const path = checkpointPath(directory);
  if (!existsSync(path)) {
    throw new InputError(
      `--resume: ${directory} has no checkpoint; start the run without --resume`,
    );
  }
  const { metadata, arrays } = readFile(path);
  const parameters = unnamed("parameters", arrays) as GptParameters;
  const step = Number(metadata.step);
  const optimizer: AdamWState = {
    ...(unnamed("optimizer", arrays) as Omit<AdamWState, "step">),
    step,
  };
  return {
    snapshot: { phase: metadata.phase!, step, parameters, optimizer },
    settings: JSON.parse(metadata.settings!) as Settings,
    dataDigest: JSON.parse(metadata.dataDigest!) as string | null,
    seconds: JSON.parse(metadata.seconds!) as Record<string, number>,
  };
}

/** Writes the model a phase ended with. */
export async function writeModel(
  directory: string,
  phase: string,
  parameters: GptParameters,
): Promise<void> {
  const arrays = await named({ parameters });
  const metadata = { format: FORMAT, phase };
  writeAtomically(modelPath(directory, phase), encodeSafetensors({ metadata, arrays }));
}

/** The model a phase ended with. */
export function readModel(directory: string, phase: string): GptParameters {
  const { arrays } = readFile(modelPath(directory, phase));
  return unnamed("parameters", arrays) as GptParameters;
}

function readFile(path: string): SafetensorsFile {
  let file: SafetensorsFile;
  try {
    file = decodeSafetensors(readFileSync(path));
  } catch (error) {
    throw new InputError(`${path}: cannot be read as a checkpoint (${(error as Error).message})`);
  }
  if (file.metadata.format !== FORMAT) {
    throw new InputError(`${path}: is no checkpoint of this version of the demo`);
  }
  return file;
}

/** The tensors of a tree with their paths as names. */
async function named(tree: unknown): Promise<Map<string, NamedArray>> {
  const arrays = new Map<string, NamedArray>();
  const visit = async (value: unknown, path: string): Promise<void> => {
    if (value instanceof Tensor) {
      arrays.set(path, { shape: value.shape, values: (await value.data()) as Float32Array });
    } else if (typeof value === "object" && value !== null) {
      for (const [key, child] of Object.entries(value)) {
        await visit(child, path === "" ? key : `${path}.${key}`);
      }
    }
  };
  await visit(tree, "");
  return arrays;
}

/** The tree whose paths start with `root`: objects, and arrays where all keys are numbers. */
function unnamed(root: string, arrays: ReadonlyMap<string, NamedArray>): unknown {
  const tree: Branch = {};
  for (const [name, { shape, values }] of arrays) {
    const [first, ...path] = name.split(".");
    if (first !== root) continue;
    const last = path.pop()!;
    let branch = tree;
    for (const key of path) {
      branch[key] ??= {};
      branch = branch[key] as Branch;
    }
    branch[last] = tensor(values, { shape });
  }
  return listed(tree);
}

interface Branch {
  [key: string]: Tensor | Branch;
}

function listed(branch: Tensor | Branch): Tree {
  if (branch instanceof Tensor) return branch;
  const entries = Object.entries(branch).map(([key, child]) => [key, listed(child)] as const);
  const isList = entries.length > 0 && entries.every(([key], i) => key === String(i));
  return isList ? entries.map(([, child]) => child) : Object.fromEntries(entries);
}
