/**
 * Checkpoints: directories with all that determines what follows a step of {@link fit}. One is whole once its last
 * file, `trainer_state.json`, is: a process that is killed while it writes leaves a directory that is none.
 * @module
 */

import {
  type DirectoryTreeTarget,
  type OutputTree,
  outputTree,
  textIn,
  writeText,
} from "../files/outputTree.js";
import type { ByteSource } from "../files/source.js";
import { readTree, saveTree } from "../files/tree.js";
import type { FitState } from "./fitState.js";
import type { FitPlan } from "./observer.js";

/** How a checkpoint keeps parameters. */
export interface CheckpointWeights<P> {
  /** What `settings.json` calls them: a run goes on only with weights of the same kind. Default `"custom"`. */
  readonly kind?: string;
  /** Writes them into the checkpoint's directory. */
  save(directory: DirectoryTreeTarget, parameters: P): Promise<void>;
  /** Reads them, with the bits they had. An error ends the opening of the run, and nothing is removed. */
  load(directory: DirectoryTreeTarget): Promise<P>;
}

/** What a line of `metrics.jsonl` says. */
export type Row = Readonly<Record<string, unknown>>;

/** A checkpoint's last file, and beside the checkpoints the last of a run that is over. */
export const TRAINER_STATE = "trainer_state.json";
const STATE = "state.safetensors";
const PARAMETERS = "parameters.safetensors";
const NAME = /^checkpoint-(\d+)$/;

/** The steps of the checkpoints among names, in order. */
export function checkpointsAmong(names: readonly string[]): readonly number[] {
  const found = names.map((name) => NAME.exec(name)).filter((match) => match !== null);
  return found.map(([, step]) => Number(step)).sort((a, b) => a - b);
}

/** The name of a step's checkpoint. */
export const checkpointName = (step: number): string => `checkpoint-${step}`;

/** A checkpoint's own files prove it to be cut short or damaged. */
export class NotWhole extends Error {
  override readonly name = "NotWhole";
}

/** Parameters as a tree in a file of their own. */
export const treeWeights: CheckpointWeights<unknown> = {
  kind: "tree",
  async save(directory, parameters) {
    await saveTree(await (await outputTree(directory)).target(PARAMETERS), parameters);
  },
  load: async (directory) => treeIn(await outputTree(directory), PARAMETERS),
};

/** Writes a state, and last what makes the checkpoint whole. */
export async function writeCheckpoint<P>(
  run: OutputTree,
  { parameters, ...others }: FitState<P>,
  trainerState: string,
  weights: CheckpointWeights<P>,
): Promise<void> {
  try {
    const directory = await run.subdirectory(checkpointName(others.step));
    await weights.save(directory, parameters);
    const files = await outputTree(directory);
    await saveTree(await files.target(STATE), others);
    await writeText(files, TRAINER_STATE, trainerState);
  } catch (error) {
    await removeCheckpoint(run, others.step).catch(() => undefined);
    throw error;
  }
}

/**
 * The state of a step's checkpoint, and the log up to it.
 * @throws {@link NotWhole} if it is not; whatever `weights.load` and the file system throw.
 */
export async function readCheckpoint<P>(
  run: OutputTree,
  step: number,
  weights: CheckpointWeights<P>,
): Promise<{ state: FitState<P>; history: Row[] }> {
  const directory = await run.subdirectory(checkpointName(step));
  const files = await outputTree(directory);
  const history = historyIn(await textIn(files, TRAINER_STATE));
  if (!history) throw new NotWhole(`${TRAINER_STATE} is missing or cut short`);
  const others = (await treeIn(files, STATE)) as Omit<FitState<P>, "parameters">;
  return { state: { ...others, parameters: await weights.load(directory) }, history };
}

/** Removes a checkpoint; it is none any more before the first of its other files goes. */
export async function removeCheckpoint(run: OutputTree, step: number): Promise<void> {
  const name = checkpointName(step);
  const files = await outputTree(await run.subdirectory(name));
  await files.remove(TRAINER_STATE);
  await run.removeDirectory(name);
}

/** The log in a `trainer_state.json`; null where there is none, or a part. */
function historyIn(text: string | null): Row[] | null {
  try {
    return (JSON.parse(text ?? "null") as { log_history: Row[] } | null)?.log_history ?? null;
  } catch {
    return null;
  }
}

async function treeIn(files: OutputTree, name: string): Promise<unknown> {
  const file = await files.open(name);
  if (!file) throw new NotWhole(`there is no ${name}`);
  let unread: unknown;
  const read: ByteSource["read"] = (from, to) =>
    file.read(from, to).catch((error) => {
      unread = error;
      throw error;
    });
  try {
    return await readTree({ ...file, read });
  } catch (error) {
    // Bytes that could not be read say nothing of those that are there.
    throw error === unread ? error : new NotWhole((error as Error).message, { cause: error });
  } finally {
    await file.close();
  }
}

/** What transformers' `trainer_state.json` says of a run, in its words; programs that draw curves read `log_history`. */
export function trainerState(
  { steps, stepsPerEpoch, epochAfter, settings }: FitPlan,
  { step, best }: FitState,
  history: readonly Row[],
): string {
  return JSON.stringify({
    best_global_step: best?.step ?? null,
    best_metric: best?.loss ?? null,
    best_model_checkpoint: best && checkpointName(best.step),
    epoch: epochAfter(step),
    eval_steps: settings.evaluationEvery,
    global_step: step,
    logging_steps: settings.logEvery,
    max_steps: steps,
    num_train_epochs: Math.ceil(steps / stepsPerEpoch),
    train_batch_size: settings.batchSize,
    log_history: history,
  });
}
