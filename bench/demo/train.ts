/**
 * The run itself: supervised fine-tuning, then from that one checkpoint, over the same pairs in the
 * same order, the preference loss alone and the same loss kept in the safe region by SPO. Knows
 * nothing of files and terminals.
 * @module
 */

import { setImmediate } from "node:timers/promises";
import {
  type AdamWState,
  adamw,
  type Gpt,
  type GptParameters,
  gpt,
  lossByName,
  type PairLogProbs,
  preferenceMetrics,
  realize,
  sequenceLogProbs,
  slice,
  spoLoss,
  sum,
  type Tensor,
  valueAndGrad,
  zeros,
} from "../../src/index.js";
import { InputError } from "./data.js";
import { examine, type Figures, figuresOf, type Scores, scorePairs } from "./evaluate.js";
import { batchOf, rowsOf } from "./pairs.js";
import type { Settings } from "./settings.js";
import { dataOrder } from "./shuffle.js";
import type { Task } from "./task.js";

/** Where a run stands: after `step` steps of `phase`. */
export interface Snapshot {
  readonly phase: string;
  readonly step: number;
  readonly parameters: GptParameters;
  readonly optimizer: AdamWState;
}

/** What a run tells while it goes. Calls are awaited, so a slow observer slows the run. */
export interface Observer {
  /** The SFT checkpoint scored this many of the training pairs: the reference of the preference runs. */
  reference?(done: number, pairs: number): void;
  /** A phase begins, or continues after `done` steps. */
  phase?(phase: string, done: number, steps: number): void;
  /** A step was made. `values` has its loss and, in preference runs, its metrics, before the step. */
  step?(phase: string, step: number, values: Readonly<Record<string, number>>): void;
  /** The figures after a step. */
  evaluation?(phase: string, step: number, figures: Figures): void;
  /** A point to continue from: at intervals, at the end of phases, and when the run is stopped. */
  checkpoint?(snapshot: Snapshot): void | Promise<void>;
}

/** Options of {@link train}. */
export interface TrainOptions {
  /** Stops the run after the step it is in, or while the reference is made. */
  readonly signal?: AbortSignal;
  /** Where to continue, and the model supervised fine-tuning ended with, if it has ended there. */
  readonly from?: { readonly snapshot: Snapshot; readonly sft: GptParameters | null };
}

/** The run's phases in order: `sft`, the base loss, the base loss with SPO. */
export function phasesOf({ base }: Settings): [sft: string, base: string, spo: string] {
  return ["sft", base, `${base}+spo`];
}

/** The model of the settings. */
export function modelOf({ model }: Settings, task: Task): Gpt {
  return gpt({
    ...model,
    vocabularySize: task.tokenizer.vocabularySize,
    contextLength: task.context,
    tiedHead: false,
  });
}

/**
 * Runs all phases, or what is left of them.
 * @returns whether the run came to its end; false if the signal stopped it.
 */
export async function train(
  settings: Settings,
  task: Task,
  observer: Observer,
  { signal, from }: TrainOptions = {},
): Promise<boolean> {
  const model = modelOf(settings, task);
  const first = from ? phasesOf(settings).indexOf(from.snapshot.phase) : 0;
  let sft = from?.sft ?? null;
  let references: References | null = null;
  for (const [index, name] of phasesOf(settings).entries()) {
    if (index < first) continue;
    if (sft && !references) {
      references = await referencesOf(model, sft, settings, task, observer, signal);
      if (!references) return false;
    }
    const phase = sft
      ? preferencePhase(name, model, settings, task, references!)
      : supervisedPhase(name, model, settings, task);
    const parameters = sft ?? model.init(settings.seed, { std: INITIAL_STD });
    const start =
      index === first && from
        ? from.snapshot
        : { phase: name, step: 0, parameters, optimizer: phase.optimizer.init(parameters) };
    const end = await runPhase(phase, start, settings, observer, signal);
    if (!end) return false;
    sft ??= end.parameters;
  }
  return true;
}

const INITIAL_STD = 0.05;

/** One stretch of training. */
interface Phase {
  readonly name: string;
  readonly steps: number;
  readonly evaluateEvery: number;
  readonly optimizer: ReturnType<typeof adamw>;
  /** The loss of a step's batch, and what else to record of it. */
  objective(parameters: GptParameters, step: number): Objective;
  figures(parameters: GptParameters): Promise<Figures>;
}

interface Objective {
  readonly loss: Tensor;
  readonly metrics: Readonly<Record<string, Tensor>>;
}

/** What the SFT checkpoint makes of the pairs: constants of the preference runs. */
interface References {
  readonly training: Scores;
  readonly heldOut: Scores;
}

async function runPhase(
  phase: Phase,
  start: Snapshot,
  { checkpointEvery }: Settings,
  observer: Observer,
  signal: AbortSignal | undefined,
): Promise<Snapshot | null> {
  const { name, steps, optimizer } = phase;
  let { step, parameters, optimizer: state } = start;
  observer.phase?.(name, step, steps);
  while (step < steps) {
    let metrics: Objective["metrics"] = {};
    const [loss, gradients] = valueAndGrad((at: GptParameters) => {
      const objective = phase.objective(at, step);
      metrics = objective.metrics;
      return objective.loss;
    })(parameters);
    [parameters, state] = optimizer.update(gradients, state, parameters);
    await realize(parameters, state, loss, metrics);
    step++;
    observer.step?.(name, step, await numbers({ loss, ...metrics }));
    if (step % phase.evaluateEvery === 0 || step === steps) {
      observer.evaluation?.(name, step, await phase.figures(parameters));
    }
    // Evaluation may stay in the microtask queue; signals and the terminal need a turn.
    await setImmediate();
    const stop = signal?.aborted ?? false;
    if (stop || step % checkpointEvery === 0 || step === steps) {
      await observer.checkpoint?.({ phase: name, step, parameters, optimizer: state });
    }
    if (stop) return null;
  }
  return { phase: name, step, parameters, optimizer: state };
}

function supervisedPhase(name: string, model: Gpt, settings: Settings, task: Task): Phase {
  const { supervised } = task;
  const rowsAt = dataOrder(`${settings.seed} sft`, supervised.count, 2 * settings.batchSize);
  return {
    name,
    steps: settings.sftSteps,
    evaluateEvery: settings.sftEvaluateEvery,
    optimizer: adamw({ learningRate: settings.sftLearningRate }),
    objective(parameters, step) {
      const { ids, mask } = batchOf([supervised], rowsAt(step));
      const logProbs = sequenceLogProbs(model.apply(parameters, ids), ids, mask);
      return { loss: sum(logProbs).div(sum(mask)).neg(), metrics: {} };
    },
    async figures(parameters) {
      const scores = await scorePairs(model, parameters, task.heldOut, settings.batchSize);
      return completed(scores, scores, model, parameters, task);
    },
  };
}

function preferencePhase(
  name: string,
  model: Gpt,
  settings: Settings,
  task: Task,
  references: References,
): Phase {
  const { chosen, rejected } = task.training;
  const { batchSize } = settings;
  const lossOf = preferenceLoss(settings, name !== settings.base);
  const rowsAt = dataOrder(`${settings.seed} preference`, chosen.count, batchSize);
  return {
    name,
    steps: settings.steps,
    evaluateEvery: settings.evaluateEvery,
    optimizer: adamw({ learningRate: settings.learningRate }),
    objective(parameters, step) {
      const rows = rowsAt(step);
      const { ids, mask } = batchOf([chosen, rejected], rows);
      const logProbs = sequenceLogProbs(model.apply(parameters, ids), ids, mask);
      const pairs: PairLogProbs = {
        chosen: slice(logProbs, [0, batchSize]),
        rejected: slice(logProbs, [batchSize, 2 * batchSize]),
        referenceChosen: rowsOf(references.training.chosen, rows),
        referenceRejected: rowsOf(references.training.rejected, rows),
        chosenLength: rowsOf(chosen.responseLengths, rows),
        rejectedLength: rowsOf(rejected.responseLengths, rows),
      };
      return lossOf(pairs);
    },
    async figures(parameters) {
      const scores = await scorePairs(model, parameters, task.heldOut, batchSize);
      return completed(scores, references.heldOut, model, parameters, task);
    },
  };
}

/** The base loss of the settings, or that loss with SPO around it. */
function preferenceLoss(settings: Settings, stable: boolean): (pairs: PairLogProbs) => Objective {
  const base = lossByName(settings.base);
  const baseOptions = settings.beta === null ? {} : { beta: settings.beta };
  const { gamma, hinge, epsilon } = settings;
  return (pairs) => {
    if (!stable) {
      const result = base(pairs, baseOptions);
      return { loss: result.loss, metrics: preferenceMetrics(result, pairs) };
    }
    const result = spoLoss(pairs, { base, baseOptions, gamma, hinge, epsilon });
    const metrics = { ...preferenceMetrics(result, pairs), "spo/gap": result.gap };
    return { loss: result.loss, metrics };
  };
}

/**
 * Whether the settings' loss can be built: an expression that is never evaluated.
 * @throws InputError with the loss's own words, such as the list of known names.
 */
export function checkLoss(settings: Settings): void {
  if (settings.base === phasesOf(settings)[0]) {
    throw new InputError(
      `--base ${settings.base}: is no preference loss; every run starts with it`,
    );
  }
  const numbers = zeros([2]);
  try {
    preferenceLoss(
      settings,
      true,
    )({
      chosen: numbers,
      rejected: numbers,
      referenceChosen: numbers,
      referenceRejected: numbers,
      chosenLength: numbers,
      rejectedLength: numbers,
    });
  } catch (error) {
    throw new InputError(`--base ${settings.base}: ${(error as Error).message}`);
  }
}

/** The reference of the preference runs; null if the signal came first. */
async function referencesOf(
  model: Gpt,
  sft: GptParameters,
  { batchSize }: Settings,
  { training, heldOut }: Task,
  observer: Observer,
  signal: AbortSignal | undefined,
): Promise<References | null> {
  const { count } = training.chosen;
  const stopped = new Error("stopped");
  observer.reference?.(0, count);
  try {
    return {
      training: await scorePairs(model, sft, training, batchSize, async (done) => {
        observer.reference?.(done, count);
        await setImmediate();
        if (signal?.aborted) throw stopped;
      }),
      heldOut: await scorePairs(model, sft, heldOut, batchSize),
    };
  } catch (error) {
    if (error === stopped) return null;
    throw error;
  }
}

async function completed(
  scores: Scores,
  sft: Scores,
  model: Gpt,
  parameters: GptParameters,
  task: Task,
): Promise<Figures> {
  const { exam, heldOut } = task;
  return {
    ...figuresOf(scores, sft, heldOut),
    answerAccuracy: exam && (await examine(model, parameters, exam, task)),
  };
}

async function numbers(tensors: Readonly<Record<string, Tensor>>): Promise<Record<string, number>> {
  const values: Record<string, number> = {};
  for (const [key, t] of Object.entries(tensors)) values[key] = await t.item();
  return values;
}
