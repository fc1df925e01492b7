/**
 * A small trained Llama: what it writes, against transformers. It is read from `../shared/golden/models` where
 * that is there.
 */

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { generate, generateStream, loadModel, tensor, tokenLogProbs } from "../../src/index.js";

const TRAINED = new URL("../../../shared/golden/models/gsm-llama/", import.meta.url).pathname;

describe.skipIf(!existsSync(TRAINED))("a trained Llama", () => {
  it("writes transformers' greedy texts up to their end tokens, and their log-probabilities", async () => {
    const { model, parameters } = await loadModel(TRAINED);
    const own: TrainedGolden = JSON.parse(readFileSync(`${TRAINED}golden.json`, "utf8"));
    const options = { maxNewTokens: 64, stopTokens: [1023, 1021] };
    const prompts = own.greedy.map((one) => one.prompt_ids);
    const found = await generate(model, parameters, prompts, options);
    expect(found).toEqual(own.greedy.map((one) => one.new_ids));
    // The prompt is scored whole; the stream gives each token the same number.
    const [prompt, written] = [prompts[0]!, found[0]!];
    const text = tensor([[...prompt, ...written]], { dtype: "int32" });
    const scored = (await tokenLogProbs(model.apply(parameters, text), text).array()) as number[][];
    let place = prompt.length - 1;
    for await (const { logProb } of generateStream(model, parameters, [prompt], options)) {
      expect(Math.abs(logProb - scored[0]![place++]!)).toBeLessThan(5e-5);
    }
  });
});

interface TrainedGolden {
  readonly greedy: { readonly prompt_ids: number[]; readonly new_ids: number[] }[];
}
