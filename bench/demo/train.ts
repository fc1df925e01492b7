/**
 * The run itself: supervised fine-tuning, then from that one checkpoint, over the same pairs in the
 * same order, further fine-tuning on the chosen responses, the preference loss alone and the same
 * loss kept in the safe region by SPO. Knows nothing of files and terminals.
 * @module
 */

import {
  type AnyObjective,
  adamw,
  type FitObserver,
  type FitState,
  fit,
  fullPolicy,
  type Gpt,
  type GptParameters,
  gpt,
  optimumFloor,
  type Policy,
  type PreferenceRow,
  type ReferencedPair,
  textObjective,
} from "../../src/index.js";
import { turn } from "../../src/training/turn.js";
import {
  accuraciesOf,
  answerSamples,
  type Figures,
  figuresOf,
  type Scores,
  scorePairs,
} from "./evaluate.js";
import { pairObjective, READING } from "./objectives.js";
import { sideOf, type TokenExample, textOf } from "./pairs.js";
import { phasesOf, type Settings, stepsOf } from "./settings.js";
import type { Task } from "./task.js";

/** Where a run stands: where the loop stands in `phase`. */
export interface Snapshot extends FitState<GptParameters> {
  readonly phase: string;
}

/** What a run tells while it goes. Calls are awaited, so a slow observer slows the run. */
export interface Observer {
  /** The SFT checkpoint scored this many of the pairs that will be trained on. */
  reference?(done: number, pairs: number): void;
  /** A copy was fine-tuned for this many steps, to find v*. */
  optimum?(done: number, steps: number): void;
  /** A phase begins, or continues after `done` steps. */
  phase?(phase: string, done: number, steps: number): void;
  /** A step was made. `values` has its loss and, in preference runs, its metrics, before the step. */
  step?(phase: string, step: number, values: Readonly<Record<string, number>>): void;
  /** The figures after a step. */
  evaluation?(phase: string, step: number, figures: Figures): void;
  /** The answers to the task's samples at the end of a phase. */
  samples?(phase: string, step: number, answers: readonly string[]): void;
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
  options: TrainOptions = {},
): Promise<boolean> {
  const { signal } = options;
  try {
    return await phases(settings, task, observer, options);
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return false;
    throw error;
  }
}

async function phases(
  settings: Settings,
  task: Task,
  observer: Observer,
  { signal, from }: TrainOptions,
): Promise<boolean> {
  const model = modelOf(settings, task);
  const [, , , spo] = phasesOf(settings);
  const first = from ? phasesOf(settings).indexOf(from.snapshot.phase) : 0;
  let sft = from?.sft ?? null;
  let references: References | null = null;
  for (const [index, name] of phasesOf(settings).entries()) {
    if (index < first) continue;
    if (sft) references ??= await referencesOf(model, sft, settings, task, observer, signal);
    const parameters = sft ?? model.init(settings.seed, { std: INITIAL_STD });
    const policy = fullPolicy({ model, parameters });
    const phase = phaseOf(name, model, settings, task, references);
    const learn = <Row>(objective: AnyObjective<GptParameters, Row>, data: readonly Row[]) =>
      fit({
        parameters,
        objective,
        data,
        optimizer: adamw({ learningRate: phase.learningRate }),
        batchSize: phase.batchSize,
        maxSteps: phase.steps,
        seed: settings.seed,
        maxGradNorm: 0,
        logEvery: 1,
        saveEvery: 1,
        from: index === first ? from?.snapshot : undefined,
        signal,
        observer: observerOf(phase, settings, observer, signal),
      });
    const floor =
      name === spo ? await floorOf(policy, settings, task, references!, observer, signal) : null;
    const { state, done } = await (phase.imitated
      ? learn(textObjective({ policy, ...READING }), phase.imitated.map(textOf))
      : learn(pairObjective(settings, policy, floor), references!.pairs));
    if (!done) return false;
    sft ??= state.parameters;
  }
  return true;
}

const INITIAL_STD = 0.05;

/** One stretch of training. */
interface Phase {
  readonly name: string;
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly evaluateEvery: number;
  /** The responses to imitate; null: pairs are compared. */
  readonly imitated: readonly TokenExample[] | null;
  figures(parameters: GptParameters): Promise<Figures>;
  samples(parameters: GptParameters): Promise<string[]>;
}

/** What the SFT checkpoint makes of the pairs: constants of the preference runs. */
interface References {
  /** The pairs that are trained on. */
  readonly pairs: readonly ReferencedPair[];
  readonly heldOut: Scores;
}

/** Tells of a phase what the loop tells. It gives a state after each step: some are measured, some kept. */
function observerOf(
  { name, steps, evaluateEvery, figures, samples }: Phase,
  { checkpointEvery }: Settings,
  observer: Observer,
  signal: AbortSignal | undefined,
): FitObserver<GptParameters> {
  return {
    start: ({ step }) => observer.phase?.(name, step, steps),
    log: ({ step, epoch: _, ...values }) => observer.step?.(name, step!, values),
    async save(state) {
      const { step, parameters } = state;
      const last = step === steps;
      if (step % evaluateEvery === 0 || last) {
        observer.evaluation?.(name, step, await figures(parameters));
      }
      if (last) observer.samples?.(name, step, await samples(parameters));
      if (signal?.aborted || step % checkpointEvery === 0 || last) {
        await observer.checkpoint?.({ phase: name, ...state });
      }
    },
  };
}

/** A phase by its name; `references` are there once the first is over. */
function phaseOf(
  name: string,
  model: Gpt,
  settings: Settings,
  task: Task,
  references: References | null,
): Phase {
  const { batchSize } = settings;
  const { supervised, heldOut } = task;
  const [sft, chosen] = phasesOf(settings);
  const isFirst = name === sft;
  const preferred = trainedOn(task, settings).map((pair) => sideOf(pair, "chosenIds"));
  return {
    name,
    steps: stepsOf(settings, name),
    batchSize: isFirst ? 2 * batchSize : batchSize,
    learningRate: isFirst ? settings.sftLearningRate : settings.learningRate,
    evaluateEvery: isFirst ? settings.sftEvaluateEvery : settings.evaluateEvery,
    imitated: isFirst ? supervised : name === chosen ? preferred : null,
    async figures(parameters) {
      const scores = await scorePairs(model, parameters, heldOut, { batchSize });
      return {
        ...figuresOf(scores, references?.heldOut ?? null, heldOut),
        ...(await accuraciesOf(model, parameters, task, batchSize)),
      };
    },
    samples: (parameters) => answerSamples(model, parameters, task),
  };
}

/** The pairs that the preference runs come to: no more than their steps take. */
function trainedOn({ training }: Task, { steps, batchSize }: Settings): readonly PreferenceRow[] {
  return training.slice(0, steps * batchSize);
}

/** The reference of the preference runs. @throws the signal's reason, if it comes first. */
async function referencesOf(
  model: Gpt,
  sft: GptParameters,
  settings: Settings,
  task: Task,
  observer: Observer,
  signal: AbortSignal | undefined,
): Promise<References> {
  const { batchSize } = settings;
  const pairs = trainedOn(task, settings);
  const scored = async (done: number, total: number): Promise<void> => {
    observer.reference?.(done, total);
    await turn();
    signal?.throwIfAborted();
  };
  observer.reference?.(0, pairs.length);
  const { chosen, rejected } = await scorePairs(model, sft, pairs, { batchSize, scored });
  return {
    pairs: pairs.map((pair, i) => ({
      ...pair,
      referenceChosen: chosen[i]!,
      referenceRejected: rejected[i]!,
    })),
    heldOut: await scorePairs(model, sft, task.heldOut, { batchSize }),
  };
}

/** SPO's v*, as the settings have it. @throws the signal's reason, if it comes first. */
async function floorOf(
  policy: Policy<GptParameters>,
  { floor, steps, batchSize, learningRate, seed }: Settings,
  { heldOut }: Task,
  { pairs }: References,
  observer: Observer,
  signal: AbortSignal | undefined,
): Promise<number | "reference"> {
  if (floor === "reference") return floor;
  observer.optimum?.(0, steps);
  const found = await optimumFloor(pairs, {
    policy,
    heldOut,
    steps,
    batchSize,
    learningRate,
    seed,
    ...READING,
    onProgress(done) {
      observer.optimum?.(done, steps);
      signal?.throwIfAborted();
    },
  });
  return found.floor;
}
