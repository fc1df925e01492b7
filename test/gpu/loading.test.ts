/** Model directories on a GPU: matrices that arrive in pieces, and those no buffer can hold. */

import { beforeAll, expect, it } from "vitest";
import { encodeHeader } from "../../src/files/header.js";
import { loadModel, setDevice, type Tensor } from "../../src/index.js";
import { TINY, tinyFiles, tinyTensors } from "../models/tinyCheckpoint.js";
import { expectWebGpu } from "./platform.js";

await expectWebGpu();
beforeAll(() => setDevice("gpu", { backend: "webgpu" }));

it("writes large matrices in pieces", async () => {
  const config = { ...TINY.qwen3, intermediate_size: 70_000, num_hidden_layers: 1 };
  const expected = tinyTensors(config);
  const { parameters } = await loadModel(await tinyFiles(config, expected));
  const { gate } = parameters.blocks[0]!.mlp as { gate: { weight: Tensor } };
  const file = expected["model.layers.0.mlp.gate_proj.weight"]!;
  expect(await gate.weight.sub(file.transpose()).abs().max().item()).toBe(0);
});

it("refuses a matrix beyond the limit of a buffer by its name, before it is read", async () => {
  const vocabulary = 2 ** 27;
  const shapes = Object.entries(tinyTensors({ ...TINY.qwen3, tie_word_embeddings: true })).map(
    ([name, { shape }]) => {
      const own = name === "model.embed_tokens.weight" ? [vocabulary, 16] : shape;
      return [name, "F32", own, 4 * own.reduce((a, b) => a * b, 1)] as const;
    },
  );
  const header = encodeHeader({}, shapes);
  const weights = {
    size: header.length + shapes.reduce((sum, [, , , bytes]) => sum + bytes, 0),
    slice: (from: number, to: number) => ({
      arrayBuffer: async () => header.slice(from, to).buffer,
    }),
  };
  const config = { ...TINY.qwen3, tie_word_embeddings: true, vocab_size: vocabulary };
  const json = new TextEncoder().encode(JSON.stringify(config));
  await expect(loadModel({ "config.json": json, "model.safetensors": weights })).rejects.toThrow(
    /model\.embed_tokens\.weight takes 8589934592 bytes.*gpu device allows.*setDevice\("wasm"\)/,
  );
});
