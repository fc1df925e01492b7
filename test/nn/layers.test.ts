/**
 * Layers against their formulas, written out as loops over plain numbers in double precision.
 */

import { describe, expect, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import {
  type AttentionParameters,
  causalSelfAttention,
  initAttention,
} from "../../src/nn/attention.js";
import { embedding, initEmbedding } from "../../src/nn/embedding.js";
import { initLinear, linear } from "../../src/nn/linear.js";
import { initMlp, type MlpParameters, mlp } from "../../src/nn/mlp.js";
import { initLayerNorm, initRmsNorm, layerNorm, rmsNorm } from "../../src/nn/normalization.js";
import { tensor } from "../../src/tensor/create.js";
import { randomGenerator, randomNormal } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeLeaves, treeUnflatten } from "../../src/tensor/tree.js";

type Matrix = number[][];

const random = (shape: number[], seed: string): Tensor =>
  randomNormal(shape, { seed, dtype: "float64" });
const matrix = async (t: Tensor): Promise<Matrix> => (await t.array()) as Matrix;
const vector = async (t: Tensor): Promise<number[]> => (await t.array()) as number[];

/** x·W + b. */
function affine(x: Matrix, weight: Matrix, bias: number[]): Matrix {
  return x.map((row) =>
    bias.map((b, j) => row.reduce((s, value, i) => s + value * weight[i]![j]!, b)),
  );
}

function expectClose(found: ArrayLike<number>, expected: number[], tolerance = 1e-12): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) {
    expect(Math.abs(found[i]! - value)).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(value)),
    );
  }
}

/** First and second derivatives of a layer with respect to its parameters and its input. */
async function checkLayer<P>(
  parameters: P,
  x: Tensor,
  layer: (parameters: P, x: Tensor) => Tensor,
): Promise<void> {
  const f = (input: Tensor, ...leaves: Tensor[]): Tensor =>
    layer(treeUnflatten(parameters, leaves), input);
  await checkGradients(f, [x, ...treeLeaves(parameters)], { order: 2 });
}

describe("linear", () => {
  const parameters = { weight: random([3, 2], "w"), bias: random([2], "b") };

  it("is x·W + b over the last axis", async () => {
    const x = random([4, 3], "x");
    const expected = affine(
      await matrix(x),
      await matrix(parameters.weight),
      await vector(parameters.bias),
    ).flat();
    expectClose(await linear(parameters, x).data(), expected);
    const deeper = linear(parameters, x.reshape([2, 2, 3]));
    expect(deeper.shape).toEqual([2, 2, 2]);
    expectClose(await deeper.data(), expected);
  });

  it("adds nothing without a bias", async () => {
    const { weight } = parameters;
    const x = random([1, 3], "x");
    const expected = affine(await matrix(x), await matrix(weight), [0, 0]).flat();
    expectClose(await linear({ weight }, x).data(), expected);
  });

  it("has right derivatives of both orders", async () => {
    await checkLayer(parameters, random([2, 3], "x"), linear);
  });

  it("names the shapes that do not fit", () => {
    expect(() => linear(parameters, random([4, 2], "x"))).toThrow(
      "linear: x [4,2] does not fit the weight [3,2]",
    );
  });
});

describe("embedding", () => {
  const parameters = {
    weight: tensor(
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      { dtype: "float64" },
    ),
  };
  const ids = (values: number[][]): Tensor => tensor(values, { dtype: "int32" });

  it("looks up rows", async () => {
    const rows = embedding(
      parameters,
      ids([
        [2, 0],
        [1, 2],
      ]),
    );
    expect(await rows.array()).toEqual([
      [
        [5, 6],
        [1, 2],
      ],
      [
        [3, 4],
        [5, 6],
      ],
    ]);
  });

  it("has right derivatives of both orders, for repeated ids too", async () => {
    const found = ids([[2, 0, 2]]);
    const f = (weight: Tensor): Tensor => embedding({ weight }, found).square();
    await checkGradients(f, [parameters.weight], { order: 2 });
  });

  it("refuses ids outside the vocabulary and ids that are no integers", () => {
    expect(() =>
      embedding(
        parameters,
        ids([
          [0, 1],
          [3, 0],
        ]),
      ),
    ).toThrow("embedding: id 3 at [1,0] is outside the vocabulary 0 … 2");
    expect(() => embedding(parameters, ids([[-1]]))).toThrow("id -1 at [0,0]");
    expect(() => embedding(parameters, tensor([1]))).toThrow(
      "embedding: ids must be int32, not float32",
    );
  });

  it("gives NaN for a computed id outside the vocabulary", async () => {
    const rows = await embedding(parameters, ids([[1, 2]]).add(1)).data();
    expect([...rows]).toEqual([5, 6, Number.NaN, Number.NaN]);
  });
});

describe("layerNorm", () => {
  const parameters = { weight: random([4], "g"), bias: random([4], "b") };

  it("is (x − mean)/√(var + ε)·weight + bias over the last axis", async () => {
    const x = random([3, 4], "x");
    const [weight, bias] = [await vector(parameters.weight), await vector(parameters.bias)];
    for (const epsilon of [1e-5, 0.5]) {
      const expected = (await matrix(x)).flatMap((row) => {
        const mean = row.reduce((s, value) => s + value, 0) / 4;
        const variance = row.reduce((s, value) => s + (value - mean) ** 2, 0) / 4;
        return row.map(
          (v, i) => ((v - mean) / Math.sqrt(variance + epsilon)) * weight[i]! + bias[i]!,
        );
      });
      expectClose(await layerNorm(parameters, x, epsilon).data(), expected);
    }
    expectClose(await layerNorm(parameters, x).data(), [
      ...(await layerNorm(parameters, x, 1e-5).data()),
    ]);
  });

  it("has right derivatives of both orders", async () => {
    await checkLayer(parameters, random([2, 4], "x"), (p, x) => layerNorm(p, x));
  });

  it("is the bias on constant rows", async () => {
    const x = tensor([[7, 7, 7, 7]], { dtype: "float64" });
    expectClose(await layerNorm(parameters, x).data(), await vector(parameters.bias));
  });

  it("names the shapes that do not fit", () => {
    expect(() => layerNorm(parameters, random([2, 3], "x"))).toThrow(
      "layerNorm: the last axis of x [2,3] must have the weight's shape [4]",
    );
  });
});

describe("rmsNorm", () => {
  const parameters = { weight: random([4], "g") };

  it("is x/√(mean x² + ε)·weight over the last axis", async () => {
    const x = random([3, 4], "x");
    const weight = await vector(parameters.weight);
    const expected = (await matrix(x)).flatMap((row) => {
      const mean = row.reduce((s, value) => s + value * value, 0) / 4;
      return row.map((value, i) => (value / Math.sqrt(mean + 1e-6)) * weight[i]!);
    });
    expectClose(await rmsNorm(parameters, x).data(), expected);
  });

  it("has right derivatives of both orders", async () => {
    await checkLayer(parameters, random([2, 4], "x"), (p, x) => rmsNorm(p, x));
  });

  it("names the shapes that do not fit", () => {
    expect(() => rmsNorm(parameters, random([3], "x"))).toThrow("rmsNorm: the last axis of x [3]");
  });
});

describe("causalSelfAttention", () => {
  const [positions, width, heads] = [3, 4, 2];
  const parameters: AttentionParameters = {
    qkv: { weight: random([width, 3 * width], "qkv"), bias: random([3 * width], "qkv bias") },
    projection: { weight: random([width, width], "p"), bias: random([width], "p bias") },
  };

  async function reference(x: Matrix): Promise<Matrix> {
    const headWidth = width / heads;
    const { qkv, projection } = parameters;
    const rows = affine(x, await matrix(qkv.weight), await vector(qkv.bias!));
    const mixed = rows.map((_, t) =>
      Array.from({ length: width }, (_, column) => {
        const from = Math.floor(column / headWidth) * headWidth;
        const scores = rows.slice(0, t + 1).map((key) => {
          let score = 0;
          for (let i = from; i < from + headWidth; i++) score += rows[t]![i]! * key[width + i]!;
          return Math.exp(score / Math.sqrt(headWidth));
        });
        const total = scores.reduce((s, score) => s + score, 0);
        return scores.reduce(
          (s, score, u) => s + (score / total) * rows[u]![2 * width + column]!,
          0,
        );
      }),
    );
    return affine(mixed, await matrix(projection.weight), await vector(projection.bias!));
  }

  it("is softmax(q·kᵀ/√(D/heads))·v per head over positions up to one's own", async () => {
    const x = random([2, positions, width], "x");
    const found = causalSelfAttention(parameters, x, heads);
    expect(found.shape).toEqual([2, positions, width]);
    const rows = (await x.array()) as number[][][];
    const expected = await Promise.all(rows.map(reference));
    expectClose(await found.data(), expected.flat(2));
  });

  it("does not see later positions", async () => {
    const x = random([1, positions, width], "x");
    const changed = x.add(tensor([[[0], [0], [100]]], { dtype: "float64" }));
    const first = [0, 2] as const;
    const before = causalSelfAttention(parameters, x, heads).slice(null, first);
    const after = causalSelfAttention(parameters, changed, heads).slice(null, first);
    expect(await after.array()).toEqual(await before.array());
  });

  it("has right derivatives of both orders", async () => {
    await checkLayer(parameters, random([1, 3, width], "x"), (p, x) =>
      causalSelfAttention(p, x, heads),
    );
  });

  it("refuses a width that does not divide into the heads, and x without positions", () => {
    expect(() => causalSelfAttention(parameters, random([1, 3, 4], "x"), 3)).toThrow(
      "causalSelfAttention: width 4 does not divide into 3 heads",
    );
    expect(() => causalSelfAttention(parameters, random([3, 4], "x"), 2)).toThrow(
      "causalSelfAttention: x has shape [3,4]; it needs [batch, positions, width]",
    );
  });
});

describe("mlp", () => {
  const parameters: MlpParameters = {
    expand: { weight: random([2, 5], "fc"), bias: random([5], "fc bias") },
    projection: { weight: random([5, 2], "p"), bias: random([2], "p bias") },
  };

  it("is gelu between two linear layers", async () => {
    const x = random([3, 2], "x");
    const { expand, projection } = parameters;
    const hidden = affine(await matrix(x), await matrix(expand.weight), await vector(expand.bias!));
    const active = hidden.map((row) =>
      row.map((u) => 0.5 * u * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (u + 0.044715 * u ** 3)))),
    );
    const expected = affine(
      active,
      await matrix(projection.weight),
      await vector(projection.bias!),
    );
    expectClose(await mlp(parameters, x).data(), expected.flat());
  });

  it("has right derivatives of both orders", async () => {
    await checkLayer(parameters, random([2, 2], "x"), mlp);
  });
});

describe("initial parameters", () => {
  it("have the layers' shapes", () => {
    const shapes = (tree: unknown): unknown => treeLeaves(tree).map((t) => t.shape);
    const options = { seed: 0 };
    expect(shapes(initLinear(3, 2, options))).toEqual([[3, 2], [2]]);
    expect(shapes(initEmbedding(5, 2, options))).toEqual([[5, 2]]);
    expect(shapes(initLayerNorm(3))).toEqual([[3], [3]]);
    expect(shapes(initRmsNorm(3))).toEqual([[3]]);
    expect(shapes(initAttention(4, options))).toEqual([[4, 12], [12], [4, 4], [4]]);
    expect(shapes(initMlp(4, options))).toEqual([[4, 16], [16], [16, 4], [4]]);
    expect(shapes(initMlp(4, { ...options, hiddenWidth: 6 }))).toEqual([[4, 6], [6], [6, 4], [4]]);
  });

  it("are normal weights of the given deviation, biases 0 and norms' weights 1", async () => {
    const { weight, bias } = initLinear(100, 100, { seed: 1, std: 0.5 });
    const values = [...(await weight.data())];
    const mean = values.reduce((s, x) => s + x, 0) / values.length;
    const variance = values.reduce((s, x) => s + (x - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.sqrt(variance)).toBeGreaterThan(0.49);
    expect(Math.sqrt(variance)).toBeLessThan(0.51);
    expect(new Set(await bias.data())).toEqual(new Set([0]));
    const norm = initLayerNorm(2, { dtype: "float64" });
    expect(norm.weight.dtype).toBe("float64");
    expect(await norm.weight.array()).toEqual([1, 1]);
    expect(await norm.bias.array()).toEqual([0, 0]);
  });

  it("are the same for the same seed, and all different within a layer", async () => {
    const options = { seed: 7, std: 1 };
    const [a, b] = [initAttention(2, options), initAttention(2, options)];
    expect(await a.qkv.weight.array()).toEqual(await b.qkv.weight.array());
    const values = [...(await a.qkv.weight.data()), ...(await a.projection.weight.data())];
    expect(new Set(values).size).toBe(values.length);
    const other = initAttention(2, { ...options, seed: 8 });
    expect(await other.qkv.weight.array()).not.toEqual(await a.qkv.weight.array());
  });

  it("continue a generator's sequence", async () => {
    const seed = randomGenerator(0);
    const [a, b] = [initLinear(2, 2, { seed }), initLinear(2, 2, { seed })];
    expect(await b.weight.array()).not.toEqual(await a.weight.array());
  });

  it("can have a deviation of their own for projections", async () => {
    const { qkv, projection } = initAttention(64, { seed: 0, std: 1, projectionStd: 0.1 });
    const deviation = async (t: Tensor): Promise<number> =>
      Math.sqrt((await t.square().mean().item()) as number);
    expect(await deviation(qkv.weight)).toBeCloseTo(1, 1);
    expect(await deviation(projection.weight)).toBeCloseTo(0.1, 2);
  });
});
