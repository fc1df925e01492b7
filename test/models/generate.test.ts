import { describe, expect, it } from "vitest";
import { generate, generateStream } from "../../src/models/generate.js";
import { gpt } from "../../src/models/gpt.js";
import type { LanguageModel } from "../../src/models/languageModel.js";
import { oneHot } from "../../src/ops/indexing.js";
import { ones, tensor } from "../../src/tensor/create.js";
import { deviceStatistics } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const V = 6;
const model = gpt({ vocabularySize: V, contextLength: 12, width: 8, layers: 2, heads: 2 });
const parameters = model.init(4, { std: 0.5 });
const prompts = [[1, 2, 3], [4], [5, 0, 5, 0, 1]];

/** A model whose logits after token i are row i of a matrix. */
const markov: LanguageModel<Tensor> = {
  config: { vocabularySize: V, contextLength: 1000 },
  hidden: (_, ids) => oneHot(ids, V),
  headWeight: (logits) => logits.transpose(),
};

/** After i comes i + 1. */
const counting = tensor(
  Array.from({ length: V }, (_, i) =>
    Array.from({ length: V }, (_, j) => Number(j === (i + 1) % V)),
  ),
);

describe("generate", () => {
  it("follows the likeliest token", async () => {
    const found = await generate(markov, counting, [[0], [2, 4]], { maxNewTokens: 4 });
    expect(found).toEqual([
      [1, 2, 3, 4],
      [5, 0, 1, 2],
    ]);
  });

  it("takes the lower of two equally likely tokens", async () => {
    const flat = tensor(new Float32Array(V * V), { shape: [V, V] });
    expect(await generate(markov, flat, [[3]], { maxNewTokens: 2 })).toEqual([[0, 0]]);
  });

  it("chooses among more tokens than a call takes arguments", async () => {
    const vocabularySize = 200_000;
    const wide: LanguageModel<Tensor> = {
      config: { vocabularySize, contextLength: 10 },
      hidden: (_, { shape: [batch, length] }) => ones([batch!, length!, 1]),
      headWeight: (column) => column,
    };
    const favourite = 150_000;
    const column = oneHot(tensor([favourite], { dtype: "int32" }), vocabularySize).transpose();
    for (const options of [{}, { temperature: 0.01, topK: 3 }]) {
      const found = await generate(wide, column, [[0], [7]], { maxNewTokens: 2, ...options });
      expect(found).toEqual([
        [favourite, favourite],
        [favourite, favourite],
      ]);
    }
  });

  it("chooses greedily what applying the model to the growing text chooses", async () => {
    const found = await generate(model, parameters, prompts, { maxNewTokens: 4 });
    for (const [row, prompt] of prompts.entries()) {
      const text = [...prompt];
      for (let i = 0; i < 4; i++) {
        const logits = model.apply(parameters, tensor([text], { dtype: "int32" }));
        text.push(await logits.slice(0, -1).argmax().item());
      }
      expect(found[row]).toEqual(text.slice(prompt.length));
    }
  });

  it("gives a prompt the same continuation alone and in a batch", async () => {
    const together = await generate(model, parameters, prompts, { maxNewTokens: 5 });
    const alone = await generate(model, parameters, [prompts[1]!], { maxNewTokens: 5 });
    expect(together[1]).toEqual(alone[0]);
  });

  it("ends a continuation with the stop token, and goes on with the others", async () => {
    const options = { maxNewTokens: 5, stopTokens: 3 };
    expect(await generate(markov, counting, [[1], [3], [5]], options)).toEqual([
      [2, 3],
      [4, 5, 0, 1, 2],
      [0, 1, 2, 3],
    ]);
  });

  it("takes several stop tokens", async () => {
    const options = { maxNewTokens: 5, stopTokens: [3, 5] };
    expect(await generate(markov, counting, [[1], [3]], options)).toEqual([
      [2, 3],
      [4, 5],
    ]);
  });

  it("ends a continuation with the token that completes a stop string", async () => {
    const tokenizer = { decode: (ids: number[]) => ids.map((id) => "ab cde"[id]).join("") };
    const options = { maxNewTokens: 9, tokenizer };
    expect(await generate(markov, counting, [[0], [3]], { ...options, stopStrings: "cd" })).toEqual(
      [
        [1, 2, 3, 4],
        [4, 5, 0, 1, 2, 3, 4],
      ],
    );
    const several = { ...options, stopStrings: ["zz", "ea", " "] };
    expect(await generate(markov, counting, [[0], [3]], several)).toEqual([
      [1, 2],
      [4, 5, 0],
    ]);
  });

  it.each([[new Set([3, 5])], [Int32Array.of(3, 5)], [[3, 5].values()]])(
    "takes stop tokens from %s",
    async (stopTokens) => {
      const options = { maxNewTokens: 5, stopTokens };
      const found = await generate(markov, counting, [[1], [3]], options);
      expect(found).toEqual([
        [2, 3],
        [4, 5],
      ]);
    },
  );

  it("stops at a generation config's end tokens where no stop tokens are given", async () => {
    const generationConfig = { eosTokenIds: [3, 5], temperature: 100, doSample: true };
    const stopped = (own: object) =>
      generate(markov, counting, [[1], [3]], { maxNewTokens: 3, generationConfig, ...own });
    expect(await stopped({})).toEqual([
      [2, 3],
      [4, 5],
    ]);
    expect(await stopped({ stopTokens: 2 })).toEqual([[2], [4, 5, 0]]);
    expect(await stopped({ stopTokens: [] })).toEqual([
      [2, 3, 4],
      [4, 5, 0],
    ]);
  });

  it("leaves special tokens out of a stream's text, and finds stop strings in the text with them", async () => {
    const tokenizer = {
      decode: (ids: number[], { skipSpecialTokens = false } = {}) =>
        ids.map((id) => (id !== 3 ? "abc"[id] : skipSpecialTokens ? "" : "<end>")).join(""),
    };
    const streamed = async (own: object) => {
      const options = { maxNewTokens: 3, tokenizer, ...own };
      const found = [];
      for await (const { token, text } of generateStream(markov, counting, [[0]], options)) {
        found.push([token, text]);
      }
      return found;
    };
    const plain = [
      [1, "b"],
      [2, "c"],
      [3, ""],
    ];
    const special = [...plain.slice(0, 2), [3, "<end>"]];
    expect(await streamed({})).toEqual(plain);
    expect(await streamed({ skipSpecialTokens: false })).toEqual(special);
    expect(await streamed({ maxNewTokens: 9, stopStrings: "<end>" })).toEqual(plain);
  });

  it("draws from a seed of the row's own the same alone and at another place", async () => {
    const sample = (given: number[][], seed: (number | string)[]) =>
      generate(model, parameters, given, { maxNewTokens: 7, temperature: 1, seed });
    const together = await sample(prompts, [7, "x", 9]);
    expect(await sample([prompts[1]!], ["x"])).toEqual([together[1]]);
    expect(await sample([...prompts].reverse(), [9, "x", 7])).toEqual([...together].reverse());
    expect((await sample(prompts, [7, "y", 9]))[1]).not.toEqual(together[1]);
  });

  it("streams tokens with their text and log-probability, whatever they were chosen by", async () => {
    const tokenizer = { decode: (ids: number[]) => ids.map((id) => "ab cde"[id]).join("") };
    const options = { maxNewTokens: 2, tokenizer, temperature: 0.01, repetitionPenalty: 1.1 };
    const found = [];
    for await (const token of generateStream(markov, counting, [[0], [3]], options)) {
      found.push(token);
    }
    expect(found.map(({ row, token, text }) => [row, token, text])).toEqual([
      [0, 1, "b"],
      [1, 4, "d"],
      [0, 2, " "],
      [1, 5, "e"],
    ]);
    for (const { logProb } of found) expect(logProb).toBeCloseTo(1 - Math.log(Math.E + 5), 6);
  });

  it("checks before the stream's first token is asked for", () => {
    expect(() => generateStream(markov, counting, [[]], { maxNewTokens: 1 })).toThrow(
      "generate: prompt 0 is empty",
    );
  });

  it("samples the same with the same seed, otherwise with another", async () => {
    const sample = (seed: number) =>
      generate(model, parameters, prompts, { maxNewTokens: 7, temperature: 1, seed });
    const first = await sample(1);
    expect(await sample(1)).toEqual(first);
    expect(await sample(2)).not.toEqual(first);
  });

  it("samples tokens as often as softmax(logits/temperature) says", async () => {
    const logits = [0.1, 1.2, -0.7, 0.4, -2, 0.9];
    const rows = tensor(Array.from({ length: V }, () => logits));
    const count = 400;
    const many = Array.from({ length: count }, () => [0]);
    const drawn = (
      await generate(markov, rows, many, { maxNewTokens: 10, temperature: 0.7 })
    ).flat();
    const weights = logits.map((x) => Math.exp(x / 0.7));
    const total = weights.reduce((s, w) => s + w, 0);
    for (const [token, weight] of weights.entries()) {
      const p = weight / total;
      const share = drawn.filter((x) => x === token).length / drawn.length;
      // Five standard errors.
      expect(Math.abs(share - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / drawn.length));
    }
  });

  it("samples among the topK likeliest tokens only", async () => {
    const rows = tensor(Array.from({ length: V }, () => [0, 1, 0.9, 0, 0.95, 0]));
    const many = Array.from({ length: 100 }, () => [0]);
    const options = { maxNewTokens: 3, temperature: 5, topK: 3 };
    const drawn = (await generate(markov, rows, many, options)).flat();
    expect(new Set(drawn)).toEqual(new Set([1, 2, 4]));
    const greedy = await generate(markov, counting, [[0]], { ...options, topK: 1 });
    expect(greedy).toEqual([[1, 2, 3]]);
  });

  it("comes to the greedy text as the temperature goes to 0", async () => {
    const greedy = await generate(model, parameters, prompts, { maxNewTokens: 6 });
    const cold = await generate(model, parameters, prompts, { maxNewTokens: 6, temperature: 1e-6 });
    expect(cold).toEqual(greedy);
  });

  it("uses one plan for the prompts and one for all tokens after them, in later calls of the same size, too", async () => {
    const own = gpt({ ...model.config, width: 4 });
    const before = (await deviceStatistics()).plansCompiled;
    const weights = own.init(0);
    await generate(own, weights, prompts, { maxNewTokens: 6 });
    await generate(own, weights, prompts, { maxNewTokens: 6, temperature: 1 });
    expect((await deviceStatistics()).plansCompiled - before).toBe(2);
  });

  it("makes nothing of nothing", async () => {
    expect(await generate(model, parameters, [], { maxNewTokens: 3 })).toEqual([]);
    expect(await generate(model, parameters, [[1], [2]], { maxNewTokens: 0 })).toEqual([[], []]);
  });

  it.each([
    [[[1], []], { maxNewTokens: 1 }, "prompt 1 is empty; it needs at least one token"],
    [[[1, 6]], { maxNewTokens: 1 }, "id 6 of prompt 0 is outside the vocabulary 0 … 5"],
    [[[1.5]], { maxNewTokens: 1 }, "id 1.5 of prompt 0 is outside the vocabulary"],
    [
      [[1, 2, 3]],
      { maxNewTokens: 10 },
      "prompt 0 (3 tokens) and 10 new tokens exceed the context of 12",
    ],
    [[[1]], { maxNewTokens: -1 }, "maxNewTokens must be an integer ≥ 0, got -1"],
    [[[1]], { maxNewTokens: 1, temperature: -1 }, "temperature must be a number ≥ 0, got -1"],
    [[[1]], { maxNewTokens: 1, topK: 0 }, "topK must be an integer ≥ 1, got 0"],
    [[[1]], { maxNewTokens: 1, topP: 0 }, "topP must be a number in (0, 1], got 0"],
    [[[1]], { maxNewTokens: 1, minP: 1.5 }, "minP must be a number in [0, 1], got 1.5"],
    [
      [[1]],
      { maxNewTokens: 1, repetitionPenalty: 0 },
      "repetitionPenalty must be a number > 0, got 0",
    ],
    [[[1]], { maxNewTokens: 1, stopTokens: [2, 0.5] }, "stopTokens must be ids, got 0.5"],
    [[[1]], { maxNewTokens: 1, stopTokens: null as never }, "stopTokens must be ids, got null"],
    [[[1]], { maxNewTokens: 1, stopTokens: "ab" as never }, 'stopTokens must be ids, got "ab"'],
    [
      [[1]],
      { maxNewTokens: 1, generationConfig: {} as never },
      "generationConfig.eosTokenIds must be ids, got undefined",
    ],
    [[[1]], { maxNewTokens: 1, seed: {} as never }, "seed must be a number or a string, or a list"],
    [[[1], [2]], { maxNewTokens: 1, seed: [1] }, "seed must be a number or a string, or a list of"],
    [[[1]], { maxNewTokens: 1, seed: [{}] as never }, "seed must be a number or a string, or a"],
    [[[1]], { maxNewTokens: 1, skipSpecialTokens: 1 as never }, "skipSpecialTokens must be true"],
    [[[1]], { maxNewTokens: 1, stopStrings: "a" }, "stopStrings need the option tokenizer"],
    [[[1]], { maxNewTokens: 1, stopStrings: ["a", ""] }, "stopStrings must be strings that are"],
    [[[1]], { maxNewTokens: 1, tokenizer: {} as never }, "tokenizer must have a function decode"],
    [[[1]], { maxNewTokens: 1, stopToken: 2 } as never, "has no option `stopToken`; did you mean"],
  ])("refuses %j with %j", async (given, options, message) => {
    await expect(generate(model, parameters, given, options)).rejects.toThrow(
      `generate: ${message}`,
    );
  });

  it("says that logits are NaN instead of choosing among them", async () => {
    const broken = counting.mul(Number.NaN);
    await expect(generate(markov, broken, [[0]], { maxNewTokens: 1 })).rejects.toThrow(
      "generate: the model's logits are NaN",
    );
  });
});
