import { describe, expect, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { valueAndGrad } from "../../src/autograd/transforms.js";
import { type GptParameters, gpt } from "../../src/models/gpt.js";
import { causalSelfAttention } from "../../src/nn/attention.js";
import { mlp } from "../../src/nn/mlp.js";
import { layerNorm } from "../../src/nn/normalization.js";
import { logSoftmax } from "../../src/ops/activations.js";
import { gather } from "../../src/ops/indexing.js";
import { matmul } from "../../src/ops/matmul.js";
import { adamw } from "../../src/optim/adamw.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeLeaves, treeUnflatten } from "../../src/tensor/tree.js";

const config = { vocabularySize: 7, contextLength: 5, width: 4, layers: 2, heads: 2 };
const model = gpt(config);
const int32 = (values: number[][]): Tensor => tensor(values, { dtype: "int32" });
const ids = int32([
  [1, 2, 3],
  [6, 0, 6],
]);

describe("gpt", () => {
  it("gives logits [B,T,V] from ids [B,T], and hidden states [B,T,D]", () => {
    const parameters = model.init(0);
    expect(model.apply(parameters, ids).shape).toEqual([2, 3, 7]);
    expect(model.hidden(parameters, ids).shape).toEqual([2, 3, 4]);
    expect(model.headWeight(parameters).shape).toEqual([7, 4]);
    expect(model.config).toBe(config);
  });

  it("is embeddings, pre-norm blocks, a final norm and products with the token embedding", async () => {
    const parameters = model.init(3, { std: 0.5, dtype: "float64" });
    const { tokenEmbedding, positionEmbedding, blocks, finalNorm } = parameters;
    let x = gather(tokenEmbedding.weight, ids).add(positionEmbedding.weight.slice([0, 3]));
    for (const { norm1, attention, norm2, mlp: feedForward } of blocks) {
      x = x.add(causalSelfAttention(attention, layerNorm(norm1, x), 2));
      x = x.add(mlp(feedForward, layerNorm(norm2, x)));
    }
    const expected = matmul(layerNorm(finalNorm, x), tokenEmbedding.weight.transpose());
    const [a, b] = [await model.apply(parameters, ids).data(), await expected.data()];
    for (const [i, value] of b.entries()) expect(a[i]).toBeCloseTo(value, 12);
  });

  it("has logits that are the hidden states' products with the head", async () => {
    for (const tiedHead of [true, false]) {
      const own = gpt({ ...config, tiedHead });
      const parameters = own.init(1, { std: 0.3 });
      const expected = matmul(own.hidden(parameters, ids), own.headWeight(parameters).transpose());
      expect(await own.apply(parameters, ids).array()).toEqual(await expected.array());
      expect(own.headWeight(parameters) === parameters.tokenEmbedding.weight).toBe(tiedHead);
    }
  });

  it("does not look ahead", async () => {
    const parameters = model.init(0, { std: 0.5 });
    const other = int32([
      [1, 2, 6],
      [6, 0, 1],
    ]);
    const first = (tokens: Tensor) => model.apply(parameters, tokens).slice(null, [0, 2]).array();
    expect(await first(other)).toEqual(await first(ids));
  });

  it("starts from the same parameters for the same seed", async () => {
    const values = async (p: GptParameters) => Promise.all(treeLeaves(p).map((t) => t.array()));
    expect(await values(model.init(5))).toEqual(await values(model.init(5)));
    expect(await values(model.init(5))).not.toEqual(await values(model.init(6)));
  });

  it("starts with projections into the residual stream smaller by √(2·layers)", async () => {
    const wide = gpt({ ...config, width: 64, layers: 8 });
    const { blocks, tokenEmbedding } = wide.init(0, { std: 0.08 });
    const deviation = async (t: Tensor): Promise<number> =>
      Math.sqrt(await t.square().mean().item());
    expect(await deviation(tokenEmbedding.weight)).toBeCloseTo(0.08, 1);
    expect(await deviation(blocks[0]!.attention.qkv.weight)).toBeCloseTo(0.08, 2);
    expect(await deviation(blocks[0]!.attention.projection.weight)).toBeCloseTo(0.02, 2);
    expect(await deviation(blocks[7]!.mlp.projection.weight)).toBeCloseTo(0.02, 2);
  });

  it("predicts uniformly when all weights are zero", async () => {
    const logits = model.apply(model.init(0, { std: 0 }), ids);
    const found = await logSoftmax(logits).data();
    for (const value of found) expect(value).toBeCloseTo(-Math.log(7), 6);
  });

  it("has right derivatives of both orders with respect to all parameters", async () => {
    const small = gpt({
      vocabularySize: 3,
      contextLength: 2,
      width: 2,
      layers: 1,
      heads: 1,
      mlpWidth: 2,
    });
    const start = small.init(2, { std: 0.5, dtype: "float64" });
    const tokens = int32([[0, 2]]);
    const f = (...leaves: Tensor[]): Tensor => small.apply(treeUnflatten(start, leaves), tokens);
    await checkGradients(f, treeLeaves(start), { order: 2, tolerance: 1e-5 });
  });

  it("learns a sequence by heart, with one plan for all steps", async () => {
    const text = int32([[1, 5, 2, 4, 3]]);
    const targets = text.slice(null, [1]).expandDims(-1);
    const optimizer = adamw({ learningRate: 0.05, weightDecay: 0 });
    let parameters = model.init(0, { std: 0.2 });
    let state = optimizer.init(parameters);
    const before = (await deviceStatistics()).plansCompiled;
    let last = Number.POSITIVE_INFINITY;
    for (let step = 0; step < 40; step++) {
      const [loss, gradient] = valueAndGrad((p: GptParameters) => {
        const predicted = logSoftmax(model.apply(p, text).slice(null, [0, 4]));
        return predicted.takeAlongAxis(targets).mean().neg();
      })(parameters);
      [parameters, state] = optimizer.update(gradient, state, parameters);
      await realize(loss, parameters, state);
      last = await loss.item();
    }
    expect(last).toBeLessThan(0.1);
    expect((await deviceStatistics()).plansCompiled - before).toBeLessThanOrEqual(1);
  });

  it("refuses sizes that make no model", () => {
    expect(() => gpt({ ...config, layers: 0 })).toThrow(
      "gpt: layers must be an integer ≥ 1, got 0",
    );
    expect(() => gpt({ ...config, heads: 3 })).toThrow("gpt: width 4 does not divide into 3 heads");
  });

  it("refuses ids that are too long, outside the vocabulary or of the wrong form", () => {
    const parameters = model.init(0);
    expect(() => model.apply(parameters, int32([[1, 2, 3, 4, 5, 6]]))).toThrow(
      "gpt: 6 positions exceed the context of 5",
    );
    expect(() => model.apply(parameters, int32([[1, 7]]))).toThrow(
      "gpt: id 7 at [0,1] is outside the vocabulary 0 … 6",
    );
    expect(() => model.apply(parameters, tensor([[1, 2]]))).toThrow(
      "gpt: ids must be int32, not float32",
    );
    expect(() => model.apply(parameters, tensor([1, 2], { dtype: "int32" }))).toThrow(
      "gpt: ids have shape [2]; they need [batch, positions]",
    );
  });

  it("says when parameters have no head though it is not tied", () => {
    const untied = gpt({ ...config, tiedHead: false });
    expect(() => untied.apply(model.init(0), ids)).toThrow(
      "gpt: the head is not tied, but the parameters have no head",
    );
  });
});
