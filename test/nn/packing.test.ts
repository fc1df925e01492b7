import { describe, expect, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { gradients } from "../../src/autograd/gradients.js";
import { grad } from "../../src/autograd/transforms.js";
import {
  packedSequenceLogProbs,
  packedTokenLogProbs,
  sequenceLogProbs,
  tokenLogProbs,
} from "../../src/losses/index.js";
import { type GptParameters, gpt } from "../../src/models/gpt.js";
import { causalSelfAttention, initAttention } from "../../src/nn/attention.js";
import { type PackOptions, packBatch } from "../../src/nn/packing.js";
import { tensor, zeros } from "../../src/tensor/create.js";
import { randomNormal } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeLeaves, treeUnflatten } from "../../src/tensor/tree.js";

const int32 = (values: number[][]): Tensor => tensor(values, { dtype: "int32" });
// A pair that shares a prompt, the other's rejected one on its own, a row without a completion, and a
// gap in a mask.
const ids = int32([
  [1, 2, 3, 4, 0, 0, 0, 0],
  [5, 1, 2, 2, 1, 0, 0, 0],
  [1, 2, 3, 3, 6, 4, 0, 0],
  [4, 4, 0, 0, 0, 0, 0, 0],
  [5, 1, 3, 2, 6, 6, 2, 0],
]);
const mask = tensor([
  [0, 0, 0, 1, 0, 0, 0, 0],
  [0, 0, 1, 1, 1, 0, 0, 0],
  [0, 0, 0, 1, 1, 1, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 1, 0.5, 0, 1, 1, 0],
]);
const model = gpt({ vocabularySize: 7, contextLength: 8, width: 4, layers: 2, heads: 2 });
const parameters = model.init(1, { std: 0.5, dtype: "float64" });

async function expectSame(found: Tensor, expected: Tensor): Promise<void> {
  expect(found.shape).toEqual(expected.shape);
  const [a, b] = await Promise.all([found.data(), expected.data()]);
  const scale = Math.max(1, ...Array.from(b, (value) => Math.abs(Number(value))));
  for (const [i, value] of b.entries())
    expect(Number(a[i]) / scale).toBeCloseTo(Number(value) / scale, 12);
}

const packed = async (options?: PackOptions) => {
  const batch = await packBatch(ids, mask, options);
  return (p: GptParameters): Tensor =>
    packedSequenceLogProbs(model.packedHidden(p, batch), model.headWeight(p), batch);
};
const plain = (p: GptParameters): Tensor => sequenceLogProbs(model.apply(p, ids), ids, mask);

describe("packBatch", () => {
  it("computes no padding, no last tokens and shared beginnings once", async () => {
    const batch = await packBatch(ids, mask);
    // Of rows 4, 2, 1, 0: [5 1 3 2 6 6] [1 2 3 3 6] [5 1 | 2 2] [1 2 3].
    expect(await batch.ids.array()).toEqual([5, 1, 3, 2, 6, 6, 1, 2, 3, 3, 6, 2, 2]);
    expect(await batch.positions.array()).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 2, 3]);
    expect(batch.lengths).toEqual([6, 5, 4, 3, 0]);
    expect(await batch.tokens.array()).toEqual([
      [0, 1, 2, 3, 4, 5],
      [6, 7, 8, 9, 10, 0],
      [0, 1, 11, 12, 0, 0],
      [6, 7, 8, 0, 0, 0],
      [0, 0, 0, 0, 0, 0],
    ]);
  });

  it("asks for the masked-in tokens and no others", async () => {
    const batch = await packBatch(ids, mask);
    expect(await batch.targets.array()).toEqual([3, 2, 6, 2, 3, 6, 4, 2, 2, 1, 4]);
    expect(await batch.predictors.array()).toEqual([1, 2, 4, 5, 8, 9, 10, 1, 11, 12, 8]);
  });

  it("rounds sizes up", async () => {
    const batch = await packBatch(ids, mask, { multipleOf: 4 });
    expect(batch.ids.shape).toEqual([16]);
    expect(batch.predictors.shape).toEqual([12]);
    expect(batch.tokens.shape).toEqual([5, 8]);
    expect(batch.lengths).toEqual([8, 8, 8, 8, 0]);
  });

  it("takes boolean masks", async () => {
    const [a, b] = [await packBatch(ids, mask), await packBatch(ids, mask.greater(0))];
    expect(await b.predictors.array()).toEqual(await a.predictors.array());
  });

  it("refuses what is no batch", async () => {
    await expect(packBatch(ids, mask.slice(null, [1]))).rejects.toThrow(
      "packBatch: ids [5,8] and mask [5,7] need one shape [B,T]",
    );
    await expect(packBatch(mask, mask)).rejects.toThrow(
      "packBatch: ids must be int32, not float32; cast them",
    );
    await expect(packBatch(ids, zeros([5, 8]))).rejects.toThrow(
      "packBatch: the mask leaves no token to predict",
    );
    await expect(packBatch(ids, mask, { multipleOf: 0 })).rejects.toThrow(
      "packBatch: multipleOf must be an integer ≥ 1, got 0",
    );
  });
});

describe.each([1, 3, 4, 16])("a batch packed to multiples of %i", (multipleOf) => {
  it("has sequenceLogProbs' values", async () => {
    await expectSame((await packed({ multipleOf }))(parameters), plain(parameters));
  });

  it("has its gradients, first and second", async () => {
    const own = await packed({ multipleOf });
    const weights = tensor([1, -0.5, 2, 3, 0.7], { dtype: "float64" });
    const first = (f: (p: GptParameters) => Tensor) =>
      treeLeaves(grad((p: GptParameters) => f(p).mul(weights).sum().square())(parameters));
    const second = (f: (p: GptParameters) => Tensor) => {
      const norm = first(f).reduce((sum, g) => sum.add(g.square().sum()), zeros([]));
      return gradients(norm, treeLeaves(parameters));
    };
    for (const order of [first, second]) {
      const [found, expected] = [order(own), order(plain)];
      for (const [i, one] of expected.entries()) await expectSame(found[i]!, one);
    }
  });
});

describe("packed log-probabilities", () => {
  it("take the hidden states of all positions too", async () => {
    const batch = await packBatch(ids, mask);
    const head = model.headWeight(parameters);
    const found = packedSequenceLogProbs(model.hidden(parameters, ids), head, batch);
    await expectSame(found, plain(parameters));
  });

  it("are tokenLogProbs' where the mask is not 0, and 0 elsewhere", async () => {
    const batch = await packBatch(ids, mask);
    const head = model.headWeight(parameters);
    const expected = tokenLogProbs(model.apply(parameters, ids), ids).mul(
      mask.slice(null, [1]).greater(0).cast("float64"),
    );
    for (const hidden of [model.hidden(parameters, ids), model.packedHidden(parameters, batch)]) {
      await expectSame(packedTokenLogProbs(hidden, head, batch), expected);
    }
  });

  it("have right derivatives of both orders", async () => {
    const small = gpt({
      ...model.config,
      vocabularySize: 3,
      width: 2,
      layers: 1,
      heads: 1,
      mlpWidth: 2,
    });
    const start = small.init(2, { std: 0.5, dtype: "float64" });
    const rows = int32([
      [0, 2, 1],
      [0, 2, 2],
    ]);
    const batch = await packBatch(
      rows,
      tensor([
        [0, 0, 1],
        [0, 1, 1],
      ]),
    );
    const f = (...leaves: Tensor[]): Tensor => {
      const p = treeUnflatten(start, leaves);
      return packedSequenceLogProbs(small.packedHidden(p, batch), small.headWeight(p), batch);
    };
    await checkGradients(f, treeLeaves(start), { order: 2, tolerance: 1e-5 });
  });

  it("refuse hidden states and heads of other shapes", async () => {
    const batch = await packBatch(ids, mask);
    const head = model.headWeight(parameters);
    expect(() => packedTokenLogProbs(zeros([13, 4]), head, batch)).toThrow(
      "packedTokenLogProbs: `hidden` must have shape [11,D], the packed batch's, or [5,8,D], got [13,4]",
    );
    expect(() => packedSequenceLogProbs(zeros([11, 4]), zeros([7, 3]), batch)).toThrow(
      "packedSequenceLogProbs: `head` must have shape [V,4] for hidden states [11,4], got [7,3]",
    );
  });
});

describe("gpt on packed batches", () => {
  it("refuses batches too long or with ids outside the vocabulary", async () => {
    const batch = await packBatch(ids, mask);
    expect(() =>
      gpt({ ...model.config, contextLength: 5 }).packedHidden(parameters, batch),
    ).toThrow("gpt: 6 positions exceed the context of 5");
    expect(() =>
      gpt({ ...model.config, vocabularySize: 6 }).packedHidden(parameters, batch),
    ).toThrow("gpt: id 6 at [4] is outside the vocabulary 0 … 5");
  });
});

describe("causalSelfAttention in blocks of positions", () => {
  const attention = initAttention(4, { seed: 3, std: 0.7, dtype: "float64" });
  const states = (positions: number) =>
    randomNormal([2, positions, 4], { seed: 4, dtype: "float64" });

  it.each([1, 2, 3, 7, 20])("has the same values in %i blocks", async (causalBlocks) => {
    for (const positions of [1, 7, 12]) {
      const x = states(positions);
      const expected = causalSelfAttention(attention, x, 2, { causalBlocks: 1 });
      await expectSame(causalSelfAttention(attention, x, 2, { causalBlocks }), expected);
    }
  });

  it("has the same values in the blocks it takes by itself", async () => {
    for (const positions of [64, 515]) {
      const x = states(positions);
      const expected = causalSelfAttention(attention, x, 2, { causalBlocks: 1 });
      await expectSame(causalSelfAttention(attention, x, 2), expected);
    }
  });

  it("has right derivatives of both orders", async () => {
    const f = (x: Tensor, weight: Tensor, bias: Tensor): Tensor =>
      causalSelfAttention({ ...attention, qkv: { weight, bias } }, x, 2, { causalBlocks: 2 });
    const { weight, bias } = attention.qkv;
    await checkGradients(f, [states(3), weight, bias!], { order: 2, tolerance: 1e-5 });
  });

  it("leaves later keys of a group's end unread", async () => {
    const broken = states(4).add(
      tensor([0, 0, Number.NaN, Number.NaN], { shape: [4, 1], dtype: "float64" }),
    );
    const values = await causalSelfAttention(attention, broken, 2, { causalBlocks: 2 })
      .slice(0)
      .data();
    expect([...values].map(Number.isNaN)).toEqual([
      ...Array(8).fill(false),
      ...Array(8).fill(true),
    ]);
  });

  it("refuses a number of blocks that is none", () => {
    expect(() => causalSelfAttention(attention, states(3), 2, { causalBlocks: 0 })).toThrow(
      "causalSelfAttention: causalBlocks must be an integer ≥ 1, got 0",
    );
  });
});
