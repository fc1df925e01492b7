/**
 * Models in the directories transformers reads: what {@link loadModel} loaded, with other parameters.
 * @module
 */

import { checkChoice, checkCount, checkOptions } from "../checks.js";
import { type FileToWrite, textPieces, writeAtomically } from "../files/atomic.js";
import type { FloatFileType } from "../files/narrow.js";
import {
  type DirectoryTarget,
  type OutputDirectory,
  outputDirectory,
} from "../files/outputDirectory.js";
import { type StoredTensor, safetensorsPieces } from "../files/safetensors.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import { treeNamed } from "../tensor/tree.js";
import { parameterShapes } from "./decoder.js";
import type { ConfigJson } from "./families/configReader.js";
import { familyOf } from "./families/index.js";
import { INDEX, type LoadedModel, WHOLE } from "./loadModel.js";
import { hasFile, type ModelFiles } from "./modelFiles.js";

/** Types of weights in files. */
const TYPES = {
  float64: { type: "F64", bytes: 8 },
  float32: { type: "F32", bytes: 4 },
  float16: { type: "F16", bytes: 2 },
  bfloat16: { type: "BF16", bytes: 2 },
} as const satisfies Record<string, { type: FloatFileType; bytes: number }>;

/** Options of {@link saveModel}. */
export interface SaveModelOptions {
  /** Of the weights in the file, rounded to the nearest; default: the parameters' own. */
  readonly dtype?: keyof typeof TYPES;
  /** Bytes of weights in a file, at most, but for a single larger one; default 5·10⁹. */
  readonly maxShardSize?: number;
}

/** What is copied as it came. */
const COPIED = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
];

/**
 * Writes a model as transformers does, so that `AutoModelForCausalLM.from_pretrained(directory)` and {@link loadModel}
 * read it: the `config.json` it came with, but for the dtype; generation config and tokenizer as they came;
 * weights under transformers' names, without a tied head. What another model's tokenizer left there is removed.
 *
 * One tensor is in memory at a time. Everything is complete beside the old files before the first of them is
 * replaced, and the weights come last: a failure leaves the old model.
 *
 * @param directory A path (Node), which is made, or a handle of a browser's directory.
 * @param lm What {@link loadModel} gave, with the parameters to save: `{ ...lm, parameters }`.
 * @throws (the returned promise rejects) for parameters that are not the model's or hold an adapter, for weights
 * beyond the dtype's largest number, naming the tensor, and for a directory that holds an adapter.
 * @example await saveModel("runs/merged", { ...lm, parameters: mergeLora(lm, adapter) }, { dtype: "bfloat16" });
 */
export async function saveModel(
  directory: DirectoryTarget,
  lm: LoadedModel,
  options: SaveModelOptions = {},
): Promise<void> {
  checkOptions("saveModel", options, "dtype", "maxShardSize");
  const own = lm.parameters.finalNorm.weight.dtype as "float32" | "float64";
  const { dtype = own, maxShardSize = 5e9 } = options;
  checkChoice("saveModel", "dtype", dtype, Object.keys(TYPES));
  checkCount("saveModel", "maxShardSize", maxShardSize, 1);
  const { type, bytes } = TYPES[dtype];
  const tensors = tensorsOf(lm).map((entry) => ({ ...entry, type }));
  const shards = shardsOf(tensors, bytes, maxShardSize);
  const copied = await present(lm.files);
  const output = await outputDirectory(directory);
  await refuseAdapter(output, directory);
  const old = await oldShards(output);

  const files: FileToWrite[] = [];
  const add = async (name: string, pieces: FileToWrite[1]) =>
    files.push([await output.target(name), pieces]);
  for (const name of copied) await add(name, copyPieces(lm.files, name));
  await add("config.json", textPieces(jsonText(withDtype(lm.configJson, dtype))));
  const names = shardNames(shards.length, old);
  for (const [i, shard] of shards.entries()) {
    await add(names[i]!, safetensorsPieces(shard, { format: "pt" }));
  }
  if (shards.length > 1) {
    await add(INDEX, textPieces(jsonText(indexOf(shards, names, bytes))));
  }
  await writeAtomically(files);
  // Whoever finds one file of weights does not look for others.
  await output.remove(shards.length > 1 ? WHOLE : INDEX);
  for (const name of old) if (!names.includes(name)) await output.remove(name);
  // The tokenizer's files of another model are no part of this one.
  for (const name of COPIED) if (!copied.includes(name)) await output.remove(name);
}

/** Transformers applies an adapter that is beside a model. */
async function refuseAdapter(output: OutputDirectory, directory: DirectoryTarget): Promise<void> {
  const file = await output.open("adapter_config.json");
  if (!file) return;
  await file.close();
  const where = typeof directory === "string" ? directory : "the directory";
  throw new TypeError(
    `saveModel: ${where} holds adapter_config.json, and transformers would load the adapter with its base model ` +
      "in place of these weights; save the model in another directory",
  );
}

/** A model's tensors under their names in files. */
function tensorsOf({ model: { config }, parameters, modelType }: LoadedModel): StoredTensor[] {
  const found = new Map(Object.entries(treeNamed(parameters)));
  const adapted = [...found.keys()].find((path) => path.endsWith(".lora.A"));
  if (adapted) {
    throw new TypeError(
      `saveModel: the parameters hold an adapter at ${adapted}; saveAdapter saves it alone, mergeLora makes it a part of the weights`,
    );
  }
  const shapes = parameterShapes(config);
  const tensors = familyOf(modelType)
    .tensors(config)
    .map(({ name, path, transposed }) => {
      const tensor = found.get(path);
      const shape = shapes.get(path)!;
      if (tensor && sameShape(tensor.shape, shape)) return { name, tensor, transposed };
      throw new TypeError(
        `saveModel: parameters.${path} is ${tensor ? `of shape ${formatShape(tensor.shape)}` : "missing"}; ` +
          `the model has ${formatShape(shape)}`,
      );
    });
  const unknown = [...found.keys()].find((path) => !shapes.has(path));
  if (unknown) {
    throw new TypeError(
      `saveModel: the model has no parameters.${unknown}` +
        (unknown.startsWith("head.") ? ": its head is the token embedding" : ""),
    );
  }
  return tensors;
}

/** The tensors, in order, in files of at most so many bytes. */
function shardsOf(
  tensors: readonly StoredTensor[],
  bytesPerElement: number,
  limit: number,
): readonly (readonly StoredTensor[])[] {
  const shards: StoredTensor[][] = [[]];
  let size = 0;
  for (const entry of tensors) {
    const bytes = entry.tensor.size * bytesPerElement;
    if (size > 0 && size + bytes > limit) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)!.push(entry);
    size += bytes;
  }
  return shards;
}

/** Names of files of weights. None is an old shard's, which the old index goes on to name until the new one is there. */
function shardNames(count: number, old: readonly string[]): readonly string[] {
  if (count === 1) return [WHOLE];
  const number = (n: number) => String(n).padStart(5, "0");
  for (let version = 1; ; version++) {
    const stem = version === 1 ? "model" : `model-v${version}`;
    const names = Array.from(
      { length: count },
      (_, i) => `${stem}-${number(i + 1)}-of-${number(count)}.safetensors`,
    );
    if (!names.some((name) => old.includes(name))) return names;
  }
}

function indexOf(
  shards: readonly (readonly StoredTensor[])[],
  names: readonly string[],
  bytesPerElement: number,
) {
  const elements = shards.flat().reduce((sum, { tensor }) => sum + tensor.size, 0);
  const map = shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]!] as const));
  return {
    metadata: { total_parameters: elements, total_size: elements * bytesPerElement },
    weight_map: Object.fromEntries(map),
  };
}

/** Shards that an index in the directory names. */
async function oldShards(output: OutputDirectory): Promise<readonly string[]> {
  const file = await output.open(INDEX);
  if (!file) return [];
  try {
    const text = new TextDecoder().decode(await file.read(0, file.size));
    const names = Object.values((JSON.parse(text) as { weight_map: object }).weight_map);
    return [...new Set(names)].filter((name) => /^[\w.-]+\.safetensors$/.test(name));
  } catch {
    // A damaged index names nothing.
    return [];
  } finally {
    await file.close();
  }
}

/** The configuration with the dtype of the weights, under the names that it has for it. */
function withDtype(json: ConfigJson, dtype: string): ConfigJson {
  const names = ["dtype", "torch_dtype"].filter((name) => json[name] !== undefined);
  const own = names.length > 0 ? names : ["dtype"];
  return { ...json, ...Object.fromEntries(own.map((name) => [name, dtype])) };
}

const jsonText = (json: unknown): string => `${JSON.stringify(json, null, 2)}\n`;

/** The names of the files that are copied. @throws if the model's files are gone. */
async function present(files: ModelFiles): Promise<readonly string[]> {
  if (!(await hasFile(files, "config.json"))) {
    throw new TypeError(
      `saveModel: the model's files in ${files.where} are gone, the tokenizer's among them; load it again`,
    );
  }
  const names: string[] = [];
  for (const name of COPIED) if (await hasFile(files, name)) names.push(name);
  return names;
}

const PIECE = 2 ** 24;

async function* copyPieces(files: ModelFiles, name: string): AsyncGenerator<Uint8Array> {
  const file = await files.open(name);
  if (!file) throw new TypeError(`saveModel: there is no ${name} in ${files.where} any more`);
  try {
    for (let from = 0; from < file.size; from += PIECE) {
      yield await file.read(from, Math.min(from + PIECE, file.size));
    }
  } finally {
    await file.close();
  }
}
