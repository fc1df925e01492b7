/**
 * The training loop and nothing else: for any tree of parameters and any objective. It knows no models, no files and
 * no terminals; observers hear of everything.
 * @module
 */

import type { Rows } from "../data/rows.js";
import { add, mul, sqrt, square } from "../ops/elementwise.js";
import { sum } from "../ops/reduce.js";
import { realize, realizeInto } from "../tensor/evaluate.js";
import type { Tensor } from "../tensor/tensor.js";
import { treeFromNamed, treeLeaves, treeMap, treeNamed } from "../tensor/tree.js";
import {
  type AnyObjective,
  type AnyOptimizer,
  type CheckedEvaluation,
  type FitOptions,
  preparedFit,
} from "./fitOptions.js";
import { added, type FitState, type LogRow, meansOf, sumsOf, totalled } from "./fitState.js";
import { microBatchesOf } from "./microBatches.js";
import type { BadStep } from "./observer.js";
import { sequentialOrder, windowsOf } from "./order.js";
import { turn } from "./turn.js";

/** What a run came to. */
export interface FitResult<P> {
  readonly parameters: P;
  /** Where it stands: `fit({ …, from: state })` goes on. */
  readonly state: FitState<P>;
  /** Whether it came to its last step; false if the signal stopped it. */
  readonly done: boolean;
}

/**
 * Trains parameters. A step takes the next `gradientAccumulationSteps` micro-batches of `batchSize` rows, clips the
 * gradient of their mean, and applies the optimizer's update. The last batch and the last step of an epoch may be smaller.
 *
 * Defaults are those of transformers' and TRL's trainers: AdamW without decay, a rate that falls linearly to 0, three
 * epochs, batches of 8, clipping at 1. The same options give the same bits, and a run that goes on from a saved state
 * ends with those of one that never stopped. The event loop has a turn after each step.
 *
 * A step whose loss or gradient norm is not finite is not applied: parameters and states stay, the schedule waits, and
 * observers are told the rows.
 *
 * @throws (the returned promise rejects) for options out of range, before anything is computed; at bad step
 * `maxBadSteps`, when its state is saved; and whatever the objective or an observer throws.
 * @example
 * const { parameters } = await fit({
 *   parameters: model.init(0),
 *   objective: (at, rows) => lossOf(model.apply(at, inputsOf(rows)), labelsOf(rows)),
 *   data: examples,
 *   learningRate: 1e-3,
 * });
 */
export async function fit<P, Row>(options: FitOptions<P, Row>): Promise<FitResult<P>> {
  const run = preparedFit(options);
  try {
    return await fitted(run, options);
  } finally {
    await run.tell("close");
  }
}

async function fitted<P, Row>(
  run: ReturnType<typeof preparedFit<P, Row>>,
  options: FitOptions<P, Row>,
): Promise<FitResult<P>> {
  const { objective, optimizer, windows, data, plan, rateAt, tell, evaluation } = run;
  const { signal } = options;
  let state = await firstState(run.objective, optimizer, options);
  /** Tensors that stay the caller's. */
  const callers = new WeakSet(
    options.givesUpParameters ? [] : treeLeaves([options.parameters, options.from]),
  );

  const evaluate = async (of: CheckedEvaluation<Row>, epoch: number): Promise<boolean> => {
    const row = await evaluationRow(objective, state, of, epoch);
    const loss = row.eval_loss ?? Number.NaN;
    const best = state.step > 0 && loss < (state.best?.loss ?? Number.POSITIVE_INFINITY);
    if (best) state = { ...state, best: { step: state.step, loss } };
    await tell("evaluation", row, best);
    return best;
  };
  let saved = state.step;
  const save = async (): Promise<void> => {
    if (saved === state.step) return;
    saved = state.step;
    await tell("save", state);
  };

  await tell("start", plan);
  if (options.givesUpParameters && options.from) {
    // A run that goes on reads nothing of where the first one started.
    const own = new Set(treeLeaves(options.from));
    for (const t of treeLeaves(options.parameters)) if (!own.has(t)) t.dispose();
  }
  if (evaluation?.onStart && state.step === 0) await evaluate(evaluation, 0);
  while (state.step < plan.steps && !signal?.aborted) {
    const indices = windows.at(state.step);
    const at = { parameters: state.parameters, state: state.objective, step: state.step };
    const batches = remembered(indices.map((rows) => () => batchOf(objective, data, rows)));
    const rows = indices.flat();
    const made = await objective.step(
      at,
      microBatchesOf(objective.parts, rows.length, batches.length, (i) => batches[i]!()),
    );
    const step = state.step + 1;
    const epoch = windows.epochAfter(step);
    const last = step === plan.steps;
    const sums = await sumsOf(made.metrics);
    const told = { step, epoch, loss: lossIn(sums), gradNorm: await normOf(made.gradient) };
    const rates: Record<string, number> = {};
    if (Number.isFinite(told.loss) && Number.isFinite(told.gradNorm)) {
      const rate = rateAt?.(state.step - state.badSteps);
      const scale = run.maxGradNorm === 0 ? 1 : run.maxGradNorm / (told.gradNorm + 1e-6);
      const gradient = treeMap((g) => mul(g, Math.min(1, scale)), made.gradient);
      const updated = optimizer.update(gradient, state.optimizer, state.parameters);
      const kept = new Set(treeLeaves(made.state));
      const ownTensors = treeLeaves([state.parameters, state.optimizer, made.gradient]);
      await realizeInto(
        ownTensors.filter((t) => !callers.has(t) && !kept.has(t)),
        updated,
      );
      state = {
        ...state,
        step,
        parameters: updated[0],
        optimizer: updated[1],
        objective: made.state,
        sums: added(state.sums, sums),
        totals: await totalled(state.totals, made.totals),
      };
      rates.grad_norm = told.gradNorm;
      if (rate !== undefined) rates.learning_rate = rate;
      await tell("step", told);
    } else {
      state = { ...state, step, badSteps: state.badSteps + 1 };
      const bad = { ...told, rows, badSteps: state.badSteps };
      await tell("badStep", bad);
      if (state.badSteps >= run.maxBadSteps) {
        await save();
        throw tooManyBadSteps(bad);
      }
    }
    if ((step % run.logEvery === 0 || last) && Object.keys(state.sums).length > 0) {
      const { loss, ...others } = meansOf(state.sums);
      const row = { step, epoch, ...(loss !== undefined && { loss }), ...rates, ...others };
      state = { ...state, sums: {} };
      await tell("log", { ...row, ...state.totals });
    }
    const due = evaluation && (step % evaluation.every === 0 || last);
    const best = due && (await evaluate(evaluation, epoch));
    await turn();
    if (best || last || signal?.aborted || step % run.saveEvery === 0) await save();
  }
  const done = state.step >= plan.steps;
  if (done && state.badSteps === state.step) {
    throw new Error(
      `fit: none of the ${state.step} steps was applied: the loss or the gradient of each is not finite. Look at the ` +
        "rows, or lower learningRate",
    );
  }
  await tell("end", state, done);
  return { parameters: state.parameters, state, done };
}

/** The state to go on from, or the one before the first step. */
async function firstState<P, Row>(
  objective: AnyObjective<P, Row>,
  optimizer: AnyOptimizer,
  { parameters, from }: FitOptions<P, Row>,
): Promise<FitState<P>> {
  if (from) {
    return { ...from, parameters: treeFromNamed(treeNamed(from.parameters), parameters) };
  }
  const state: FitState<P> = {
    step: 0,
    parameters,
    optimizer: optimizer.init(parameters),
    objective: objective.init(),
    sums: {},
    totals: {},
    badSteps: 0,
    best: null,
  };
  await realize([state.parameters, state.optimizer, state.objective]);
  return state;
}

async function batchOf<P, Row>(
  objective: AnyObjective<P, Row>,
  data: Rows<Row>,
  rows: readonly number[],
): Promise<unknown> {
  return objective.collate(await data.read(rows));
}

/** Functions that make each thing once: passes of a step share their micro-batches. */
function remembered<T>(makers: readonly (() => Promise<T>)[]): readonly (() => Promise<T>)[] {
  return makers.map((make) => {
    let made: Promise<T> | undefined;
    return () => {
      made ??= make();
      return made;
    };
  });
}

/** The means of held-out rows; a micro-batch at a time is in memory. */
async function evaluationRow<P, Row>(
  objective: AnyObjective<P, Row>,
  { parameters, objective: state, step }: FitState<P>,
  { data, batchSize }: CheckedEvaluation<Row>,
  epoch: number,
): Promise<LogRow> {
  const { length } = data;
  const batches = Math.ceil(length / batchSize);
  const indices = windowsOf(sequentialOrder(length), length, batchSize, batches).at(0);
  const metrics = await objective.evaluate(
    { parameters, state, step },
    microBatchesOf(objective.parts, length, batches, (i) => batchOf(objective, data, indices[i]!)),
  );
  return { step, epoch, ...meansOf(await sumsOf(metrics), "eval_") };
}

/** `√(Σ over all tensors and elements of g²)`. */
async function normOf(gradient: unknown): Promise<number> {
  const [first, ...rest] = treeLeaves(gradient).map((g) => sum(square(g)));
  const squares = rest.reduce<Tensor>((total, term) => add(total, term), first!);
  return sqrt(squares).item();
}

function lossIn(sums: Readonly<Record<string, readonly [number, number]>>): number {
  if (!sums.loss) throw new TypeError("fit: the objective's metrics have no loss");
  return sums.loss[0] / sums.loss[1];
}

function tooManyBadSteps({ badSteps, step, rows, loss, gradNorm }: BadStep): Error {
  const listed = rows.slice(0, 8).join(", ") + (rows.length > 8 ? ", …" : "");
  return new Error(
    `fit: step ${step} is bad step ${badSteps}: its loss is ${loss}, its gradient norm ${gradNorm}. Look at its rows ` +
      `(${listed}), lower learningRate, or allow more with maxBadSteps`,
  );
}
