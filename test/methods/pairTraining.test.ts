/**
 * Training on pairs as rounds do it: what depends on the loop's seed.
 */

import { describe, expect, it } from "vitest";
import { encodeTree } from "../../src/files/index.js";
import { trainedOn } from "../../src/methods/pairTraining.js";
import { gpt } from "../../src/models/gpt.js";

const model = gpt({ vocabularySize: 7, contextLength: 12, width: 8, layers: 1, heads: 2 });
const rows = [0, 1, 2, 3].map((row) => ({
  row,
  promptIds: [1, row],
  chosenIds: [2, 3, 4, 5, row],
  rejectedIds: [5, 4, 3, 6, 2, row],
}));

const bits = async (loss: "sgdpo" | "sigmoid", seed: string) => {
  const { parameters } = await trainedOn({
    lm: { model, parameters: model.init(1) },
    ...{ rows, loss, lossOptions: {}, spo: undefined, lora: undefined, seed },
    training: { learningRate: 1e-2, batchSize: 2, epochs: 1 },
    from: null,
    signal: undefined,
    onStep: () => undefined,
    onSave: () => undefined,
  });
  return encodeTree(parameters);
};

describe("training on pairs", () => {
  it("draws SGDPO's tokens by the seed, and nothing by it where nothing is drawn", async () => {
    expect(await bits("sgdpo", "1 0")).toEqual(await bits("sgdpo", "1 0"));
    expect(await bits("sgdpo", "1 0")).not.toEqual(await bits("sgdpo", "1 1"));
    expect(await bits("sgdpo", "1 0")).not.toEqual(await bits("sgdpo", "2 0"));
    expect(await bits("sigmoid", "1 0")).toEqual(await bits("sigmoid", "2 0"));
  });
});
