/**
 * Tensors held as bfloat16 on WebGPU in Node, and models of them: the numbers of the widened ones, and WebAssembly's.
 */

import { beforeAll, describe, expect, it } from "vitest";
import {
  adamw,
  dpoLoss,
  generate,
  initLora,
  type LoadedModel,
  loadModel,
  matmul,
  randomNormal,
  realize,
  scatterAdd,
  sequenceLogProbs,
  setDevice,
  storeAs,
  sum,
  type Tensor,
  tensor,
  valueAndGrad,
  withLora,
  zeros,
} from "../../src/index.js";
import { describeBFloat16Models } from "../models/bfloat16.js";
import { TINY, tinyFiles, tinyTensors } from "../models/tinyCheckpoint.js";
import { FAMILIES } from "../models/tinyFamilies.js";
import { describeBFloat16, expectSame, pair } from "../tensor/bfloat16.js";
import { expectWebGpu } from "./platform.js";

await expectWebGpu();

const WEBGPU = ["gpu", { backend: "webgpu" }] as const;

describeBFloat16(...WEBGPU);
describeBFloat16Models(...WEBGPU, ["qwen3", "gpt2"]);

describe("kernels of a GPU alone", () => {
  beforeAll(() => setDevice(...WEBGPU));

  it("read them where several threads share a sum", async () => {
    await expectSame((t) => sum(t), [3, 20_001]);
    await expectSame((t) => sum(t, -1), [3, 20_001]);
    await expectSame((t) => sum(t, 0), [20_001, 3]);
  });

  it("read them in products whose sum is split", async () => {
    const x = await realize(randomNormal([9, 8192], { seed: 2 }));
    await expectSame((t) => matmul(x, t).add(1), [8192, 63]);
    await expectSame((t) => matmul(x, t.transpose()), [63, 8192]);
  });

  it("read more of them than a kernel binds", async () => {
    const pairs = await Promise.all(Array.from({ length: 12 }, (_, seed) => pair([3, 5], seed)));
    const tanhs = (all: readonly Tensor[]): Tensor =>
      all.reduce((total, t) => total.mul(0.5).add(t.tanh()));
    const narrow = await tanhs(pairs.map((own) => own.narrow)).data();
    expect(narrow).toEqual(await tanhs(pairs.map((own) => own.wide)).data());
  });

  it("read them in scatters that sort their points", async () => {
    const ids = tensor(Int32Array.from({ length: 600 }, (_, i) => (i * i) % 701));
    await expectSame((t) => scatterAdd(zeros([701, 33]), ids, t), [600, 33]);
  });
});

it("matrices arrive in pieces of odd lengths, at odd places", async () => {
  await setDevice(...WEBGPU);
  const config = { ...TINY.qwen3, intermediate_size: 70_001, num_hidden_layers: 1 };
  const expected = tinyTensors(config);
  const { parameters } = await loadModel(await tinyFiles(config, expected), { dtype: "bfloat16" });
  const { gate } = parameters.blocks[0]!.mlp as { gate: { weight: Tensor } };
  expect(gate.weight.storage).toBe("bfloat16");
  const file = expected["model.layers.0.mlp.gate_proj.weight"]!;
  const rounded = await storeAs("bfloat16", file.transpose());
  expect(await gate.weight.data()).toEqual(await rounded.data());
});

it("stay bfloat16 from device to device", async () => {
  await setDevice("wasm");
  const { narrow } = await pair([3, 7]);
  const expected = await narrow.data();
  for (const device of ["gpu", "interpreter", "gpu", "wasm"] as const) {
    await setDevice(device);
    const doubled = await narrow.mul(2).data();
    expect(doubled).toEqual(expected.map((x) => 2 * x));
    expect(narrow.storage).toBe("bfloat16");
    expect(await narrow.data()).toEqual(expected);
  }
});

describe("a model of bfloat16 weights", () => {
  const IDS = tensor(
    [
      [1, 5, 9, 2, 33, 7, 12],
      [1, 5, 9, 2, 14, 30, 8],
    ],
    { dtype: "int32" },
  );
  const MASK = tensor([
    [0, 0, 0, 0, 1, 1, 1],
    [0, 0, 0, 0, 1, 1, 0],
  ]);

  /** What it writes and scores, and how a DPO step changes an adapter. */
  async function numbersOf(lm: LoadedModel) {
    const written = await generate(lm.model, lm.parameters, [[1, 5, 9], [3]], { maxNewTokens: 6 });
    const scores = await sequenceLogProbs(lm.model.apply(lm.parameters, IDS), IDS, MASK).data();
    const adapter = initLora(lm, { rank: 2, alpha: 4, targets: "all-linear", seed: 3 });
    const lossOf = (parameters: typeof adapter.parameters): Tensor => {
      const logits = lm.model.apply(withLora(lm, { ...adapter, parameters }), IDS);
      const logProbs = sequenceLogProbs(logits, IDS, MASK);
      const [chosen, rejected] = [logProbs.slice([0, 1]), logProbs.slice([1, 2])];
      const [referenceChosen, referenceRejected] = [tensor([scores[0]!]), tensor([scores[1]!])];
      return dpoLoss({ chosen, rejected, referenceChosen, referenceRejected }).loss;
    };
    const optimizer = adamw({ learningRate: 0.01, weightDecay: 0 });
    let { parameters } = adapter;
    let state = optimizer.init(parameters);
    const losses: number[] = [];
    for (let step = 0; step < 3; step++) {
      const [loss, gradient] = valueAndGrad(lossOf)(parameters);
      [parameters, state] = optimizer.update(gradient, state, parameters);
      await realize(loss, parameters, state);
      losses.push(await loss.item());
    }
    return { written, scores, losses };
  }

  it("writes, scores and trains an adapter as on WebAssembly", async () => {
    const files = await tinyFiles({ ...FAMILIES.llama!, num_hidden_layers: 1 });
    const on = async (...device: Parameters<typeof setDevice>) => {
      await setDevice(...device);
      return numbersOf(await loadModel(files, { dtype: "bfloat16" }));
    };
    const wanted = await on("wasm");
    const found = await on(...WEBGPU);
    expect(found.written).toEqual(wanted.written);
    for (const [i, score] of wanted.scores.entries()) expect(found.scores[i]).toBeCloseTo(score, 4);
    expect(wanted.losses[0]).toBeCloseTo(Math.LN2, 5);
    expect(wanted.losses[2]).toBeLessThan(wanted.losses[0]! - 1e-3);
    for (const [i, loss] of wanted.losses.entries()) expect(found.losses[i]).toBeCloseTo(loss, 4);
  });
});
