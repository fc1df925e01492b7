/**
 * The run itself: supervised fine-tuning, then from that one checkpoint, over the same pairs in the
 * same order, the preference loss alone and the same loss kept in the safe region by SPO. Knows
 * nothing of files and terminals.
 * @module
 */

import {
  type AdamWState,
  adamw,
  type Gpt,
  type GptParameters,
  gpt,
  realize,
  type Tensor,
  valueAndGrad,
} from "../../src/index.js";
import { examine, type Figures, figuresOf, type Scores, scorePairs } from "./evaluate.js";
import {
  type Objective,
  preferenceLoss,
  preferenceObjective,
  preferenceOrder,
  type StepLoss,
  supervisedObjective,
} from "./objectives.js";
import { phasesOf, type Settings } from "./settings.js";
import type { Task } from "./task.js";
import { turn } from "./turn.js";

/** Where a run stands: after `step` steps of `phase`. */
export interface Snapshot {
  readonly phase: string;
  readonly step: number;
  readonly parameters: GptParameters;
  readonly optimizer: AdamWState;
}

/** What a run tells while it goes. Calls are awaited, so a slow observer slows the run. */
export interface Observer {
  /** The SFT checkpoint scored this many of the pairs that will be trained on. */
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
    if (index > first && signal?.aborted) return false;
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
    if (end.step < phase.steps) return false;
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
  readonly objective: Objective;
  figures(parameters: GptParameters): Promise<Figures>;
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
): Promise<Snapshot> {
  const { name, steps, optimizer } = phase;
  let { step, parameters, optimizer: state } = start;
  observer.phase?.(name, step, steps);
  while (step < steps) {
    let metrics: StepLoss["metrics"] = {};
    const [loss, gradients] = valueAndGrad((at: GptParameters) => {
      const result = phase.objective(at, step);
      metrics = result.metrics;
      return result.loss;
    })(parameters);
    [parameters, state] = optimizer.update(gradients, state, parameters);
    await realize(parameters, state, loss, metrics);
    step++;
    observer.step?.(name, step, await numbers({ loss, ...metrics }));
    if (step % phase.evaluateEvery === 0 || step === steps) {
      observer.evaluation?.(name, step, await phase.figures(parameters));
    }
    // Evaluation may stay in the microtask queue; signals and the terminal need a turn.
    await turn();
    const stop = signal?.aborted ?? false;
    if (stop || step % checkpointEvery === 0 || step === steps) {
      await observer.checkpoint?.({ phase: name, step, parameters, optimizer: state });
    }
    if (stop) break;
  }
  return { phase: name, step, parameters, optimizer: state };
}

function supervisedPhase(name: string, model: Gpt, settings: Settings, task: Task): Phase {
  return {
    name,
    steps: settings.sftSteps,
    evaluateEvery: settings.sftEvaluateEvery,
    optimizer: adamw({ learningRate: settings.sftLearningRate }),
    objective: supervisedObjective(model, settings, task.supervised),
    async figures(parameters) {
      const scores = await scorePairs(model, parameters, task.heldOut, settings);
      return completed(scores, null, model, parameters, task);
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
  const lossOf = preferenceLoss(settings, name !== settings.base);
  return {
    name,
    steps: settings.steps,
    evaluateEvery: settings.evaluateEvery,
    optimizer: adamw({ learningRate: settings.learningRate }),
    objective: preferenceObjective(model, settings, task.training, references.training, lossOf),
    async figures(parameters) {
      const scores = await scorePairs(model, parameters, task.heldOut, settings);
      return completed(scores, references.heldOut, model, parameters, task);
    },
  };
}

/** The reference of the preference runs; null if the signal came first. */
async function referencesOf(
  model: Gpt,
  sft: GptParameters,
  settings: Settings,
  { training, heldOut }: Task,
  observer: Observer,
  signal: AbortSignal | undefined,
): Promise<References | null> {
  const { batchSize, steps } = settings;
  const rowsAt = preferenceOrder(settings, training.chosen.count);
  const rows = [...new Set(Array.from({ length: steps }, (_, step) => rowsAt(step)).flat())];
  const stopped = new Error("stopped");
  const scored = async (done: number, total: number): Promise<void> => {
    observer.reference?.(done, total);
    await turn();
    if (signal?.aborted) throw stopped;
  };
  observer.reference?.(0, rows.length);
  try {
    return {
      training: await scorePairs(model, sft, training, { batchSize, rows, scored }),
      heldOut: await scorePairs(model, sft, heldOut, { batchSize }),
    };
  } catch (error) {
    if (error === stopped) return null;
    throw error;
  }
}

async function completed(
  scores: Scores,
  sft: Scores | null,
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
