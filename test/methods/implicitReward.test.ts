/**
 * The implicit reward against logarithms of known probabilities, and against another way to log-probabilities.
 */

import { describe, expect, it } from "vitest";
import { promptTokenizer } from "../../src/data/tokens.js";
import {
  fullPolicy,
  gpt,
  implicitReward,
  initLora,
  type LoadedModel,
  loadModel,
  logSoftmax,
  loraPolicy,
  matmul,
  type Reward,
  rso,
  type Tokenizer,
  tensor,
  treeMap,
  withLora,
} from "../../src/index.js";
import type { DecoderParameters } from "../../src/models/decoder.js";
import { TINY, tinyFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";
import { tableOf, tabularModel } from "./tabular.js";

const model = tabularModel(3);
const policy = fullPolicy({ model, parameters: tableOf([0.5, 0.3, 0.2]) });
const reference = fullPolicy({ model, parameters: tableOf([0.2, 0.3, 0.5]) });

describe("implicitReward", () => {
  it("is β times the log-ratio, summed over tokens", async () => {
    const reward = implicitReward({ policy, reference });
    const completions = [[0], [2], [1], [0, 0, 1], [2, 2, 2, 0], []];
    const ln = Math.log(2.5);
    const wanted = [ln, -ln, 0, 2 * ln, -2 * ln, 0];
    const found = Array.from(await reward([1], completions));
    for (const [i, value] of found.entries()) expect(value).toBeCloseTo(0.1 * wanted[i]!, 12);
    const steep = implicitReward({ policy, reference, beta: 2, batchSize: 1 });
    const other = Array.from(await steep([1, 2], completions));
    for (const [i, value] of other.entries()) expect(value).toBeCloseTo(2 * wanted[i]!, 12);
    expect(await reward([1], [])).toEqual([]);
    expect(await reward([1], [[], []])).toEqual([0, 0]);
    // A policy against itself has nothing to say.
    expect(await implicitReward({ policy, reference: policy })([1], [[0, 2]])).toEqual([0]);
  });

  it("is a reward of rso", async () => {
    const small = gpt({ vocabularySize: 5, contextLength: 6, width: 8, layers: 1, heads: 2 });
    const parameters = small.init(0);
    const from = fullPolicy({ model: small, parameters: small.init(1) });
    const reward = implicitReward({
      policy: from,
      reference: fullPolicy({ model: small, parameters }),
    });
    const { rounds } = await rso({
      ...{ lm: { model: small, parameters }, prompts: [[1], [2]], reward },
      ...{ samples: 4, accepted: 2, maxNewTokens: 3, training: { learningRate: 1e-3, epochs: 1 } },
    });
    expect(Number.isFinite(rounds[0]!.reward) && rounds[0]!.reward !== 0).toBe(true);
  });

  describe("of texts", async () => {
    const json = byteLevel({ added: [{ content: "<end>" }] });
    const config = { ...TINY.qwen3, vocab_size: 257, eos_token_id: 256 };
    const files = {
      ...(await tinyFiles(config)),
      ...tokenizerFiles(json, { eos_token: "<end>" }),
    };
    const named = Object.entries(files).map(([name, bytes]) => new File([bytes as BlobPart], name));
    const lm = (await loadModel(named)) as LoadedModel & { readonly tokenizer: Tokenizer };
    const started = initLora(lm, { rank: 2, alpha: 4, targets: "all-linear", seed: 1 });
    const adapter = { ...started, parameters: treeMap((t) => t.add(0.03), started.parameters) };
    const texts = ["cd", "", "naïve"];

    /** log p of a completion, from all logits. */
    async function logProb(parameters: DecoderParameters, prompt: number[], ids: number[]) {
      const all = tensor([[...prompt, ...ids]], { dtype: "int32" });
      const head = lm.model.headWeight(parameters).transpose();
      const logits = matmul(lm.model.hidden(parameters, all), head);
      const [found] = (await logSoftmax(logits).array()) as number[][][];
      return ids.reduce((sum, id, t) => sum + found![prompt.length + t - 1]![id]!, 0);
    }

    it("has the tokens that training would see, the end token included", async () => {
      const own: Reward = implicitReward({
        policy: loraPolicy(lm, adapter),
        reference: fullPolicy(lm),
        tokenizer: lm.tokenizer,
      });
      const found = await own("ab", texts);
      const row = { implicit: false, repeated: false, variables: {} };
      const { promptIds, completionIds } = promptTokenizer(
        lm.tokenizer,
        "safe",
      )({
        ...row,
        prompt: "ab",
        completions: texts,
      });
      expect(completionIds.map((ids) => ids.at(-1))).toEqual([256, 256, 256]);
      for (const [i, ids] of completionIds.entries()) {
        const after = await logProb(withLora(lm, adapter), [...promptIds], [...ids]);
        const before = await logProb(lm.parameters, [...promptIds], [...ids]);
        expect(Math.abs(after - before)).toBeGreaterThan(1e-3);
        expect(found[i]).toBeCloseTo(0.1 * (after - before), 4);
      }
      await expect(own([1] as never, texts)).rejects.toThrow(
        "implicitReward: the prompt must be a text, since there is a tokenizer, got",
      );
    });
  });

  it("refuses what it cannot be made of", async () => {
    expect(() => implicitReward({ policy: model as never, reference })).toThrow(
      /^implicitReward: policy must be what fullPolicy\(lm\) or loraPolicy/,
    );
    expect(() => implicitReward({ policy, reference: undefined as never })).toThrow(/fullPolicy/);
    expect(() => implicitReward({ policy, reference, beta: 0 })).toThrow(
      "implicitReward: beta must be a number > 0, got 0",
    );
    expect(() => implicitReward({ policy, reference, batchSize: 0 })).toThrow(/batchSize/);
    expect(() => implicitReward({ policy, reference, tokenizer: 3 as never })).toThrow(
      /implicitReward: tokenizer must be one of loadTokenizer/,
    );
    expect(() => implicitReward({ policy, reference, β: 1 } as never)).toThrow(/has no option/);
    await expect(implicitReward({ policy, reference })("ab" as never, [])).rejects.toThrow(
      'implicitReward: the prompt must be ids; for texts give the option tokenizer, got "ab"',
    );
    await expect(implicitReward({ policy, reference })([1], [[7]])).rejects.toThrow(
      /the token id 7, but the model's are 0 … 2/,
    );
  });
});
