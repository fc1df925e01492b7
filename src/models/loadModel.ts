/**
 * Models from the directories transformers writes: `config.json` and safetensors files, one or in shards.
 * @module
 */

import { checkChoice, checkFlag, checkOptions } from "../checks.js";
import { readHeader } from "../files/safetensors.js";
import type { FloatDType } from "../kernels/dtype.js";
import { type CheckpointFile, type LoadProgress, readParameters } from "./checkpoint.js";
import { type Decoder, type DecoderConfig, type DecoderParameters, decoder } from "./decoder.js";
import type { ConfigJson } from "./families/configReader.js";
import { type ReadConfig, readConfig } from "./families/index.js";
import { type GenerationConfig, readGenerationConfig } from "./generationConfig.js";
import {
  hasFile,
  type ModelFiles,
  type ModelSource,
  modelFiles,
  readJson,
  textOf,
} from "./modelFiles.js";
import { readTokenizer, type Tokenizer } from "./tokenizer.js";

/** Options of {@link loadModel}. */
export interface LoadModelOptions {
  /** Branch, tag or commit of a model on the hub; default `"main"`. */
  readonly revision?: string;
  /**
   * Of the parameters: `"float32"` (default), or `"float64"` on devices that have it. `"bfloat16"` keeps matrices in
   * 2 bytes an element, as most files have them, on all devices but WebGL2: they are widened wherever they are read, and
   * results are those of the widened weights. Weights of other files are rounded to it. They are for use and for adapters:
   * training them makes them float32.
   */
  readonly dtype?: FloatDType | "bfloat16";
  /** Whether to read the tokenizer, where there is one. Default true. */
  readonly tokenizer?: boolean;
  /** Called after each piece that was read, with the bytes so far. */
  readonly onProgress?: LoadProgress;
}

/** A model and its parameters. */
export interface LoadedModel {
  readonly model: Decoder;
  readonly parameters: DecoderParameters;
  /** The decoder's, `model.config`: what `config.json` says, in this library's terms. */
  readonly config: DecoderConfig;
  /** Null where the directory has no `tokenizer.json`, and where none was wanted. */
  readonly tokenizer: Tokenizer | null;
  /** What `generation_config.json` says, with defaults. */
  readonly generationConfig: GenerationConfig;
  /** `model_type` of the `config.json`: `"llama"`, `"qwen2"`, … */
  readonly modelType: string;
  /** The `config.json`. */
  readonly configJson: ConfigJson;
  /** The path, id or address it was loaded from; null where files were given. */
  readonly source: string | null;
  /** The files it was loaded from: {@link saveModel} copies the tokenizer's. */
  readonly files: ModelFiles;
}

/**
 * Loads a model that transformers saved: `config.json`, and `model.safetensors` or the shards its
 * `model.safetensors.index.json` names; its tokenizer as {@link loadTokenizer} does, and
 * `generation_config.json`. Weights of every floating-point dtype become `dtype`; they are read piece by piece.
 *
 * @throws (the returned promise rejects) for a family, a formula or a tokenizer that is not supported, for
 * tensors that are missing, of another shape or of no use, and for damaged files: always before parameters
 * are read.
 * @example
 * const { model, parameters, tokenizer } = await loadModel("path/to/SmolLM2-135M");
 * const ids = tensor([tokenizer.encode("Once upon a time")], { dtype: "int32" });
 * const logits = model.apply(parameters, ids);
 */
export async function loadModel(
  source: ModelSource,
  options: LoadModelOptions = {},
): Promise<LoadedModel> {
  checkOptions("loadModel", options, "revision", "dtype", "tokenizer", "onProgress");
  const { revision, dtype = "float32", tokenizer: wanted = true, onProgress } = options;
  checkFlag("loadModel", "tokenizer", wanted);
  checkChoice("loadModel", "dtype", dtype, ["float32", "float64", "bfloat16"]);
  const from = await modelFiles(source, revision);
  const { configJson, read, generationConfig } = await readConfigs(from);
  const tokenizer = wanted ? await readTokenizer(from) : null;
  const { config, parameters } = await withWeights(from, (files) =>
    readParameters(read, files, { dtype, onProgress }),
  );
  return {
    model: decoder(config),
    config,
    parameters,
    tokenizer,
    generationConfig,
    modelType: read.family.modelType,
    configJson,
    source: textOf(source),
    files: from,
  };
}

/** What a model's directory says of it. */
interface ModelConfigs {
  readonly configJson: ConfigJson;
  readonly read: ReadConfig;
  readonly generationConfig: GenerationConfig;
}

/** Reads `config.json` and `generation_config.json`. */
export async function readConfigs(from: ModelFiles): Promise<ModelConfigs> {
  const configJson = await readJson(from, "config.json");
  if (!configJson) return noConfig(from);
  const read = readConfig(configJson);
  const file = await readJson(from, "generation_config.json");
  return { configJson, read, generationConfig: readGenerationConfig(file, configJson) };
}

/** What `use` makes of the files that hold the weights, which are open meanwhile. */
export async function withWeights<T>(
  from: ModelFiles,
  use: (files: readonly CheckpointFile[]) => T | Promise<T>,
): Promise<T> {
  const files: CheckpointFile[] = [];
  try {
    for (const [name, mapped] of await weightFiles(from)) {
      const file = await from.open(name);
      if (!file) throw new TypeError(`loadModel: there is no ${name} in ${from.where}`);
      files.push({ name, source: file, header: await readHeader(file) });
      const { tensors } = files.at(-1)!.header;
      const lost = mapped.find((tensor) => !tensors.has(tensor));
      if (lost === undefined) continue;
      throw new TypeError(`loadModel: ${name} lacks ${lost}, which ${INDEX} maps to it`);
    }
    return await use(files);
  } finally {
    await Promise.all(files.map((file) => file.source.close()));
  }
}

/** The file of all weights, or of where they are. */
export const WHOLE = "model.safetensors";
export const INDEX = "model.safetensors.index.json";
const PICKLES = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"];

/** The files that hold the weights, each with the tensors that the index maps to it. */
async function weightFiles(files: ModelFiles): Promise<ReadonlyMap<string, readonly string[]>> {
  // Whoever finds the whole file does not ask for an index: transformers does not.
  if (await hasFile(files, WHOLE)) return new Map([[WHOLE, []]]);
  const index = await readJson(files, INDEX);
  if (!index) return noWeights(files);
  const { weight_map: map } = index;
  const entries = typeof map === "object" && map !== null ? Object.entries(map) : [];
  const isBeside = (name: unknown) => typeof name === "string" && !/[/\\]|^\.\.?$/.test(name);
  const outside = entries.find(([, name]) => !isBeside(name));
  if (entries.length === 0 || outside) {
    throw new TypeError(
      `loadModel: ${INDEX} must map tensors to files beside it` +
        (outside ? `, and names ${JSON.stringify(outside[1])}` : ""),
    );
  }
  const mapped = new Map<string, string[]>();
  for (const [tensor, name] of entries) {
    const own = mapped.get(name);
    if (own) own.push(tensor);
    else mapped.set(name, [tensor]);
  }
  return mapped;
}

async function noConfig(files: ModelFiles): Promise<never> {
  throw new TypeError(
    (await hasFile(files, "adapter_config.json"))
      ? `loadModel: there is an adapter in ${files.where}, and no model; load its base model, then loadAdapter(source, lm)`
      : `loadModel: there is no config.json in ${files.where}`,
  );
}

async function noWeights(files: ModelFiles): Promise<never> {
  for (const pickle of PICKLES) {
    if (await hasFile(files, pickle)) {
      throw new TypeError(
        `loadModel: ${pickle} may hold code and is not read; in Python, model.save_pretrained(directory) ` +
          "writes safetensors",
      );
    }
  }
  throw new TypeError(`loadModel: there is neither ${WHOLE} nor ${INDEX} in ${files.where}`);
}
