/**
 * A small regression problem, and objectives over it that take one pass over the micro-batches of a step, or several.
 */

import { grad, treeDot, valueAndGrad } from "../../src/autograd/transforms.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import { randomGenerator } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeLeaves, treeMap } from "../../src/tensor/tree.js";
import type { Objective, Part, WeightedSum } from "../../src/training/objective.js";
import { weightedSum } from "../../src/training/weightedSum.js";

export interface Row {
  readonly x: readonly number[];
  readonly y: number;
}

export interface Parameters {
  readonly weight: Tensor;
  readonly layers: readonly { readonly bias: Tensor }[];
}

const next = randomGenerator("rows");
const uniform = () => 2 * next() - 1;

/** `y = ⟨(1, −2, 3), x⟩ + ½` and some noise. */
export const rows: readonly Row[] = Array.from({ length: 23 }, () => {
  const x = [uniform(), uniform(), uniform()];
  return { x, y: x[0]! - 2 * x[1]! + 3 * x[2]! + 0.5 + 0.1 * uniform() };
});

export const start = (): Parameters => ({
  weight: tensor([0.1, 0.2, -0.1]),
  layers: [{ bias: tensor(0.3) }],
});

/** Squared errors of rows, `[rows]`. */
export function errors({ weight, layers }: Parameters, batch: readonly Row[]): Tensor {
  const x = tensor(batch.map((row) => [...row.x]));
  const y = tensor(batch.map((row) => row.y));
  return x.matmul(weight).add(layers[0]!.bias).sub(y).square();
}

/** The mean of squared errors. */
export const loss = (at: Parameters, batch: readonly Row[]): Tensor => errors(at, batch).mean();

type Batch = readonly Row[];

function objective<Parts extends Readonly<Record<string, Part<Batch>>>>(
  parts: Parts,
  step: Objective<Parameters, Row, { seen: number }, Batch, Parts>["step"],
  evaluate: Objective<Parameters, Row, { seen: number }, Batch, Parts>["evaluate"],
): Objective<Parameters, Row, { seen: number }, Batch, Parts> {
  return {
    init: () => ({ seen: 0 }),
    collate: (batch) => batch,
    parts,
    step,
    evaluate,
  };
}

const count = (sum: WeightedSum): Tensor => sum.slice([1, 2]).reshape([]);
const mean = (sum: WeightedSum): Tensor => sum.slice([0, 1]).reshape([]).div(count(sum));
const over = <P>(tree: P, divisor: Tensor): P => treeMap((g) => g.div(divisor), tree);
const total = (at: Parameters, batch: Batch): Tensor => errors(at, batch).sum();

/** A statistics pass: each row's error weighs as the mean error says, which is a constant of the gradient pass. */
export const withStatistics = objective(
  {
    statistics: (at: Parameters, batch) => weightedSum(loss(at, batch), batch.length),
    gradient: ({ at, level }: { at: Parameters; level: Tensor }, batch) =>
      grad((p: Parameters) => errors(p, batch).div(errors(p, batch).add(level)).sum())(at),
  },
  async ({ parameters, state }, microBatches) => {
    const sum = await microBatches.sum("statistics", parameters);
    const level = await realize(mean(sum));
    const gradient = await microBatches.sum("gradient", { at: parameters, level });
    const seen = state.seen + microBatches.rows;
    return {
      gradient: await realize(over(gradient, count(sum))),
      state: { seen },
      metrics: { loss: sum },
      totals: { rows_seen: tensor(microBatches.rows) },
    };
  },
  async ({ parameters }, microBatches) => ({
    loss: await microBatches.sum("statistics", parameters),
  }),
);

const upper = (at: Parameters, batch: Batch): Tensor =>
  errors(at, batch)
    .sqrt()
    .sum()
    .add(treeDot(at, at).mul(0.01 * batch.length));

/** Two gradient trees: the upper level's, corrected by the lower level's as a barrier does. */
export const withBarrier = objective(
  {
    gradients(at: Parameters, batch) {
      const [value, gradient] = valueAndGrad((p: Parameters) => total(p, batch))(at);
      return {
        lower: gradient,
        upper: grad((p: Parameters) => upper(p, batch))(at),
        loss: weightedSum(value.div(batch.length), batch.length),
      };
    },
  },
  async ({ parameters, state }, microBatches) => {
    const sums = await microBatches.sum("gradients", parameters);
    const [f, g] = [over(sums.upper, count(sums.loss)), over(sums.lower, count(sums.loss))];
    const squared = treeDot(g, g);
    const multiplier = squared.mul(0.1).sub(treeDot(f, g)).relu().div(squared);
    const gradient = treeMap((a, b) => a.add(b!.mul(multiplier)), f, g);
    return { gradient: await realize(gradient), state, metrics: { loss: sums.loss } };
  },
  async ({ parameters }, microBatches) => ({
    loss: (await microBatches.sum("gradients", parameters)).loss,
  }),
);

/** Look-ahead: the upper level's gradient at the point that a step of the lower level leads to. */
export const withLookahead = objective(
  {
    lower(at: Parameters, batch) {
      const [value, gradient] = valueAndGrad((p: Parameters) => total(p, batch))(at);
      return { gradient, loss: weightedSum(value.div(batch.length), batch.length) };
    },
    upper: (at: Parameters, batch) => grad((p: Parameters) => upper(p, batch))(at),
  },
  async ({ parameters, state }, microBatches) => {
    const lower = await microBatches.sum("lower", parameters);
    const slope = over(lower.gradient, count(lower.loss));
    const ahead = await realize(treeMap((p, g) => p.sub(g!.mul(0.05)), parameters, slope));
    const gradient = over(await microBatches.sum("upper", ahead), count(lower.loss));
    return { gradient: await realize(gradient), state, metrics: { loss: lower.loss } };
  },
  async ({ parameters }, microBatches) => ({
    loss: (await microBatches.sum("lower", parameters)).loss,
  }),
);

/** All numbers of a tree's tensors. */
export async function numbersOf(tree: unknown): Promise<number[]> {
  const arrays = await Promise.all(treeLeaves(tree).map((t) => t.data()));
  return arrays.flatMap((array) => Array.from(array));
}
