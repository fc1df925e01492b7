/**
 * Who hears of a run of {@link fit}, and of what.
 * @module
 */

import { describeValue, nearestName } from "../checks.js";
import type { FitState, LogRow } from "./fitState.js";
import type { LrSchedulerType } from "./schedules.js";

/** What of {@link FitOptions} determines a run's numbers, as JSON can hold it; of functions some of their values. */
export interface FitSettings {
  readonly rows: number;
  readonly batchSize: number;
  readonly gradientAccumulationSteps: number;
  readonly steps: number;
  readonly seed: number;
  /** Of an order of the caller's, the first 16 rows. */
  readonly order: "random" | "sequential" | readonly number[];
  /** The default, or null: the caller's, whose options only the caller knows. */
  readonly optimizer: "adamw" | null;
  readonly maxGradNorm: number;
  /** Of a schedule, its rates at up to nine steps from the first to the last. Null where the optimizer has its own. */
  readonly learningRate: number | readonly number[] | null;
  readonly lrSchedulerType: LrSchedulerType | null;
  readonly warmupSteps: number;
  readonly logEvery: number;
  readonly evaluationRows: number;
  readonly evaluationEvery: number;
  readonly evaluationBatchSize: number;
  readonly evaluationOnStart: boolean;
}

/** What a run is going to do. */
export interface FitPlan {
  /** Steps made before: 0, or those of the state it goes on from. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
  /** Epochs gone after so many steps, counted in micro-batches as transformers counts. */
  epochAfter(steps: number): number;
  readonly settings: FitSettings;
}

/** A step that was applied. */
export interface GoodStep {
  /** Counted from 1. */
  readonly step: number;
  readonly epoch: number;
  /** The mean over its rows. */
  readonly loss: number;
  /** Before clipping. */
  readonly gradNorm: number;
}

/** A step that was not applied: its loss or its gradient's norm is not finite. */
export interface BadStep extends GoodStep {
  /** The indices of its rows. */
  readonly rows: readonly number[];
  /** How many there were, this one included. */
  readonly badSteps: number;
}

/**
 * Who hears of a run. Calls are awaited, so a slow observer slows the run, and an error ends it. A state's tensors
 * are the loop's: until the promise of `save` settles they are good, afterwards their memory may be used again.
 */
export interface FitObserver<P = unknown> {
  /** Before the first step. */
  start?(plan: FitPlan): void | Promise<void>;
  /** A step was applied. */
  step?(step: GoodStep): void | Promise<void>;
  /** A row of the log. */
  log?(row: LogRow): void | Promise<void>;
  /** A row of an evaluation, whose means are called `eval_…`, and whether its loss is the lowest so far. */
  evaluation?(row: LogRow, best: boolean): void | Promise<void>;
  /** A step was not applied. */
  badStep?(step: BadStep): void | Promise<void>;
  /** A state to save. */
  save?(state: FitState<P>): void | Promise<void>;
  /** The run is over: at its last step, or before it because the signal stopped it. */
  end?(state: FitState<P>, done: boolean): void | Promise<void>;
  /** Nothing more comes, however the run ended: the last event, after an error, too. */
  close?(): void | Promise<void>;
}

/** Tells observers of an event, one after the other. */
export type Teller<P> = <Name extends keyof FitObserver<P>>(
  event: Name,
  ...details: Parameters<NonNullable<FitObserver<P>[Name]>>
) => Promise<void>;

const EVENTS: readonly string[] = [
  "start",
  "step",
  "log",
  "evaluation",
  "badStep",
  "save",
  "end",
  "close",
];

/** Rejects what would never be called. An observer may have other things besides, but no event by another name. */
function checkEvents(observer: object): void {
  for (const event of EVENTS) {
    const method: unknown = Reflect.get(observer, event);
    if (method === undefined || typeof method === "function") continue;
    throw new TypeError(`fit: observer.${event} must be a function, got ${describeValue(method)}`);
  }
  for (const [name, own] of Object.entries(observer)) {
    if (typeof own !== "function" || EVENTS.includes(name)) continue;
    const nearest = nearestName(name, EVENTS);
    if (nearest === undefined || nearest in observer) continue;
    throw new TypeError(
      `fit: observer has no event \`${name}\`; did you mean \`${nearest}\`? It has ${EVENTS.join(", ")}`,
    );
  }
}

/** A {@link Teller} of one observer or several. */
export function tellerOf<P>(observer: FitObserver<P> | readonly FitObserver<P>[] = []): Teller<P> {
  const all: readonly FitObserver<P>[] = Array.isArray(observer) ? observer : [observer];
  for (const one of all) {
    if (typeof one !== "object" || one === null) {
      throw new TypeError(
        `fit: observer must be an object of functions { log, save, … }, or several, got ${describeValue(one)}`,
      );
    }
    checkEvents(one);
  }
  return async (event, ...details) => {
    for (const one of all) {
      const method = one[event] as ((...args: typeof details) => void | Promise<void>) | undefined;
      await method?.apply(one, details);
    }
  };
}
