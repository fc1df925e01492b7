/**
 * Objectives that are functions of a few numbers of each row. Only these numbers are expensive: the loss of all rows
 * of a step, and what it descends, follow from them.
 *
 * A loss in which rows do not meet is differentiated with its micro-batch, in one pass. For one in which they do (a
 * rank, a running mean, a gap that counts above 0 only) the first pass gathers the numbers of all rows, the loss of
 * all of them gives each number its cotangent, and the second pass pulls `Σ_i cotangent_i·score_i(θ)` back, a
 * micro-batch at a time. So the gradient of every loss is that of the whole step, however the step is cut.
 * @module
 */

import { gradients } from "../autograd/gradients.js";
import { hessianVectorProduct } from "../autograd/transforms.js";
import { barrierDirection } from "../bilevel/barrier.js";
import { addScaled, gradientTree } from "../bilevel/trees.js";
import { add, concat, div, greater, pad, slice, stack, sum, where } from "../ops/index.js";
import { full } from "../tensor/create.js";
import { realize, realizeInto } from "../tensor/evaluate.js";
import type { Tensor } from "../tensor/tensor.js";
import type { MicroBatches, Objective, StepGradient, StepPoint, WeightedSum } from "./objective.js";

/**
 * Over what losses in which rows meet, and means, are taken: all rows of a step (`"whole"`), or, as TRL does, each
 * micro-batch, whose results then count alike (`"trl"`).
 */
export type BatchSemantics = "whole" | "trl";

/** Numbers of rows, `[rows]` each, or `[rows, K]` with 0 beyond a row's own. */
export type Columns = Readonly<Record<string, Tensor>>;

/** Rows as a loss sees them. */
export interface RowValues {
  /** What the parameters determine, with gradient. */
  readonly scores: Columns;
  /** What is constant, or whose gradient nobody wants. */
  readonly facts: Columns;
}

/** A micro-batch. */
export interface RowBatch {
  readonly rows: number;
  /** Tokens that the model attends to, padding excluded. */
  readonly tokens: number;
}

type Metrics = Readonly<Record<string, WeightedSum>>;

/** What a loss makes of rows. */
export interface Judgement<State> {
  /** The scalar to descend; or those of two levels, upper and lower. */
  readonly losses: readonly Tensor[];
  readonly metrics: Metrics;
  /** For the next step. */
  readonly state: State;
}

/** Where a loss judges. */
export interface JudgePoint<State> {
  readonly state: State;
  readonly step: number;
  /** Whether the rows may change the state. */
  readonly training: boolean;
}

/**
 * How one direction is made of two levels, as `bilevelStep` makes it: with the barrier's multiplier, or from the upper
 * level's gradient after a step of the lower one.
 */
export type Levels =
  | { readonly method: "barrier"; readonly eta: number; readonly control: "gradient" | "value" }
  | { readonly method: "lookahead"; readonly alpha: number };

/** What random numbers of rows depend on; in an evaluation on nothing. */
export interface DrawPoint {
  /** Of the step and the micro-batch, a text. */
  readonly draw?: string;
  readonly step?: number;
}

/** What {@link rowObjective} makes an objective of. */
export interface RowProblem<P, Row, State, Batch extends RowBatch> {
  readonly semantics: BatchSemantics;
  /** Whether rows meet in the first loss, or it has a state. Those of a lower level do not meet. */
  readonly coupled: boolean;
  readonly stateful: boolean;
  /** Default: there is one loss, and its gradient is the direction. */
  readonly levels?: Levels | undefined;
  /** The loss of the lower level, by itself: its curvature asks for no other. */
  lower?(values: RowValues): Tensor;
  init(): State;
  collate(rows: readonly Row[]): Promise<Batch>;
  values(parameters: P, batch: Batch, at: DrawPoint): RowValues;
  judge(values: RowValues, at: JudgePoint<State>): Judgement<State>;
}

/** Parameters, and what is random. */
interface Place<P> extends DrawPoint {
  readonly parameters: P;
}

/** What a pass that judges micro-batch by micro-batch is given. */
interface LocalPlace<P, State> extends Place<P> {
  readonly state: State;
  readonly step: number;
  /** Which losses to differentiate. */
  readonly wanted: readonly number[];
  /** Rows and micro-batches of the step. */
  readonly rows: number;
  readonly count: number;
}

/** The parts of a {@link rowObjective}. */
type RowParts<P, State, Batch> = {
  /** The numbers of the rows. */
  readonly values: (at: Place<P>, batch: Batch) => RowValues & { readonly tokens: Tensor };
  /** What the losses of the micro-batch's own rows add to the step's. */
  readonly local: (
    at: LocalPlace<P, State>,
    batch: Batch,
  ) => {
    readonly gradients: readonly P[];
    readonly metrics: Metrics;
    readonly tokens: Tensor;
    readonly state: State;
  };
  /** `∂/∂θ Σ_i cotangent_i·score_i(θ)` for each loss. */
  readonly pullBack: (
    at: Place<P> & { readonly cotangents: readonly Columns[] },
    batch: Batch,
  ) => readonly P[];
  /** The lower loss's Hessian times a vector. */
  readonly curvature: (
    at: Place<P> & { readonly rows: number; readonly count: number; readonly vector: P },
    batch: Batch,
  ) => P;
};

/** Gradients of the losses asked for, of all rows of a step. */
interface StepLosses<P, State> {
  readonly gradients: readonly P[];
  readonly metrics: Metrics;
  readonly tokens: Tensor;
  readonly state: State;
}

/** The objective of a problem in numbers of rows. */
export function rowObjective<P, Row, State, Batch extends RowBatch>(
  problem: RowProblem<P, Row, State, Batch>,
): Objective<P, Row, State, Batch, RowParts<P, State, Batch>> {
  const { semantics, levels } = problem;
  const isWhole = semantics === "whole";

  const tokensOf = ({ tokens }: Batch): Tensor => full([], tokens);
  const shareOf = (step: { rows: number; count: number }, batch: Batch): number =>
    isWhole ? batch.rows / step.rows : 1 / step.count;
  const counted = (metrics: Metrics): Metrics => (isWhole ? metrics : meansAsOne(metrics));

  const parts: RowParts<P, State, Batch> = {
    values: ({ parameters, ...draw }, batch) => ({
      ...problem.values(parameters, batch, draw),
      tokens: tokensOf(batch),
    }),
    local(at, batch) {
      const values = problem.values(at.parameters, batch, at);
      const here = { state: at.state, step: at.step, training: true };
      const { losses, metrics, state } = problem.judge(values, here);
      const share = shareOf(at, batch);
      const slopes = at.wanted.map((k) => gradientTree(losses[k]!.mul(share), at.parameters));
      return { gradients: slopes, metrics: counted(metrics), tokens: tokensOf(batch), state };
    },
    pullBack({ parameters, cotangents, ...draw }, batch) {
      const { scores } = problem.values(parameters, batch, draw);
      return cotangents.map((weights) => {
        const terms = Object.keys(weights).map((name) => sum(scores[name]!.mul(weights[name]!)));
        return gradientTree(terms.reduce(add), parameters);
      });
    },
    curvature(at, batch) {
      const share = shareOf(at, batch);
      const lower = (parameters: P) =>
        problem.lower!(problem.values(parameters, batch, at)).mul(share);
      return hessianVectorProduct(lower)(at.parameters, at.vector);
    },
  };
  type Parts = MicroBatches<RowParts<P, State, Batch>>;

  /** Values of micro-batches, as one group of rows or as many. */
  const groupsOf = (values: readonly RowValues[]): readonly RowValues[] =>
    isWhole && values.length > 1 ? [joined(values)] : values;

  /** The gradients at parameters that may lie ahead of the step's own. */
  async function lossesAt(
    at: StepPoint<P, State>,
    parameters: P,
    microBatches: Parts,
    wanted: readonly number[],
  ): Promise<StepLosses<P, State>> {
    const { count, rows } = microBatches;
    const { state, step } = at;
    const meets = problem.stateful || (problem.coupled && isWhole);
    const place = (m: number) => ({ parameters, draw: `${step} ${m}`, step });
    if (count === 1 || !meets) {
      const given = (m: number) => ({ ...place(m), state, wanted, rows, count });
      if (count === 1) return (await microBatches.each("local", given))[0]!;
      return { ...(await microBatches.sum("local", given)), state };
    }
    const values = await microBatches.each("values", place);
    let next = state;
    const groups = groupsOf(values);
    const judged = groups.map((group) => {
      const judgement = problem.judge(group, { state: next, step, training: true });
      next = judgement.state;
      const names = Object.keys(group.scores);
      const leaves = names.map((name) => group.scores[name]!);
      const cotangents = wanted.map((k) => {
        const slopes = gradients(judgement.losses[k]!.div(groups.length), leaves);
        return Object.fromEntries(names.map((name, i) => [name, slopes[i]!]));
      });
      return { cotangents, metrics: counted(judgement.metrics) };
    });
    const cotangents = isWhole
      ? cut(judged[0]!.cotangents, values)
      : judged.map((group) => group.cotangents);
    const metrics = added(judged.map((group) => group.metrics));
    const tokens = sum(stack(values.map((own) => own.tokens)));
    await realize(cotangents, metrics, tokens, next);
    const pulled = await microBatches.sum("pullBack", (m) => ({
      ...place(m),
      cotangents: cotangents[m]!,
    }));
    return { gradients: pulled, metrics, tokens, state: next };
  }

  async function lookahead(
    at: StepPoint<P, State>,
    microBatches: Parts,
    alpha: number,
  ): Promise<StepGradient<P, State>> {
    const here = await lossesAt(at, at.parameters, microBatches, [1]);
    const ahead = addScaled(at.parameters, -alpha, here.gradients[0]!);
    await realizeInto(here.gradients, ahead);
    const there = await lossesAt(at, ahead, microBatches, [0]);
    const vector = there.gradients[0]!;
    const { rows, count } = microBatches;
    const product: P = await microBatches.sum("curvature", (m) => ({
      parameters: at.parameters,
      draw: `${at.step} ${m}`,
      step: at.step,
      rows,
      count,
      vector,
    }));
    const gradient = addScaled(vector, -alpha, product);
    await realizeInto([vector, product], gradient);
    const metrics = { ...here.metrics, loss: there.metrics.loss! };
    return { gradient, state: there.state, metrics, totals: { num_tokens: here.tokens } };
  }

  return {
    parts,
    init: problem.init,
    collate: problem.collate,
    async step(at, microBatches) {
      if (levels?.method === "lookahead") return lookahead(at, microBatches, levels.alpha);
      const wanted = levels ? [0, 1] : [0];
      const found = await lossesAt(at, at.parameters, microBatches, wanted);
      const [gradient, lower] = found.gradients as readonly [P, P];
      const { metrics, state, tokens } = found;
      const totals = { num_tokens: tokens };
      if (!levels) return { gradient, state, metrics, totals };
      const gap = metrics["spo/gap"]!;
      const [weighed, weight] = [gap.at(0), gap.at(1)];
      const progress = levels.control === "value" ? weighed.div(weight).mul(levels.eta) : undefined;
      const { direction, multiplier } = barrierDirection(gradient, lower, levels.eta, progress);
      const gamma = stack([multiplier.mul(weight), weight]);
      await realizeInto(found.gradients, direction, gamma);
      return { gradient: direction, state, metrics: { ...metrics, "spo/gamma": gamma }, totals };
    },
    async evaluate({ parameters, state, step }, microBatches) {
      const values = await microBatches.each("values", { parameters });
      const judged = groupsOf(values).map((group) => {
        const { metrics } = problem.judge(group, { state, step, training: false });
        return counted(metrics);
      });
      return realize(added(judged));
    },
  };
}

function mapped(columns: Columns, change: (value: Tensor, name: string) => Tensor): Columns {
  return Object.fromEntries(
    Object.entries(columns).map(([name, value]) => [name, change(value, name)]),
  );
}

/** Means that count once, whatever their weights; of nothing they stay `[0, 0]`. */
export function meansAsOne(metrics: Metrics): Metrics {
  return mapped(metrics, asOne);
}

function asOne(weighted: WeightedSum): WeightedSum {
  const [total, weight] = [weighted.at(0), weighted.at(1)];
  const counts = greater(weight, 0);
  const mean = div(total, where(counts, weight, 1));
  return stack([where(counts, mean, 0), counts.cast(weighted.dtype)]);
}

/** The rows of all micro-batches. */
function joined(values: readonly RowValues[]): RowValues {
  const all = (part: "scores" | "facts") =>
    mapped(values[0]![part], (_, name) => {
      const columns = values.map((own) => own[part][name]!);
      const width = columns.reduce((most, { shape }) => Math.max(most, shape[1] ?? 0), 0);
      return concat(columns.map((own) => padded(own, width)));
    });
  return { scores: all("scores"), facts: all("facts") };
}

/** Columns of rows, filled up to a number of them. */
function padded(columns: Tensor, width: number): Tensor {
  const [, own = width] = columns.shape;
  if (own === width) return columns;
  return pad(columns, [
    [0, 0],
    [0, width - own],
  ]);
}

/** What belongs to the rows of each micro-batch. */
function cut(whole: readonly Columns[], values: readonly RowValues[]): readonly Columns[][] {
  let end = 0;
  return values.map(({ scores }) => {
    const start = end;
    end += Object.values(scores)[0]!.size;
    const own = (all: Tensor, name: string): Tensor => {
      const [, width] = scores[name]!.shape;
      return slice(all, [start, end], ...(width === undefined ? [] : [[0, width] as const]));
    };
    return whole.map((columns) => mapped(columns, own));
  });
}

function added(all: readonly Metrics[]): Metrics {
  return all.reduce((sofar, metrics) => mapped(sofar, (value, name) => add(value, metrics[name]!)));
}
