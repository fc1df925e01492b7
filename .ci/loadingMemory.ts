/**
 * How much memory `loadModel` takes: models of 600 MB in float32 are made in a temporary folder and
 * loaded in processes of their own, from `dist/`. Fails if the peak of a process, less an empty one's, is more
 * than 1.25 times the weights.
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, open, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeHeader } from "../src/files/header.js";
import { parameterTree } from "../src/models/decoder.js";
import { readConfig } from "../src/models/families/index.js";
import { randomGenerator } from "../src/tensor/random.js";
import { megabytes, peak } from "./peakMemory.js";

const MOST = 1.25;
const CONFIG = {
  model_type: "llama",
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 5,
  num_attention_heads: 16,
  num_key_value_heads: 16,
  vocab_size: 32000,
  max_position_embeddings: 2048,
  tie_word_embeddings: false,
};

/** The tensors of the checkpoint, and their shapes in it. */
const { config, family } = readConfig(CONFIG);
const shapes = new Map<string, readonly number[]>();
parameterTree(config, (_, shape, path) => shapes.set(path, shape));
const tensors = family.tensors(config).map(({ name, path, transposed }) => {
  const shape = shapes.get(path)!;
  return { name, shape: transposed ? [...shape].reverse() : shape };
});
const elements = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const weights = 4 * tensors.reduce((sum, { shape }) => sum + elements(shape), 0);

/** Numbers of about 1/32 that fill a megabyte of the type; files repeat them. */
function numbers(dtype: "F32" | "BF16"): Uint8Array {
  const random = randomGenerator("loading memory");
  const floats = Float32Array.from({ length: 2 ** 19 }, () => (random() - 0.5) / 16);
  if (dtype === "F32") return new Uint8Array(floats.buffer);
  return new Uint8Array(
    Uint16Array.from(new Uint32Array(floats.buffer), (bits) => bits >> 16).buffer,
  );
}

async function writeShard(
  path: string,
  shard: typeof tensors,
  dtype: "F32" | "BF16",
): Promise<void> {
  const each = dtype === "F32" ? 4 : 2;
  const block = numbers(dtype);
  const file = await open(path, "w");
  const entries = shard.map(
    ({ name, shape }) => [name, dtype, shape, each * elements(shape)] as const,
  );
  await file.writeFile(encodeHeader({}, entries));
  for (const [, , , bytes] of entries) {
    for (let done = 0; done < bytes; done += block.length) {
      await file.writeFile(block.subarray(0, Math.min(block.length, bytes - done)));
    }
  }
  await file.close();
}

async function writeModel(path: string, dtype: "F32" | "BF16", shards: number): Promise<void> {
  await mkdir(path);
  await writeFile(join(path, "config.json"), JSON.stringify(CONFIG));
  if (shards === 1) return writeShard(join(path, "model.safetensors"), tensors, dtype);
  const map: Record<string, string> = {};
  for (let i = 0; i < shards; i++) {
    const shard = tensors.filter((_, place) => place % shards === i);
    const name = `model-${i + 1}-of-${shards}.safetensors`;
    for (const tensor of shard) map[tensor.name] = name;
    await writeShard(join(path, name), shard, dtype);
  }
  await writeFile(join(path, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
}

const library = fileURLToPath(new URL("../dist/index.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "prefgrad-memory-"));
let failed = false;
try {
  const empty = peak("");
  console.log(`weights in float32 ${megabytes(weights)}, an empty process ${megabytes(empty)}`);
  for (const dtype of ["F32", "BF16"] as const) {
    for (const shards of [1, 3]) {
      const path = join(folder, "model");
      await writeModel(path, dtype, shards);
      const used = peak(
        `import { loadModel } from ${JSON.stringify(library)};
        const loaded = await loadModel(${JSON.stringify(path)});`,
      );
      rmSync(path, { recursive: true });
      const ratio = (used - empty) / weights;
      failed ||= ratio > MOST;
      console.log(
        `${dtype} in ${shards} files: ${megabytes(used - empty)}, ${ratio.toFixed(3)} of the weights`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (failed) {
  console.error(`loading takes more than ${MOST} times the weights`);
  process.exit(1);
}
