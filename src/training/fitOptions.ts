/**
 * Options of {@link fit}: what they are, their defaults, and their checks.
 * @module
 */

import {
  checkChoice,
  checkCount,
  checkFlag,
  checkNumber,
  checkOptions,
  describeValue,
} from "../checks.js";
import type { Rows } from "../data/rows.js";
import { adamw } from "../optim/adamw.js";
import type { Optimizer } from "../optim/optimizer.js";
import type { Schedule } from "../optim/schedules.js";
import { parameterLeaves } from "../tensor/tree.js";
import type { FitState } from "./fitState.js";
import { givenRows } from "./givenRows.js";
import { type LossFunction, lossObjective } from "./lossObjective.js";
import type { Objective } from "./objective.js";
import { type FitObserver, type FitPlan, tellerOf } from "./observer.js";
import { type Order, randomOrder, sequentialOrder, windowsOf } from "./order.js";
import { type LrSchedulerType, lrScheduler } from "./schedules.js";

/** An objective of these parameters and rows, with whatever state, batches and parts. */
// biome-ignore lint/suspicious/noExplicitAny: state, batches and parts are the objective's own affair.
export type AnyObjective<P, Row> = Objective<P, Row, any, any, any>;

/** An optimizer, whatever its state. */
// biome-ignore lint/suspicious/noExplicitAny: the state is the optimizer's own affair.
export type AnyOptimizer = Optimizer<any>;

/** Held-out rows, and when the objective is evaluated on them. */
export interface Evaluation<Row> {
  readonly data: Rows<Row> | readonly Row[];
  /** Steps between evaluations; default those of an epoch. The last step is always followed by one. */
  readonly every?: number;
  /** Rows of a micro-batch; default {@link FitOptions.batchSize}. */
  readonly batchSize?: number;
  /** Whether there is one before the first step, too; default false. */
  readonly onStart?: boolean;
}

/** Options of {@link fit}. */
export interface FitOptions<P, Row> {
  /** Where training starts: any tree of tensors. They stay as they are, unless they are given up. */
  readonly parameters: P;
  /**
   * Whether the first step may take over the memory of `parameters`, and of `from` where the run goes on, which are of no use
   * afterwards; with `from`, `parameters` give theirs back at the start. Otherwise a run holds what it started from beside
   * its own. Default false.
   */
  readonly givesUpParameters?: boolean;
  /** What is descended: a function of parameters and rows (see {@link lossObjective}), or an {@link Objective}. */
  readonly objective: LossFunction<P, Row> | AnyObjective<P, Row>;
  /** The rows to learn from. */
  readonly data: Rows<Row> | readonly Row[];
  /**
   * A function that makes an optimizer with the schedule of `learningRate`, `lrSchedulerType` and `warmupSteps`, or an
   * optimizer with a rate of its own; default `(learningRate) => adamw({ learningRate, weightDecay: 0 })`.
   */
  readonly optimizer?: AnyOptimizer | ((learningRate: Schedule) => AnyOptimizer);
  /** The highest rate, or a schedule. Needed, unless the optimizer has its own. */
  readonly learningRate?: number | Schedule;
  /** Default `"linear"`, down to 0 at the last step; see {@link lrScheduler}. */
  readonly lrSchedulerType?: LrSchedulerType;
  /** Steps of warm-up, or below 1 their share of all; default 0. */
  readonly warmupSteps?: number;
  /** Rows of a micro-batch; default 8. */
  readonly batchSize?: number;
  /** Micro-batches of a step; default 1. */
  readonly gradientAccumulationSteps?: number;
  /** Times through the data, 1.5 for instance; default 3. */
  readonly epochs?: number;
  /** Steps of the run, whatever `epochs` says. */
  readonly maxSteps?: number | undefined;
  /** Of the order of rows; default 42. */
  readonly seed?: number;
  /** Default `"random"`, TRL's order ({@link randomOrder}). */
  readonly order?: "random" | "sequential" | Order;
  /** The gradient is multiplied by `min(1, maxGradNorm/(norm + 1e-6))`; default 1. 0 turns it off. */
  readonly maxGradNorm?: number;
  /** Steps between rows of the log; default 10. The last step is always followed by one. */
  readonly logEvery?: number;
  /** Held-out rows; default none. */
  readonly evaluation?: Evaluation<Row> | undefined;
  /** Steps between states to save; default 500. More follow the last step, and evaluations that are the best so far. */
  readonly saveEvery?: number;
  /** The bad step of this number ends the run; default 3. */
  readonly maxBadSteps?: number;
  /** A state to go on from; its parameters take the place of `parameters`, whose names and shapes they have. */
  readonly from?: FitState | undefined;
  /** Stops the run after the step it is in, with a state to save. */
  readonly signal?: { readonly aborted: boolean } | undefined;
  /** Who hears of the run; several hear in their order. */
  readonly observer?: FitObserver<NoInfer<P>> | readonly FitObserver<NoInfer<P>>[];
}

/** The names of all options. */
const NAMES: Readonly<Record<keyof FitOptions<unknown, unknown>, true>> = {
  parameters: true,
  givesUpParameters: true,
  objective: true,
  data: true,
  optimizer: true,
  learningRate: true,
  lrSchedulerType: true,
  warmupSteps: true,
  batchSize: true,
  gradientAccumulationSteps: true,
  epochs: true,
  maxSteps: true,
  seed: true,
  order: true,
  maxGradNorm: true,
  logEvery: true,
  evaluation: true,
  saveEvery: true,
  maxBadSteps: true,
  from: true,
  signal: true,
  observer: true,
};

/** The names of all options, for recipes that hand theirs on. */
export const FIT_OPTIONS = Object.keys(NAMES) as readonly (keyof typeof NAMES)[];

/** Checked options with their defaults, and what follows from them. */
export function preparedFit<P, Row>(options: FitOptions<P, Row>) {
  checkOptions("fit", options, ...FIT_OPTIONS);
  const { batchSize = 8, gradientAccumulationSteps = 1, epochs = 3, seed = 42 } = options;
  const { maxGradNorm = 1, logEvery = 10, saveEvery = 500, maxBadSteps = 3 } = options;
  parameterLeaves("fit", options.parameters);
  const data = checkedRows("data", options.data);
  checkCount("fit", "batchSize", batchSize, 1);
  checkCount("fit", "gradientAccumulationSteps", gradientAccumulationSteps, 1);
  checkCount("fit", "seed", seed);
  checkNumber("fit", "epochs", epochs, (x) => x > 0, "> 0");
  checkNumber("fit", "maxGradNorm", maxGradNorm, (x) => x >= 0, "≥ 0");
  for (const [name, value] of Object.entries({ logEvery, saveEvery, maxBadSteps })) {
    if (value !== Number.POSITIVE_INFINITY) checkCount("fit", name, value, 1);
  }
  const { signal, givesUpParameters = false } = options;
  checkFlag("fit", "givesUpParameters", givesUpParameters);
  if (signal !== undefined && typeof signal?.aborted !== "boolean") {
    throw new TypeError(
      `fit: signal must be an AbortSignal, the signal of an AbortController, got ${describeValue(signal)}`,
    );
  }
  const order = orderOf(options.order ?? "random", data.length, seed);
  const windows = windowsOf(order, data.length, batchSize, gradientAccumulationSteps);
  const { stepsPerEpoch, epochAfter } = windows;
  const { maxSteps: steps = Math.ceil(epochs * stepsPerEpoch) } = options;
  checkCount("fit", "maxSteps", steps, 1);
  const evaluation = evaluationOf(options.evaluation, batchSize, stepsPerEpoch);
  const { learningRate, lrSchedulerType = "linear", warmupSteps = 0 } = options;
  const hasRate = typeof learningRate === "number";
  const plan: FitPlan = {
    step: options.from?.step ?? 0,
    steps,
    stepsPerEpoch,
    epochAfter,
    settings: {
      rows: data.length,
      batchSize,
      gradientAccumulationSteps,
      steps,
      seed,
      order: typeof options.order === "function" ? firstOf(order) : (options.order ?? "random"),
      optimizer: options.optimizer === undefined ? "adamw" : null,
      maxGradNorm,
      learningRate:
        typeof learningRate === "function" ? ratesOf(learningRate, steps) : (learningRate ?? null),
      lrSchedulerType: hasRate ? lrSchedulerType : null,
      warmupSteps,
      logEvery,
      evaluationRows: evaluation?.data.length ?? 0,
      evaluationEvery: evaluation?.every ?? 0,
      evaluationBatchSize: evaluation?.batchSize ?? 0,
      evaluationOnStart: evaluation?.onStart ?? false,
    },
  };
  if (plan.step > steps) {
    throw new RangeError(`fit: from has made ${plan.step} steps, the run has ${steps}`);
  }
  return {
    ...optimizerOf(options, steps),
    objective: objectiveOf(options.objective),
    tell: tellerOf(options.observer),
    data,
    windows,
    plan,
    evaluation,
    maxGradNorm,
    logEvery,
    saveEvery,
    maxBadSteps,
  };
}

function checkedRows<Row>(name: string, given: Rows<Row> | readonly Row[]): Rows<Row> {
  const rows = givenRows("fit", name, given);
  if (rows.length === 0) throw new RangeError(`fit: ${name} has no rows`);
  return rows;
}

function objectiveOf<P, Row>(given: FitOptions<P, Row>["objective"]): AnyObjective<P, Row> {
  if (typeof given === "function") return lossObjective(given);
  if (typeof given?.step === "function") return given;
  throw new TypeError(
    `fit: objective must be a function (parameters, rows) => loss or an objective, got ${describeValue(given)}`,
  );
}

function orderOf(order: "random" | "sequential" | Order, count: number, seed: number): Order {
  if (typeof order === "function") return order;
  checkChoice("fit", "order", order, ["random", "sequential"]);
  return order === "random" ? randomOrder(count, seed) : sequentialOrder(count);
}

/** What tells an order from others. */
const firstOf = (order: Order): readonly number[] => Array.from(order(0)).slice(0, 16);

/** What tells a schedule from others. */
function ratesOf(rateAt: Schedule, steps: number): readonly number[] {
  const last = steps - 1;
  const places = Array.from({ length: 9 }, (_, i) => Math.round((i * last) / 8));
  return [...new Set(places)].map(rateAt);
}

/** The optimizer, and the rate of each of its updates where that is known. */
function optimizerOf<P, Row>(
  options: FitOptions<P, Row>,
  steps: number,
): { optimizer: AnyOptimizer; rateAt: Schedule | undefined } {
  const make = options.optimizer ?? defaultOptimizer;
  const { learningRate, lrSchedulerType, warmupSteps } = options;
  const shapesRate = lrSchedulerType !== undefined || warmupSteps !== undefined;
  if (typeof make !== "function") {
    if (typeof make?.update !== "function") {
      throw new TypeError(
        "fit: optimizer must be an optimizer, or a function that makes one with a schedule, got " +
          describeValue(make),
      );
    }
    if (learningRate === undefined && !shapesRate) return { optimizer: make, rateAt: undefined };
    throw new TypeError(
      "fit: this optimizer has a learning rate of its own; to give it the one of fit, write " +
        "optimizer: (learningRate) => adamw({ learningRate })",
    );
  }
  if (typeof learningRate === "function") {
    if (!shapesRate) return { optimizer: make(learningRate), rateAt: learningRate };
    throw new TypeError(
      "fit: lrSchedulerType and warmupSteps go with a learningRate that is a number; this one is a schedule",
    );
  }
  if (learningRate === undefined)
    throw new TypeError("fit: learningRate is needed, 1e-3 for instance");
  const rateAt = lrScheduler(lrSchedulerType ?? "linear", {
    learningRate,
    totalSteps: steps,
    warmupSteps: warmupSteps ?? 0,
  });
  return { optimizer: make(rateAt), rateAt };
}

const defaultOptimizer = (learningRate: Schedule) => adamw({ learningRate, weightDecay: 0 });

/** {@link Evaluation} with its defaults. */
export interface CheckedEvaluation<Row> {
  readonly data: Rows<Row>;
  readonly every: number;
  readonly batchSize: number;
  readonly onStart: boolean;
}

function evaluationOf<Row>(
  evaluation: Evaluation<Row> | undefined,
  ownBatchSize: number,
  stepsPerEpoch: number,
): CheckedEvaluation<Row> | undefined {
  if (!evaluation) return undefined;
  checkOptions("fit: evaluation", evaluation, "data", "every", "batchSize", "onStart");
  const { every = stepsPerEpoch, batchSize = ownBatchSize, onStart = false } = evaluation;
  checkCount("fit", "evaluation.every", every, 1);
  checkCount("fit", "evaluation.batchSize", batchSize, 1);
  return { data: checkedRows("evaluation.data", evaluation.data), every, batchSize, onStart };
}
