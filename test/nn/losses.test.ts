/**
 * Losses of supervised learning against sums written out, as PyTorch defines them.
 */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  binaryCrossEntropyWithLogits,
  checkGradients,
  crossEntropy,
  gradients,
  meanSquaredError,
  setDevice,
  type Tensor,
  tensor,
  zeros,
} from "../../src/index.js";
import {
  arrayOf,
  at,
  expectTensor,
  forAll,
  type Reference,
  toTensor,
  total,
} from "../ops/reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const { NaN: nan, NEGATIVE_INFINITY: minusInfinity } = Number;
const ids = (values: number[], shape = [values.length]): Tensor =>
  tensor(values, { dtype: "int32", shape });

/** Losses of rows of logits, 0 for ignored ones: the definition, with logarithms of sums of exponentials. */
function rowLosses(
  x: Reference,
  targets: number[],
  ignoreIndex: number,
  smoothing: number,
): number[] {
  const classes = x.shape.at(-1)!;
  return targets.map((target, row) => {
    if (target === ignoreIndex) return 0;
    const logits = Array.from({ length: classes }, (_, c) => at(x, [row, c]));
    const normalizer = Math.log(total(logits.map(Math.exp)));
    const even = total(logits.map((value) => value - normalizer)) / classes;
    return -(1 - smoothing) * (logits[target]! - normalizer) - smoothing * even;
  });
}

describe("crossEntropy", () => {
  const batches = fc
    .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }))
    .chain(([rows, classes]) =>
      fc.tuple(
        arrayOf([rows, classes]),
        fc.array(fc.integer({ min: -1, max: classes - 1 }), { minLength: rows, maxLength: rows }),
        fc.constantFrom(0, 0.1, 1),
      ),
    );

  it("is the negative log-probability of the ids, smoothed, over the positions that count", () =>
    forAll([batches], async ([x, targets, labelSmoothing]) => {
      const losses = rowLosses(x, targets, -1, labelSmoothing);
      const counted = targets.filter((target) => target !== -1).length;
      const options = { labelSmoothing, ignoreIndex: -1 };
      const loss = (reduction: "mean" | "sum" | "none"): Tensor =>
        crossEntropy(toTensor(x), ids(targets), { ...options, reduction });
      await expectTensor(loss("none"), { shape: [targets.length], values: losses });
      await expectTensor(loss("sum"), { shape: [], values: [total(losses)] });
      await expectTensor(loss("mean"), { shape: [], values: [total(losses) / counted] });
      await expectTensor(crossEntropy(toTensor(x), ids(targets), options), {
        shape: [],
        values: [total(losses) / counted],
      });
    }));

  it("of equal logits is the logarithm of the number of classes", async () => {
    const loss = crossEntropy(
      zeros([2, 3, 8], { dtype: "float64" }),
      ids([0, 1, 2, 3, 4, 7], [2, 3]),
    );
    expect(await loss.item()).toBeCloseTo(Math.log(8), 14);
  });

  it("leaves positions of −100 out, whatever their logits, and their gradient is 0", async () => {
    const logits = tensor(
      [
        [1, 2],
        [nan, minusInfinity],
      ],
      { dtype: "float64" },
    );
    const loss = crossEntropy(logits, ids([1, -100]));
    expect(await loss.item()).toBeCloseTo(Math.log1p(Math.exp(-1)), 14);
    const [slope] = gradients(loss, [logits]);
    const p = 1 / (1 + Math.E);
    await expectTensor(slope!, { shape: [2, 2], values: [p, -p, 0, 0] });
  });

  it("is NaN over nothing that counts, and for a computed id that is no class", async () => {
    expect(await crossEntropy(zeros([1, 2]), ids([-100])).item()).toBeNaN();
    expect(await crossEntropy(zeros([1, 2]), ids([1]).add(1)).item()).toBeNaN();
  });

  it("is finite where probabilities underflow", async () => {
    expect(await crossEntropy(tensor([[0, 1e4]]), ids([0])).item()).toBe(1e4);
  });

  it("has first and second derivatives", () =>
    forAll(
      [batches.filter(([, targets]) => targets.some((target) => target >= 0))],
      ([x, targets, labelSmoothing]) =>
        checkGradients(
          (t) => crossEntropy(t, ids(targets), { ignoreIndex: -1, labelSmoothing }).square(),
          [toTensor(x)],
          { order: 2, tolerance: 1e-5 },
        ),
      10,
    ));

  it("refuses ids of another dtype or shape, and options out of range", () => {
    const logits = zeros([2, 3]);
    expect(() => crossEntropy(logits, tensor([0, 1]))).toThrow(
      'crossEntropy: ids must be int32, not float32; write tensor(ids, { dtype: "int32" })',
    );
    expect(() =>
      crossEntropy(zeros([2, 3, 5]), ids([0, 1, 2, 3, 4, 0, 1, 2, 3, 4], [2, 5])),
    ).toThrow(
      "crossEntropy: ids have shape [2,5]; for logits [2,3,5], whose last axis are the classes, they need [2,3]",
    );
    expect(() => crossEntropy(tensor(1), ids([0]))).toThrow(/^crossEntropy: ids have shape/);
    expect(() => crossEntropy(logits, ids([0, 3]))).toThrow(
      "crossEntropy: id 3 at [1] is outside the vocabulary 0 … 2",
    );
    expect(() => crossEntropy(logits, ids([0, 1]), { labelSmoothing: 2 })).toThrow(
      "crossEntropy: labelSmoothing must be a number in [0, 1], got 2",
    );
    expect(() => crossEntropy(logits, ids([0, 1]), { reduction: "avg" as never })).toThrow(
      'crossEntropy: reduction must be one of "mean", "sum", "none", got "avg"',
    );
    expect(() => crossEntropy(logits, ids([0, 1]), { ignore_index: 0 } as never)).toThrow(
      /has no option `ignore_index`; did you mean `ignoreIndex`/,
    );
    expect(() => crossEntropy([[1]] as never, ids([0]))).toThrow(/expected a tensor, got an array/);
  });
});

describe("meanSquaredError and binaryCrossEntropyWithLogits", () => {
  const pairs = fc.tuple(arrayOf([2, 3], -3, 3), arrayOf([2, 3], 0, 1));
  const DEFINITIONS = [
    ["meanSquaredError", meanSquaredError, (x: number, t: number) => (x - t) ** 2],
    [
      "binaryCrossEntropyWithLogits",
      binaryCrossEntropyWithLogits,
      (x: number, t: number) => t * Math.log1p(Math.exp(-x)) + (1 - t) * Math.log1p(Math.exp(x)),
    ],
  ] as const;

  for (const [name, loss, definition] of DEFINITIONS) {
    it(`${name} is the mean of its definition, or the sum, or all`, () =>
      forAll([pairs], async ([x, t]) => {
        const values = x.values.map((value, i) => definition(value, t.values[i]!));
        const [a, b] = [toTensor(x), toTensor(t)];
        await expectTensor(loss(a, b), { shape: [], values: [total(values) / 6] });
        await expectTensor(loss(a, b, { reduction: "sum" }), {
          shape: [],
          values: [total(values)],
        });
        await expectTensor(loss(a, b, { reduction: "none" }), { shape: [2, 3], values });
      }));

    it(`${name} has first and second derivatives, of both arguments`, () =>
      forAll(
        [pairs],
        ([x, t]) =>
          checkGradients((a, b) => loss(a, b).square(), [toTensor(x), toTensor(t)], {
            order: 2,
            tolerance: 1e-5,
          }),
        5,
      ));

    it(`${name} broadcasts nothing, and knows its options`, () => {
      expect(() => loss(zeros([3, 1]), zeros([3]))).toThrow(
        `${name}: shapes [3,1] and [3] differ; reshape or broadcastTo what is meant`,
      );
      expect(() => loss(zeros([1]), 1 as never)).toThrow(/expected a tensor, got 1/);
      expect(() => loss(zeros([1]), zeros([1]), { reduction: "batchmean" as never })).toThrow(
        `${name}: reduction must be one of "mean", "sum", "none", got "batchmean"`,
      );
    });
  }

  it("binaryCrossEntropyWithLogits keeps small losses, and is finite for large logits", async () => {
    const x = tensor([40, -40, 1e4, -1e4], { dtype: "float64" });
    const t = tensor([1, 0, 0, 1], { dtype: "float64" });
    const losses = await binaryCrossEntropyWithLogits(x, t, { reduction: "none" }).data();
    expect(losses[0]! / Math.exp(-40)).toBeCloseTo(1, 12);
    expect(losses[1]! / Math.exp(-40)).toBeCloseTo(1, 12);
    expect(Array.from(losses.slice(2))).toEqual([1e4, 1e4]);
  });
});
