/**
 * The loops with a model loaded from a directory, whose adapter is trained in each round.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { decodeTree, encodeTree } from "../../src/files/index.js";
import { apo, extrapolate, type LoopState, type Reward } from "../../src/methods/index.js";
import { type DecoderParameters, type LoadedModel, loadModel } from "../../src/models/index.js";
import { realize } from "../../src/tensor/evaluate.js";
import { treeNamed } from "../../src/tensor/tree.js";
import { tinyFiles, writeFiles } from "../models/tinyCheckpoint.js";
import { FAMILIES } from "../models/tinyFamilies.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";

let folder: string;
let lm: LoadedModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-loops-"));
  const config = { ...FAMILIES.qwen3!, vocab_size: 257, eos_token_id: 256 };
  await writeFiles(folder, {
    ...(await tinyFiles(config)),
    ...tokenizerFiles(byteLevel({ added: [{ content: "<end>" }] })),
  });
  lm = await loadModel(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("puts each round's adapter into the weights, and extrapolates these", async () => {
  const even: Reward = (_, completions) =>
    completions.map((text) => [...text].filter((c) => c.charCodeAt(0) % 2 === 0).length);
  const options = {
    lm,
    prompts: ["a", "bc", "d"],
    reward: even,
    rounds: 2,
    samples: 6,
    maxNewTokens: 4,
    lora: { rank: 2, alpha: 4, targets: ["q_proj"] },
    training: { learningRate: 1e-2, batchSize: 4, epochs: 1, saveEvery: 1 },
  };
  const ended: DecoderParameters[] = [];
  const files: Uint8Array[] = [];
  const { parameters, state } = await apo({
    ...options,
    onRound: (_, own) => {
      ended.push(own);
    },
    onSave: async (own) => {
      files.push(await encodeTree(own));
    },
  });
  const before = treeNamed(lm.parameters);
  const changed: string[] = [];
  for (const [name, weight] of Object.entries(treeNamed(parameters))) {
    const [own, first] = await Promise.all([weight.data(), before[name]!.data()]);
    if (own.some((value, i) => value !== first[i])) changed.push(name);
  }
  expect(changed.length).toBeGreaterThan(0);
  expect(changed.filter((name) => !/query/.test(name))).toEqual([]);
  const momentum = await realize(extrapolate(ended[1]!, ended[0]!, 0.3));
  expect(await encodeTree(state.policy)).toEqual(await encodeTree(momentum));
  expect(files.length).toBeGreaterThan(3);
  for (const bytes of files) {
    const from = await decodeTree<LoopState>(bytes);
    const again = await apo({ ...options, from });
    expect(await encodeTree(again.state)).toEqual(await encodeTree(state));
  }
});
