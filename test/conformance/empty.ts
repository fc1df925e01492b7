/**
 * Every kind of kernel with every extent 0 in turn, against what mathematics says of nothing: a sum is 0, a
 * product of matrices is 0, nothing is added anywhere, what is looked up in nothing is NaN.
 * @module
 */

import * as pg from "../../src/index.js";
import { type Tensor, tensor } from "../../src/index.js";
import type { Check } from "./large.js";

const { NaN: NAN, POSITIVE_INFINITY: INFINITE } = Number;

/** A tensor of some shape without elements. */
const none = (...shape: number[]): Tensor => tensor(new Float32Array(0), { shape });
/** One that a kernel would have to make. */
const computed = (...shape: number[]): Tensor => none(...shape).mul(2);
const ids = (values: number[], ...shape: number[]): Tensor =>
  tensor(Int32Array.from(values), { shape });
const x = (): Tensor =>
  tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);

/** The gradient of the sum of squares of something, times 3. */
const gradient = (f: (x: Tensor) => Tensor, at: Tensor): Tensor =>
  pg.grad((t: Tensor) => f(t).add(1).square().mul(3).sum())(at);

const zeros = (count: number): number[] => new Array<number>(count).fill(0);
const many = (...shape: number[]): Tensor =>
  Array.from({ length: 20 }, () => none(...shape)).reduce((a, b) => a.mul(0.9).add(b));

/** Results, each with its elements. */
type Results = readonly (readonly [found: Tensor, elements: readonly number[]])[];

const CASES: Readonly<Record<string, () => Results>> = {
  "elementwise operations": () => [
    [computed(0, 3), []],
    [none(2, 0).exp().add(none(1, 0)), []],
    [pg.where(pg.less(none(0), 1), none(0), 2), []],
  ],
  "movement into and out of nothing": () => [
    [
      computed(0, 3).pad([
        [2, 0],
        [0, 0],
      ]),
      zeros(6),
    ],
    [pg.concat([computed(0, 3), x().mul(2)]), [2, 4, 6, 8, 10, 12]],
    [pg.concat([computed(2, 0), x().mul(2)], 1), [2, 4, 6, 8, 10, 12]],
    [x().mul(2).slice([2, null]), []],
    [computed(0, 3).reshape([3, 0]).transpose(), []],
    [pg.triu(computed(0, 3)), []],
    [pg.repeat(computed(0, 3), [2, 1]), []],
    [pg.split(computed(0, 3), 1, 1)[2]!, []],
    [gradient((t) => t.slice(null, [1, 1]), x()), zeros(6)],
  ],
  sums: () => [
    [none(0).sum(), [0]],
    [computed(0).sum(), [0]],
    ...[0, 1, 2].flatMap((empty): Results => {
      const shape = [2, 2, 2].map((extent, d) => (d === empty ? 0 : extent));
      return [0, 1, 2].map((axis) => [
        computed(...shape).sum(axis),
        axis === empty ? zeros(4) : [],
      ]);
    }),
    [computed(2, 0, 0).sum([1, 2]), zeros(2)],
    [many(2, 0).sum(1), zeros(2)],
    [pg.full([0], NAN).sum(), [0]],
    [pg.full([2, 0], INFINITE).sum(1), zeros(2)],
    [gradient((t) => t.sum(0), none(0, 3)), []],
  ],
  "what follows a sum of nothing": () => [
    [computed(2, 0).sum(1).add(1), [1, 1]],
    [computed(2, 0).sum(1).mul(NAN), [NAN, NAN]],
    [
      computed(2, 0)
        .sum(1)
        .mul(tensor([INFINITE, -INFINITE])),
      [NAN, NAN],
    ],
    [
      many(2, 0)
        .sum(1)
        .add(tensor([1, NAN])),
      [1, NAN],
    ],
    [none(3, 0).mean(1), [NAN, NAN, NAN]],
    [pg.std(none(2, 0), 1), [NAN, NAN]],
    [pg.norm(computed(2, 0), 1), [0, 0]],
    [computed(0).mean(), [NAN]],
    [pg.div(1, computed(0).sum()), [INFINITE]],
    [computed(0).sum().log(), [-INFINITE]],
  ],
  "extremes over other axes": () => [
    [computed(0, 3).max(1), []],
    [computed(0, 3).min(1), []],
    [computed(0, 3).argmax(1), []],
    [pg.argmin(computed(0, 3), 1), []],
    [pg.topK(computed(0, 3), 2).values, []],
    [pg.topK(computed(2, 0), 0).indices, []],
    [gradient((t) => t.max(1), none(0, 3)), []],
  ],
  "logSumExp, softmax and logSoftmax": () => [
    [pg.logSumExp(computed(0)), [-INFINITE]],
    [pg.logSumExp(none(2, 0), 1), [-INFINITE, -INFINITE]],
    [pg.logSumExp(none(2, 0), 0), []],
    [pg.logSumExp(computed(0, 3), -1).sum(), [0]],
    [pg.softmax(computed(2, 0)), []],
    [pg.softmax(computed(0, 3)), []],
    [pg.logSoftmax(computed(2, 0)), []],
    [pg.logSoftmax(computed(0, 3)), []],
    [pg.grad((t: Tensor) => pg.logSumExp(t, 1).sum())(none(2, 0)), []],
    [gradient((t) => pg.softmax(t), none(2, 0)), []],
  ],
  products: () => [
    [pg.matmul(computed(0, 2), tensor([[1], [2]])), []],
    [pg.matmul(computed(2, 0), none(0, 2)), zeros(4)],
    [pg.matmul(x(), computed(3, 0)), []],
    [pg.matmul(computed(0, 2, 3), none(0, 3, 2)), []],
    [pg.matmul(computed(3, 2, 0), none(3, 0, 1)), zeros(6)],
    [pg.matmul(computed(0), none(0)), [0]],
    [pg.matmul(none(2, 0), computed(0, 3)).add(x()), [1, 2, 3, 4, 5, 6]],
    [pg.matmul(none(1, 0), none(0, 2)).mul(tensor([NAN, INFINITE])), [NAN, NAN]],
    [pg.einsum("ij,jk->ik", computed(2, 0), none(0, 2)), zeros(4)],
    [pg.einsum("ij->j", computed(0, 3)), zeros(3)],
    [gradient((t) => pg.matmul(t, none(0, 2)), none(2, 0)), []],
    [gradient((t) => pg.matmul(computed(0, 2), t), x()), zeros(6)],
  ],
  gather: () => [
    [pg.gather(computed(0, 3), ids([0, 1], 2)), [NAN, NAN, NAN, NAN, NAN, NAN]],
    [pg.gather(x(), ids([], 0)), []],
    [pg.gather(computed(3, 0), ids([0, 1], 2)), []],
    [pg.takeAlongAxis(computed(2, 0), ids([0, 1], 2, 1)), [NAN, NAN]],
    [pg.takeAlongAxis(x(), ids([], 2, 0)), []],
    [pg.oneHot(ids([], 0), 3), []],
  ],
  "scatter, and the gradients of gathers": () => [
    [pg.scatterAdd(tensor([1, 2, 3]), ids([], 0), pg.full([0], 5)), [1, 2, 3]],
    [pg.scatterAdd(x(), ids([], 0), computed(0, 3)), [1, 2, 3, 4, 5, 6]],
    [pg.scatterAdd(x(), ids([], 0), computed(2, 0), 1), [1, 2, 3, 4, 5, 6]],
    [pg.scatterAdd(computed(3, 0), ids([0, 1], 2), none(2, 0)), []],
    [pg.scatterAdd(computed(0), ids([0, 1], 2), tensor([1, 2])), []],
    [pg.scatterAdd(pg.zeros([2, 3]), ids([], 0), many(0, 3)), zeros(6)],
    [gradient((t) => pg.gather(t, ids([], 0)), x()), zeros(6)],
    [gradient((t) => pg.gather(t, ids([], 0, 5)), x()), zeros(6)],
    [gradient((t) => pg.gather(t, ids([], 4, 0), 1), x()), zeros(6)],
    [gradient((t) => pg.takeAlongAxis(t, ids([], 2, 0)), x()), zeros(6)],
  ],
  sorting: () => [
    [pg.sort(computed(2, 0)), []],
    [pg.sort(computed(0, 3)), []],
    [pg.argsort(computed(0, 3), 0), []],
    [pg.cumsum(computed(2, 0)), []],
    [gradient((t) => pg.sort(t), none(0, 3)), []],
  ],
  "sequences of one token, and batches of none": () => [
    [pg.sequenceLogProbs(pg.ones([2, 1, 4]), ids([0, 1], 2, 1), pg.ones([2, 1])), zeros(2)],
    [pg.sequenceLogProbs(computed(0, 3, 4), ids([], 0, 3), none(0, 3)), []],
    [
      gradient(
        (t) => pg.sequenceLogProbs(t, ids([0, 1], 2, 1), pg.ones([2, 1])),
        x().reshape([2, 1, 3]),
      ),
      zeros(6),
    ],
  ],
};

/** What differs from the elements that are right, in words, or null. */
async function firstWrong(results: Results): Promise<string | null> {
  await pg.realize(results.map(([found]) => found));
  for (const [i, [found, elements]] of results.entries()) {
    const values = Array.from(await found.data());
    const isRight =
      values.length === elements.length &&
      values.every(
        (value, j) => value === elements[j] || (Number.isNaN(value) && Number.isNaN(elements[j])),
      );
    if (!isRight) return `result ${i} ([${found.shape}]): ${values} for ${elements}`;
  }
  return null;
}

/** Together and one by one: a plan of its own has other kernels. */
export const EMPTY: readonly Check[] = Object.entries(CASES).map(([name, make]) => ({
  name,
  check: async () => {
    const together = await firstWrong(make());
    if (together !== null) return together;
    for (const i of make().keys()) {
      const alone = await firstWrong([make()[i]!]);
      if (alone !== null) return `alone, ${i}: ${alone}`;
    }
    return null;
  },
}));
