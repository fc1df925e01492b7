/**
 * A run from rows to a directory with its result: what `align` and `sft` have in common.
 * @module
 */

import { checkFlag } from "../checks.js";
import type { PreferenceRow, Rows, TextRow, UnpairedRow } from "../data/rows.js";
import { rowsOf } from "../data/rows.js";
import type { DataSummary } from "../data/summary.js";
import { fingerprint } from "../files/fingerprint.js";
import type { DirectoryTreeTarget } from "../files/outputTree.js";
import { bytesPerElement } from "../kernels/dtype.js";
import { type DecoderParameters, decoder } from "../models/decoder.js";
import type { LoadedModel } from "../models/loadModel.js";
import { initLora, type LoraAdapter } from "../models/lora.js";
import { realize } from "../tensor/evaluate.js";
import { deviceLimits } from "../tensor/pieces.js";
import { treeLeaves } from "../tensor/tree.js";
import { adamwFor } from "./adamwFor.js";
import { answersTo, firstPrompts } from "./answers.js";
import { fit } from "./fit.js";
import type { AnyObjective } from "./fitOptions.js";
import type { FitState } from "./fitState.js";
import { heldOut } from "./heldOut.js";
import { batchesOf, rowsPrint, treeContents } from "./keptNumbers.js";
import { stepMemory } from "./memory.js";
import { modelCard } from "./modelCard.js";
import type { FitObserver } from "./observer.js";
import { groupByLength, type Order, randomOrder, sequentialOrder } from "./order.js";
import { openRunDirectory } from "./runDirectory.js";
import { readRun, refuseForeign, removeResults, writeAnswers, writeTexts } from "./runFiles.js";
import type { TrainingSettings } from "./settings/options.js";
import { adapterOf, bytesOfTree, sizeOfTree, type Trainee, wholeModel } from "./trainee.js";
import { VERSION } from "./version.js";

/** A row of any kind. */
export type AnyRow = PreferenceRow | UnpairedRow | TextRow;

/** Rows to train on: what a reader of data gave, or rows alone. */
export type GivenRows<Row> =
  | { readonly rows: Rows<Row>; readonly summary: DataSummary }
  | Rows<Row>
  | readonly Row[];

/** What is known before the first step. */
export interface RunFacts {
  /** Numbers that are trained, and that are not. */
  readonly trained: number;
  readonly frozen: number;
  readonly rows: number;
  /** Rows that are held out. */
  readonly heldOut: number;
  /** Of the longest row, prompt and longest completion together. */
  readonly longest: number;
  /** Bytes that a step takes, about. */
  readonly memory: number;
  /** Whether blocks are computed again for their gradients. */
  readonly checkpointing: boolean;
  /** What reading the rows found; null where they came without it. */
  readonly summary: DataSummary | null;
}

/** Who hears of a run, besides what {@link FitObserver} tells. */
export interface RunObserver extends FitObserver {
  /** Before anything is computed. */
  facts?(facts: RunFacts): void;
  /** The reference model has done so many rows. */
  references?(done: number, rows: number): void;
  /** So many steps of the fine-tuning that finds SPO's v* are made. */
  floor?(done: number, steps: number): void;
  /** Something a person should know, in a sentence. */
  notice?(text: string): void;
}

/** What every run takes. */
export interface RunOptions {
  /** The model, as {@link loadModel} gives it. It stays as it is, unless it is given up. */
  readonly lm: LoadedModel;
  /**
   * Whether a run that trains all of the model's parameters may take over their memory: `lm` is of no use afterwards. Not
   * where the loss compares with `lm` in every step (`"tdpo1"`, `"sgdpo"`, …), nor for an adapter. A later run, also one that
   * goes on, needs a model loaded anew. Default false.
   */
  readonly givesUpModel?: boolean;
  /** An adapter to go on from; the model's own parameters then stay. */
  readonly adapter?: LoraAdapter;
  /** The run's directory: a path (Node), which is made, or a handle of a browser's directory. */
  readonly output: DirectoryTreeTarget;
  /** A directory for what other runs can use again, the reference's log-probabilities. Default: none. */
  readonly cache?: DirectoryTreeTarget;
  /** Stops the run after the step it is in; `resume` goes on. */
  readonly signal?: { readonly aborted: boolean };
  readonly observer?: RunObserver;
}

/** The names of {@link RunOptions}. */
export const RUN_OPTIONS = [
  "lm",
  "givesUpModel",
  "adapter",
  "output",
  "cache",
  "signal",
  "observer",
] as const;

/** What a run came to. */
export interface RunResult {
  /** The model's parameters, an adapter's corrections beside them: what `generate` takes. */
  readonly parameters: DecoderParameters;
  /** The adapter that was trained; null where the model itself was. */
  readonly adapter: LoraAdapter | null;
  readonly state: FitState;
  /** False if the signal stopped it. */
  readonly done: boolean;
}

/** A signal stopped a run before its first step. */
export class Stopped extends Error {
  override readonly name = "Stopped";
  constructor() {
    super("stopped before the first step; nothing was trained");
  }
}

/** What a kind of run makes of rows and of what is trained. */
export interface RunKind<Row extends AnyRow, Trained extends Row> {
  readonly command: "align" | "sft";
  readonly settings: TrainingSettings<"align"> | TrainingSettings<"sft">;
  /** Of `settings`, as `settings.json` has it. */
  readonly loss: unknown;
  readonly learningRate: number;
  readonly order: "random" | "sequential";
  /** The reference model, if it is not the model before training. */
  readonly reference?: LoadedModel | undefined;
  /** Rejects rows of another kind. */
  readonly check: (rows: readonly Row[]) => void;
  /** Rows with what the objective needs, and the objective. */
  prepare<P>(
    trainee: Trainee<P>,
    rows: Rows<Row>,
    held: Rows<Row> | null,
    first: boolean,
  ): Promise<{
    readonly rows: Rows<Trained>;
    readonly held: Rows<Trained> | null;
    readonly objective: AnyObjective<P, Trained>;
    /** Whether every step compares with tensors of the model as it was before training. Default: no. */
    readonly comparesWithStart?: boolean;
  }>;
}

/** Runs. */
export async function trainRun<Row extends AnyRow, Trained extends Row>(
  kind: RunKind<Row, Trained>,
  options: RunOptions,
  given: GivenRows<Row>,
  evaluated: GivenRows<Row> | undefined,
): Promise<RunResult> {
  const { settings } = kind;
  const { lm, givesUpModel = false } = options;
  checkFlag(kind.command, "givesUpModel", givesUpModel);
  const lmWith = (checkpointing: boolean): LoadedModel =>
    checkpointing ? { ...lm, model: decoder(lm.config, { checkpointing }) } : lm;
  const { loraRank: rank, loraAlpha: alpha, loraTargets: targets, seed } = settings;
  const { loraDropout: dropout, loraRankStabilized: rankStabilized } = settings;
  if (options.adapter && settings.lora) {
    throw new TypeError(
      `${kind.command}: adapter has a rank, α and layers of its own, and is what is trained: leave lora out`,
    );
  }
  if (settings.groupByLength && settings.order !== undefined) {
    throw new TypeError(
      `${kind.command}: order and groupByLength are two orders of the rows: leave one of them out`,
    );
  }
  const adapter =
    options.adapter ??
    (settings.lora ? initLora(lm, { rank, alpha, targets, dropout, rankStabilized, seed }) : null);
  if (!adapter) {
    if (treeLeaves(lm.parameters).some(({ storage }) => storage === "bfloat16")) {
      throw new TypeError(
        `${kind.command}: dtype bfloat16 is for weights that are not trained: train an adapter (lora), or load the model as float32`,
      );
    }
    const whole = (again: boolean) => wholeModel(lmWith(again), settings.saveDtype);
    return trained(kind, options, whole, given, evaluated);
  }
  const beside = (again: boolean) => adapterOf(lmWith(again), adapter, seed);
  return trained(kind, options, beside, given, evaluated);
}

/** @param traineeWith What is trained, its blocks computed again for their gradients or not. */
async function trained<P, Row extends AnyRow, Trained extends Row>(
  kind: RunKind<Row, Trained>,
  options: RunOptions,
  traineeWith: (checkpointing: boolean) => Trainee<P>,
  given: GivenRows<Row>,
  evaluated: GivenRows<Row> | undefined,
): Promise<RunResult> {
  const { lm, output, signal, observer = {}, givesUpModel = false } = options;
  const { settings, command } = kind;
  const all = rowsIn(given);
  const split = evaluated
    ? { train: all, heldOut: rowsIn(evaluated) }
    : heldOut(all, settings.evalShare, settings.seed);
  const { lengths, tokens } = await lengthsOf(kind, split.train);
  if (split.heldOut) await lengthsOf(kind, split.heldOut);
  const plain = traineeWith(false);
  const memoryWith = (checkpointing: boolean): number =>
    memoryOf(lm, plain, { batchSize: settings.batchSize, checkpointing }, largest(lengths), tokens);
  const checkpointing =
    settings.gradientCheckpointing ?? memoryWith(false) > (await deviceLimits()).total;
  const trainee = checkpointing ? traineeWith(true) : plain;
  const { policy } = trainee;
  observer.facts?.({
    ...sizesOf(lm, trainee),
    rows: split.train.length,
    heldOut: split.heldOut?.length ?? 0,
    longest: largest(lengths),
    memory: memoryWith(checkpointing),
    checkpointing,
    summary: "summary" in given ? given.summary : null,
  });
  const { resume, overwrite, keep, saveEvery, ...numbers } = settings;
  const directory = await openRunDirectory<P>(output, {
    settings: {
      command,
      version: VERSION,
      ...numbers,
      gradientCheckpointing: checkpointing,
      loss: kind.loss,
      learningRate: kind.learningRate,
      order: kind.order,
      model: {
        source: lm.source,
        weights: await fingerprint(treeContents(trainee.whole(policy.parameters))),
      },
      reference: kind.reference && {
        source: kind.reference.source,
        weights: await fingerprint(treeContents(kind.reference.parameters)),
      },
      rows: await rowsPrint(split.train),
      heldOut: split.heldOut && (await rowsPrint(split.heldOut)),
    },
    resume,
    overwrite,
    keep,
    weights: trainee.weights(output),
  });
  await refuseForeign(command, output);
  for (const notice of directory.notices) observer.notice?.(notice);
  const isNew = directory.from === undefined;
  if (resume && isNew && directory.notices.length === 0) {
    observer.notice?.("there is no checkpoint to go on from: the run begins at its first step");
  }
  const prepared = await kind.prepare(trainee, split.train, split.heldOut, isNew);
  const { rows, held, objective, comparesWithStart = false } = prepared;
  const { tokenizer } = lm;
  const prompts = tokenizer && split.heldOut ? await firstPrompts(split.heldOut) : [];
  const answers = async (parameters: P) =>
    answersTo(lm, await realize(trainee.whole(parameters)), prompts);
  const before = await answers(policy.parameters);
  if (signal?.aborted && isNew) throw new Stopped();
  if (overwrite) await removeResults(output);

  // While the run has its directory to itself.
  const writeResult = async (parameters: P): Promise<void> => {
    await trainee.write(output, parameters);
    const after = await answers(parameters);
    await writeAnswers(
      output,
      prompts.map((ids, i) => ({
        prompt: tokenizer!.decode(ids, { skipSpecialTokens: true }),
        before: before[i]!,
        after: after[i]!,
      })),
    );
    const record = await readRun(output, typeof output === "string" ? output : command);
    const { runReport } = await import("./report/report.js");
    await writeTexts(output, {
      "README.md": modelCard(lm, record, trainee.adapter(parameters) !== null),
      "report.html": runReport([record]),
    });
  };
  const result: FitObserver<P> = {
    end: ({ parameters }, done) => (done ? writeResult(parameters) : undefined),
  };
  const { state, parameters, done } = await fit({
    parameters: policy.parameters,
    givesUpParameters:
      givesUpModel && !comparesWithStart && trainee.adapter(policy.parameters) === null,
    objective,
    data: rows,
    evaluation: held
      ? { data: held, batchSize: settings.evalBatchSize, onStart: true, ...everyOf(settings) }
      : undefined,
    optimizer: (learningRate) =>
      adamwFor(policy.parameters, {
        learningRate,
        weightDecay: settings.weightDecay,
        beta1: settings.adamBeta1,
        beta2: settings.adamBeta2,
        epsilon: settings.adamEpsilon,
      }),
    learningRate: kind.learningRate,
    lrSchedulerType: settings.lrSchedulerType,
    warmupSteps: settings.warmupSteps,
    batchSize: settings.batchSize,
    gradientAccumulationSteps: settings.gradientAccumulationSteps,
    epochs: settings.epochs,
    maxSteps: settings.maxSteps,
    seed: settings.seed,
    order: orderOf(kind, lengths),
    maxGradNorm: settings.maxGradNorm,
    logEvery: settings.logEvery,
    saveEvery,
    maxBadSteps: settings.maxBadSteps,
    from: directory.from as FitState<P> | undefined,
    signal,
    observer: [directory, result, observer],
  });
  const whole = await realize(trainee.whole(parameters));
  return { parameters: whole, adapter: trainee.adapter(parameters), state, done };
}

/** A reader's rows, or those that were given. */
function rowsIn<Row>(given: GivenRows<Row>): Rows<Row> {
  if ("rows" in given) return given.rows;
  return "read" in given ? given : rowsOf(given);
}

const everyOf = ({ evalEvery }: { readonly evalEvery?: number | undefined }) =>
  evalEvery === undefined ? {} : { every: evalEvery };

function orderOf<Row extends AnyRow, Trained extends Row>(
  { settings, order }: RunKind<Row, Trained>,
  lengths: Uint32Array,
): Order | "random" | "sequential" {
  const { dataSeed = settings.seed, batchSize, gradientAccumulationSteps } = settings;
  if (settings.groupByLength) {
    const rowsPerStep = batchSize * gradientAccumulationSteps;
    return groupByLength(lengths, { rowsPerStep, seed: dataSeed });
  }
  const { length } = lengths;
  return order === "random" ? randomOrder(length, dataSeed) : sequentialOrder(length);
}

/**
 * Of each row its longest text's tokens, and those that are computed.
 * @throws where there are no rows, or rows of another kind.
 */
async function lengthsOf<Row extends AnyRow, Trained extends Row>(
  { command, check }: RunKind<Row, Trained>,
  rows: Rows<Row>,
) {
  if (rows.length === 0) throw new RangeError(`${command}: there are no rows`);
  const [lengths, tokens] = [new Uint32Array(rows.length), new Uint32Array(rows.length)];
  let i = 0;
  for await (const piece of batchesOf(rows, 256)) {
    check(piece);
    for (const row of piece) {
      lengths[i] = lengthOf(row);
      tokens[i++] = tokensOf(row);
    }
  }
  return { lengths, tokens };
}

function lengthOf(row: AnyRow): number {
  if ("ids" in row) return row.ids.length;
  const completions = "chosenIds" in row ? [row.chosenIds, row.rejectedIds] : [row.completionIds];
  return row.promptIds.length + completions.reduce((most, ids) => Math.max(most, ids.length), 0);
}

const largest = (values: Uint32Array): number =>
  values.reduce((most, own) => Math.max(most, own), 0);

function sizesOf<P>(lm: LoadedModel, { trained: own, adapter, policy }: Trainee<P>) {
  return { trained: own, frozen: adapter(policy.parameters) ? sizeOfTree(lm.parameters) : 0 };
}

/** Tokens of a row that are computed: its prompt once. */
function tokensOf(row: AnyRow): number {
  if ("ids" in row) return row.ids.length;
  const own = "chosenIds" in row ? [row.chosenIds, row.rejectedIds] : [row.completionIds];
  const other = "mismatchedIds" in row ? row.promptIds.length + row.mismatchedIds.length : 0;
  return own.reduce((sum, ids) => sum + ids.length, row.promptIds.length + other);
}

/** Of the longest micro-batch there can be. */
function memoryOf<P>(
  lm: LoadedModel,
  trainee: Trainee<P>,
  { batchSize, checkpointing }: { readonly batchSize: number; readonly checkpointing: boolean },
  length: number,
  all: Uint32Array,
): number {
  const most = Uint32Array.from(all).sort().slice(-batchSize);
  const tokens = most.reduce((sum, own) => sum + own, 0);
  const bytes = bytesPerElement(lm.parameters.finalNorm.weight.dtype);
  const { trained: own } = trainee;
  const frozenBytes = trainee.adapter(trainee.policy.parameters) ? bytesOfTree(lm.parameters) : 0;
  return stepMemory(lm.config, { trained: own, frozenBytes, bytes, tokens, length, checkpointing });
}
