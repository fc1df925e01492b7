/**
 * What the page that aligns and its worker tell each other.
 * @module
 */

import type { AlignOptions, LogRow } from "../../src/index.js";
import type { DeviceAnswer, DeviceQuestion, PageDevice } from "./devices.js";

/** What a visitor sets. */
export interface AlignChoices {
  /** A loss, by TRL's name. */
  readonly loss: string;
  /** Whether SPO keeps the loss stable: with a dual γ, from the floor that fine-tuning reaches. */
  readonly spo: boolean;
  /** Of the adapter. */
  readonly rank: number;
  readonly steps: number;
  /** Pairs of a step. */
  readonly batchSize: number;
  readonly learningRate: number;
  /** The most tokens of a prompt with a completion. */
  readonly maxLength: number;
}

/** Evaluations and checkpoints of a run. */
const TIMES = 10;

/** The options of `align`. A page shows every step; the rest are the command line's defaults. */
export function optionsOf({ loss, spo, rank, steps, batchSize, learningRate }: AlignChoices) {
  const every = Math.ceil(steps / TIMES);
  return {
    loss: loss as NonNullable<AlignOptions["loss"]>,
    spo,
    lora: { rank },
    maxSteps: steps,
    batchSize,
    learningRate,
    logEvery: 1,
    evalEvery: every,
    saveEvery: every,
  } satisfies Partial<AlignOptions>;
}

/** To the worker, which makes one run, or the arithmetic model. */
export type Request =
  | DeviceQuestion
  | {
      readonly kind: "start";
      readonly device: PageDevice;
      /** The files of a model directory. */
      readonly model: readonly File[];
      readonly pairs: File;
      readonly choices: AlignChoices;
      /** Whether to go on with the run that is kept, or to replace it. */
      readonly resume: boolean;
    }
  /** To make the arithmetic model. */
  | { readonly kind: "learn"; readonly device: PageDevice; readonly steps: number }
  | { readonly kind: "stop" };

/** What is known before the first step. */
export interface RunFigures {
  readonly family: string;
  readonly parameters: number;
  /** Of the adapter. */
  readonly trained: number;
  readonly pairs: number;
  readonly heldOut: number;
  /** Tokens of the longest pair. */
  readonly longest: number;
  /** Bytes that a step takes, about. */
  readonly memory: number;
}

/** From the worker. */
export type Report =
  | DeviceAnswer
  /** What computes, as the library says. */
  | { readonly kind: "backend"; readonly backend: string }
  /** What is done before and after the steps, and how much of it is. */
  | { readonly kind: "stage"; readonly text: string; readonly share?: number }
  | { readonly kind: "figures"; readonly figures: RunFigures }
  /** Something to know, in a sentence. */
  | { readonly kind: "notice"; readonly text: string }
  /** The steps begin. */
  | { readonly kind: "steps"; readonly done: number; readonly of: number }
  /** A row of `metrics.jsonl`. For a step just made: how long it took. */
  | { readonly kind: "row"; readonly row: LogRow; readonly milliseconds?: number }
  | { readonly kind: "end"; readonly finished: boolean }
  | { readonly kind: "failure"; readonly message: string };
