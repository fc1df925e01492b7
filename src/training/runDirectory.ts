/**
 * What a run of {@link fit} leaves in a directory, and how it goes on after it was stopped or killed at whatever moment.
 * @module
 */

import { checkCount, checkFlag, checkOptions } from "../checks.js";
import {
  type DirectoryTreeTarget,
  type OutputTree,
  outputTree,
  textIn,
  writeText,
} from "../files/outputTree.js";
import {
  type CheckpointWeights,
  checkpointName,
  checkpointsAmong,
  NotWhole,
  type Row,
  readCheckpoint,
  removeCheckpoint,
  TRAINER_STATE,
  trainerState,
  treeWeights,
  writeCheckpoint,
} from "./checkpoints.js";
import type { FitState } from "./fitState.js";
import type { FitObserver, FitPlan } from "./observer.js";
import { runLock } from "./runLock.js";
import {
  asJson,
  differencesOf,
  type RunSettings,
  settingsIn,
  settingsText,
} from "./runSettings.js";

/** Options of {@link openRunDirectory}. */
export interface RunDirectoryOptions<P> {
  /**
   * What determines the numbers besides the loop's own settings, as JSON: fingerprints of model and data, the loss. A
   * run goes on only with the same.
   */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Go on with the run that is there, if there is one; default false. */
  readonly resume?: boolean;
  /** Delete the run that is there, if there is one; default false. */
  readonly overwrite?: boolean;
  /** How many checkpoints are kept, the last ones; the one with the lowest evaluation loss is kept besides. Default 2. */
  readonly keep?: number;
  /** How checkpoints keep parameters; default as a tree, in `parameters.safetensors`. */
  readonly weights?: CheckpointWeights<P>;
}

/** A run's directory: an observer of {@link fit} that writes what it hears. */
export interface RunDirectory
  extends Required<
    Pick<FitObserver, "start" | "log" | "evaluation" | "badStep" | "save" | "end" | "close">
  > {
  /** The state of the last whole checkpoint, for `from` of {@link FitOptions}; undefined where there is none. */
  readonly from: FitState | undefined;
  /** Sentences on what was found damaged and what is done about it; empty if nothing was. */
  readonly notices: readonly string[];
}

const SETTINGS = "settings.json";
const METRICS = "metrics.jsonl";
/** What a killed process may leave of a file beside the checkpoints. */
const LEFTOVER = /^(settings\.json|metrics\.jsonl|trainer_state\.json)\.tmp-\d+-\d+$/;

/**
 * Opens a directory for a run of {@link fit}. As an observer it writes
 *
 * - `settings.json`: what determines the numbers;
 * - `metrics.jsonl`: a line for each row of the log, each evaluation and each bad step;
 * - `checkpoint-N/` after step N: parameters, the other states, and transformers' `trainer_state.json` with the log so far;
 * - `trainer_state.json`, when the run is over.
 *
 * Checkpoints are whole or not there. With `resume`, a run that was killed at any moment goes on from the last whole one and
 * ends with the bits of a run that never stopped, in parameters, states and `metrics.jsonl`. Nothing in the directory
 * changes before `fit` has begun. While it goes on, `run.lock` keeps other runs on this machine out; in a browser, the
 * origin's own file system has a Web Lock in its place, and other directories have none.
 *
 * @param directory A path (Node), which is made, or a handle of a browser's directory, for instance one in
 * `navigator.storage.getDirectory()`.
 * @throws (the returned promise rejects) for a directory that cannot be written to, that holds a run while neither
 * `resume` nor `overwrite` is set, that holds a run with other settings while `overwrite` is not, or in which a run
 * goes on. What it does as an observer throws where the disk is full, and leaves nothing half-written.
 * @example
 * const run = await openRunDirectory("runs/a", { resume: true });
 * await fit({ parameters, objective, data, learningRate: 1e-3, from: run.from, observer: run });
 */
export async function openRunDirectory<P>(
  directory: DirectoryTreeTarget,
  options: RunDirectoryOptions<P> = {},
): Promise<RunDirectory> {
  checkOptions("openRunDirectory", options, "settings", "resume", "overwrite", "keep", "weights");
  const { resume = false, overwrite = false, keep = 2 } = options;
  checkFlag("openRunDirectory", "resume", resume);
  checkFlag("openRunDirectory", "overwrite", overwrite);
  checkCount("openRunDirectory", "keep", keep, 1);
  if (resume && overwrite) {
    throw new TypeError(
      "openRunDirectory: resume keeps the run that is there, overwrite deletes it",
    );
  }
  const weights = (options.weights ?? treeWeights) as CheckpointWeights<unknown>;
  const { kind = "custom" } = weights;
  const settings = asJson(options.settings === undefined ? {} : options.settings);
  const where = typeof directory === "string" ? directory : "the directory";
  const tree = await outputTree(directory).catch((error) => {
    throw notWritten(where, error);
  });
  const lock = runLock(where, directory);
  await lock.check();
  const names = await tree.list();
  const before = await settingsBefore(where, tree, names);
  if (before && !overwrite) {
    refuseOther(where, before.settings, settings);
    refuseOther(where, { weights: before.weights }, { weights: kind });
    if (!resume) throw refusal(where, await isOver(tree));
  }

  const {
    state: from,
    history,
    notices,
  } = resume
    ? await lastWhole(where, tree, checkpointsAmong(names), weights)
    : { state: undefined, history: [], notices: [] };
  const keptOf = (steps: readonly number[], best: FitState["best"]): readonly number[] =>
    steps.filter((step, i) => i >= steps.length - keep || step === best?.step);
  const there = checkpointsAmong(names);
  const last = from?.step ?? -1;
  let passedOver = resume ? there.filter((step) => step > last) : [];
  let whole = keptOf(
    there.filter((step) => step <= last),
    from?.best ?? null,
  );
  let plan: FitPlan | undefined;

  const writing = async (what: string, write: () => Promise<void>): Promise<void> => {
    try {
      await write();
    } catch (error) {
      const last = whole.at(-1);
      const kept =
        last === undefined ? "" : `; ${checkpointName(last)} is whole: resume goes on there`;
      throw notWritten(`${where}: ${what}`, error, kept);
    }
  };
  const add = (row: Row): Promise<void> =>
    writing(METRICS, async () => {
      await tree.append(METRICS, lineOf(row));
      history.push(row);
    });

  return {
    from,
    notices,
    async start(started) {
      const begun = from?.step ?? 0;
      if (plan) {
        throw new TypeError(
          `openRunDirectory: a run has begun in ${where}; open the directory anew for the next one`,
        );
      }
      if (started.step !== begun) {
        throw new TypeError(
          `openRunDirectory: ${where} stands at step ${begun}, but fit begins at step ${started.step}; give it ` +
            "`from: run.from`",
        );
      }
      const now = { settings, fit: asJson(started.settings), weights: kind };
      if (before && !overwrite) refuseOther(where, before.fit, now.fit);
      await writing("run.lock", lock.take);
      const stands = checkpointsAmong(await tree.list());
      if (stands.join() !== there.join()) {
        throw new TypeError(
          `openRunDirectory: another run was in ${where} after it was opened; open it anew`,
        );
      }
      plan = started;
      await writing(SETTINGS, async () => {
        for (const step of there) {
          if (![...whole, ...passedOver].includes(step)) await removeCheckpoint(tree, step);
        }
        for (const name of names) if (LEFTOVER.test(name)) await tree.remove(name);
        if (overwrite) await tree.remove(TRAINER_STATE);
        await writeText(tree, SETTINGS, settingsText(now));
      });
      await writing(METRICS, () => writeText(tree, METRICS, history.map(lineOf).join("")));
    },
    log: add,
    evaluation: add,
    badStep: ({ step, epoch, loss, gradNorm, badSteps, rows }) =>
      add({ step, epoch, loss, grad_norm: gradNorm, bad_steps: badSteps, rows }),
    async save(state) {
      const { step, best } = state;
      await writing(checkpointName(step), async () => {
        if (passedOver.includes(step)) await removeCheckpoint(tree, step);
        await writeCheckpoint(tree, state, trainerState(plan!, state, history), weights);
        const others = passedOver.filter((own) => own !== step);
        const all = [...whole, step];
        passedOver = [];
        whole = keptOf(all, best);
        for (const own of [...others, ...all]) {
          if (!whole.includes(own)) await removeCheckpoint(tree, own);
        }
      });
    },
    async end(state, done) {
      if (!done) return;
      await writing(TRAINER_STATE, () =>
        writeText(tree, TRAINER_STATE, trainerState(plan!, state, history)),
      );
    },
    close: lock.release,
  };
}

/** A row as `metrics.jsonl` has it. JSON has no NaN: a number that is none is null. */
const lineOf = (row: Row): string => `${JSON.stringify(row)}\n`;

/** The settings of the run that is there; null if there is none. @throws if what is there is of something else. */
async function settingsBefore(
  where: string,
  tree: OutputTree,
  names: readonly string[],
): Promise<RunSettings | null> {
  const text = await textIn(tree, SETTINGS);
  const before = text === null ? null : settingsIn(text);
  if (before) return before;
  const foreign = names.find(
    (name) => [SETTINGS, METRICS].includes(name) || checkpointsAmong([name]).length > 0,
  );
  if (foreign === undefined) return null;
  throw new TypeError(
    `openRunDirectory: ${where} holds ${foreign}, but not the ${SETTINGS} of a run that this version can read; ` +
      "choose another directory",
  );
}

function refuseOther(where: string, before: RunSettings["fit"], now: RunSettings["fit"]): void {
  const differences = differencesOf(before, now);
  if (differences === "") return;
  throw new TypeError(
    `openRunDirectory: ${where} holds a run with other settings (${differences}); set overwrite (--overwrite) to delete it, ` +
      "or choose another directory",
  );
}

function refusal(where: string, over: boolean): TypeError {
  return new TypeError(
    `openRunDirectory: ${where} holds this run, ${over ? "finished" : "not finished"}; set resume (--resume) to ` +
      `${over ? "keep" : "go on with"} it, overwrite (--overwrite) to delete it, or choose another directory`,
  );
}

async function isOver(tree: OutputTree): Promise<boolean> {
  return (await textIn(tree, TRAINER_STATE)) !== null;
}

/** The last checkpoint that can be read, with what is wrong with those after it. */
async function lastWhole(
  where: string,
  tree: OutputTree,
  steps: readonly number[],
  weights: CheckpointWeights<unknown>,
): Promise<{ state: FitState | undefined; history: Row[]; notices: string[] }> {
  const notices: string[] = [];
  for (const step of [...steps].reverse()) {
    try {
      const found = await readCheckpoint(tree, step, weights);
      if (notices.length > 0)
        notices.push(`${where}: the run goes on from ${checkpointName(step)}`);
      return { ...found, notices };
    } catch (error) {
      const name = checkpointName(step);
      const { message } = error as Error;
      if (!(error instanceof NotWhole)) {
        throw new Error(
          `openRunDirectory: ${where}: ${name} cannot be read: ${message}; if it is damaged, remove it, and the run ` +
            "goes on from the one before",
          { cause: error },
        );
      }
      notices.push(`${where}: ${name} is not whole: ${message}`);
    }
  }
  if (notices.length > 0) notices.push(`${where}: no checkpoint is whole; the run begins anew`);
  return { state: undefined, history: [], notices };
}

/** What the file system refused, in a sentence. */
function notWritten(what: string, error: unknown, rest = ""): unknown {
  const { code, name, message } = error as { code?: string; name: string; message: string };
  const full = code === "ENOSPC" || name === "QuotaExceededError";
  if (code === undefined && !full) return error;
  const reason = full ? "the disk is full" : message;
  return new Error(`${what} cannot be written: ${reason}${rest}`, { cause: error });
}
