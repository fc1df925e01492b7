/**
 * Mistakes of the first hours, each with an error that says what to write instead.
 */

import { describe, expect, it } from "vitest";
import * as pg from "../src/index.js";

/** The library as JavaScript sees it: without types. */
const js = pg as unknown as Record<string, (...args: unknown[]) => unknown>;
const call =
  (name: string, ...args: unknown[]) =>
  () =>
    js[name]!(...args);

const x = pg.tensor([[1, 2]]);
const ids = pg.tensor([[1, 2]], { dtype: "int32" });
const model = pg.gpt({ vocabularySize: 5, contextLength: 4, width: 4, layers: 1, heads: 1 });
const parameters = model.init(0);

describe("a mistake names its remedy", () => {
  it.each<[mistake: string, act: () => unknown, remedy: string]>([
    [
      "ids as arrays, for log-probabilities",
      call("sequenceLogProbs", pg.zeros([1, 2, 5]), [[1, 2]], ids),
      "sequenceLogProbs: ids: expected a tensor, got an array; make one with tensor(…)",
    ],
    [
      "ids as arrays, for a model",
      () => model.apply(parameters, [[1, 2]] as never),
      "gpt: ids: expected a tensor, got an array; make one",
    ],
    [
      "ids of floating point",
      () => model.apply(parameters, x),
      'ids must be int32, not float32; write tensor(ids, { dtype: "int32" })',
    ],
    [
      "random numbers without a seed",
      call("randomNormal", [2]),
      "randomNormal: options must be an object { seed, mean, std, dtype }, got undefined",
    ],
    [
      "a layer without a seed",
      call("initLinear", 2, 3),
      "initLinear: options must be an object { seed, std, dtype }, got undefined",
    ],
    [
      "a seed forgotten",
      call("initMlp", 2, { std: 1 }),
      "initMlp: needs a seed, a number, a string or a generator, got undefined",
    ],
    [
      "an optimizer without options",
      call("sgd"),
      "sgd: options must be an object { learningRate, ",
    ],
    [
      "a tensor for a layer's parameters",
      call("linear", x, x),
      "linear: parameters.weight: expected a tensor, got undefined",
    ],
    [
      "the constructor",
      () => new pg.Tensor([1] as never),
      "new Tensor(…) is internal; write tensor(…)",
    ],
    ["a number for a function", call("grad", 5), "grad: expected a function, got 5"],
    [
      "a number for a function to compute again",
      call("checkpoint", 3),
      "checkpoint: expected a function, got 3",
    ],
    [
      "numbers for parameters",
      () => pg.valueAndGrad((p: pg.Tensor[]) => p[0]!)([1, 2] as never),
      "found the number 1 at 0; make it tensor(1)",
    ],
    [
      "a shape as a number",
      call("zeros", 3),
      "zeros: a shape is an array of integers ≥ 0, not 3; write [3]",
    ],
    ["a shape as a number, of ones", call("ones", 3), "ones: a shape is an array"],
    [
      "PyTorch's keepdim",
      call("sum", x, 0, { keepdim: true }),
      "sum: has no option `keepdim`; did you mean `keepDims`?",
    ],
    [
      "PyTorch's keepdim, of a position",
      call("argmax", x, 0, { keepdim: true }),
      "argmax: has no option `keepdim`; did you mean `keepDims`?",
    ],
    [
      "PyTorch's unbiased",
      call("std", x, 0, { unbiased: true }),
      "std: has no option `unbiased`; it has correction, keepDims",
    ],
    [
      "PyTorch's dim",
      call("mean", x, { dim: 0 }),
      "mean: axes are an integer or an array of them, got an object",
    ],
    [
      "dType",
      call("tensor", [1], { dType: "int32" }),
      "tensor: has no option `dType`; did you mean `dtype`?",
    ],
    [
      "an option of another function",
      call("zeros", [2], { shape: [2] }),
      "zeros: has no option `shape`; it has dtype",
    ],
    [
      "a name of another library",
      call("randomNormal", [2], { seed: 0, stddev: 1 }),
      "randomNormal: has no option `stddev`; did you mean `std`?",
    ],
    [
      "dropout of a model that has none",
      call("gpt", { ...model.config, dropout: 0.1 }),
      "gpt: has no option `dropout`; it has vocabularySize,",
    ],
    [
      "an option of init",
      () => model.init(0, { stdev: 1 } as never),
      "gpt.init: has no option `stdev`; did you mean `std`?",
    ],
    ["a model without a seed", () => (model.init as () => unknown)(), "gpt.init: needs a seed"],
    [
      "options of attention",
      call("causalSelfAttention", {}, x, 1, { causal: true }),
      "causalSelfAttention: has no option `causal`; did you mean `causalBlocks`?",
    ],
    [
      "options of gelu",
      call("gelu", x, { approximate: true }),
      'gelu: approximate must be one of "tanh", "none", got true',
    ],
    [
      "options of a recorder",
      () => new pg.DynamicsRecorder({ names: [] } as never),
      "DynamicsRecorder: has no option `names`; it has responses, title",
    ],
  ])("%s", (_, act, remedy) => {
    expect(act).toThrow(remedy);
  });

  it.each<[mistake: string, act: () => unknown, remedy: string]>([
    [
      "a text for prompts",
      call("generate", model, parameters, "hi", { maxNewTokens: 1 }),
      'generate: prompts must be an array of arrays of ids, got "hi"',
    ],
    [
      "a tensor for prompts",
      call("generate", model, parameters, ids, { maxNewTokens: 1 }),
      "generate: prompts must be an array of arrays of ids, got Tensor int32[1,2]",
    ],
    [
      "one prompt alone",
      call("generate", model, parameters, [1, 2], { maxNewTokens: 1 }),
      "generate: prompts must be an array of arrays of ids, got 1 at 0",
    ],
    [
      "no options of generate",
      call("generate", model, parameters, [[1]]),
      "generate: options must be an object { maxNewTokens",
    ],
    [
      "numBeams",
      call("generate", model, parameters, [[1]], { maxNewTokens: 1, numBeams: 4 }),
      "generate: has no option `numBeams`",
    ],
    [
      "a text to evaluate",
      call("realize", "x"),
      'realize: expected tensors or trees of them, got "x"',
    ],
    [
      "what is no tree, for its plan",
      call("explain", "x"),
      'explain: expected tensors or trees of them, got "x"',
    ],
    [
      "a debugging aid that is none",
      call("setDebug", { nan: true }),
      "setDebug: has no option `nan`; it has checkFinite",
    ],
    ["cpu", call("setDevice", "cpu"), 'setDevice: unknown device "cpu"; did you mean "wasm"?'],
    ["cuda", call("setDevice", "cuda"), 'setDevice: unknown device "cuda"; did you mean "gpu"?'],
    [
      "an option of no device",
      call("setDevice", "wasm", { nThreads: 2 }),
      "setDevice: wasm: has no option `nThreads`",
    ],
    [
      "a mask as an array",
      call("packBatch", ids, [[1, 1]]),
      "packBatch: mask: expected a tensor, got an array",
    ],
    [
      "options of packing",
      call("packBatch", ids, ids, { multiple: 8 }),
      "packBatch: has no option `multiple`; did you mean `multipleOf`?",
    ],
    [
      "a bilevel step without a method",
      call("bilevelStep", {}, {}),
      "bilevelStep: takes (problem, variables, { method, … }), got undefined for the options",
    ],
    [
      "options of a gradient check",
      call("checkGradients", () => x, [x], { tol: 1 }),
      "checkGradients: has no option `tol`; did you mean `tolerance`?",
    ],
  ])("%s", async (_, act, remedy) => {
    await expect(act()).rejects.toThrow(remedy);
  });
});

it("a tensor that is cloned says what to send instead", async () => {
  const kept = await pg.realize(pg.tensor([1]).add(1));
  for (const t of [pg.tensor([1, 2]), pg.zeros([2]), pg.tensor([5]).sum(), kept]) {
    expect(() => structuredClone({ model: [t] })).toThrow("a tensor: use encodeTree");
  }
});

it("a tensor has no property that could be read as its value", () => {
  const [leaf, constant, computed] = [pg.tensor(3), pg.full([2], 7), pg.tensor([5]).sum()];
  for (const t of [leaf, constant, computed]) {
    for (const [name, value] of Object.entries(t)) {
      // What begins with a line is the library's own.
      if (!name.startsWith("_")) expect(typeof value, name).not.toBe("number");
    }
  }
});
