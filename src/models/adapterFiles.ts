/**
 * Adapters in the files of PEFT: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * Format: https://huggingface.co/docs/peft/developer_guides/checkpoint
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import { textPieces, writeAtomically } from "../files/atomic.js";
import type { SafetensorsHeader } from "../files/header.js";
import { type DirectoryTarget, outputDirectory } from "../files/outputDirectory.js";
import { readHeader, readTensor, safetensorsPieces } from "../files/safetensors.js";
import type { ByteSource } from "../files/source.js";
import { transposedColumns } from "../files/transpose.js";
import { allocate, type DType } from "../kernels/dtype.js";
import { leaf } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkTensors } from "./checkTensors.js";
import { type ConfigJson, ConfigReader } from "./families/configReader.js";
import {
  allLinear,
  checkLora,
  type LinearModule,
  type LoraAdapter,
  type LoraBase,
  type LoraConfig,
  linearModules,
  targetedModules,
} from "./lora.js";
import { hasFile, type ModelSource, modelFiles, readJson } from "./modelFiles.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";

/** The name of a layer's matrix in a file; PyTorch has matrices as `[outputs, inputs]`. */
const nameInFile = (module: string, key: "A" | "B") =>
  `base_model.model.${module}.lora_${key}.weight`;

/** Options of {@link loadAdapter}. */
export interface LoadAdapterOptions {
  /** Branch, tag or commit of an adapter on the hub; default `"main"`. */
  readonly revision?: string;
}

/** Options of {@link saveAdapter}. */
export interface SaveAdapterOptions {
  /** Path or id of the base model, for who loads the adapter; default: what the model was loaded from. */
  readonly baseModel?: string;
}

/**
 * Writes an adapter as PEFT does: `PeftModel.from_pretrained(base, directory)` loads it. Each file is written whole
 * or not at all.
 *
 * @param directory A path (Node), which is made, or a handle of a browser's directory.
 * @throws (the returned promise rejects) for an adapter of another model, before anything is written.
 * @example await saveAdapter("runs/dpo", lm, { ...adapter, parameters });
 */
export async function saveAdapter(
  directory: DirectoryTarget,
  lm: LoraBase & { readonly source?: string | null },
  adapter: LoraAdapter,
  options: SaveAdapterOptions = {},
): Promise<void> {
  checkOptions("saveAdapter", options, "baseModel");
  const modules = linearModules(lm);
  checkLora("saveAdapter", modules, adapter);
  const config = configJsonOf(adapter.config, modules, options.baseModel ?? lm.source ?? null);
  const tensors = Object.entries(adapter.parameters).flatMap(([name, { A, B }]) => [
    { name: nameInFile(name, "A"), tensor: A, transposed: true },
    { name: nameInFile(name, "B"), tensor: B, transposed: true },
  ]);
  const output = await outputDirectory(directory);
  await writeAtomically([
    [await output.target(WEIGHTS), safetensorsPieces(tensors, { format: "pt" })],
    [await output.target(CONFIG), textPieces(`${JSON.stringify(config, null, 2)}\n`)],
  ]);
}

function configJsonOf(
  { rank, alpha, dropout, rankStabilized, targets }: LoraConfig,
  modules: ReadonlyMap<string, LinearModule>,
  baseModel: string | null,
): ConfigJson {
  return {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: "none",
    exclude_modules: null,
    fan_in_fan_out: [...modules.values()].some(({ fanInFanOut }) => fanInFanOut),
    inference_mode: true,
    init_lora_weights: true,
    layer_replication: null,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: alpha,
    lora_dropout: dropout,
    modules_to_save: null,
    peft_type: "LORA",
    r: rank,
    rank_pattern: {},
    revision: null,
    target_modules: targets,
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: rankStabilized,
  };
}

/**
 * Reads an adapter that PEFT, or {@link saveAdapter}, wrote for the model. Matrices of every floating-point
 * type become the model's dtype.
 *
 * @param source A directory's path (Node) or `URL`, the `File`s that were picked or dropped, or files by their names.
 * @throws (the returned promise rejects) before tensors are read: naming the setting for what is no plain LoRA (another
 * `peft_type`, DoRA, `modules_to_save`, biases, ranks or alphas of single layers), and the tensor for what is
 * missing, left over, or of another shape than the model asks for.
 * @example const adapter = await loadAdapter("runs/dpo", lm);
 */
export async function loadAdapter(
  source: ModelSource,
  lm: LoraBase,
  options: LoadAdapterOptions = {},
): Promise<LoraAdapter> {
  checkOptions("loadAdapter", options, "revision");
  const files = await modelFiles(source, options.revision);
  const json = await readJson(files, CONFIG);
  if (!json) throw new TypeError(`loadAdapter: there is no ${CONFIG} in ${files.where}`);
  const modules = linearModules(lm);
  const { config, names } = readAdapterConfig(json, modules);
  const file = await files.open(WEIGHTS);
  if (!file) {
    const pickle = await hasFile(files, "adapter_model.bin");
    throw new TypeError(
      `loadAdapter: there is no ${WEIGHTS} in ${files.where}` +
        (pickle
          ? "; adapter_model.bin may hold code and is not read: in Python, save_pretrained writes safetensors"
          : ""),
    );
  }
  try {
    const header = await readHeader(file);
    checkTensors("adapter", CONFIG, wantedTensors(config.rank, modules, names), header.tensors);
    const dtype = lm.parameters.finalNorm.weight.dtype;
    const parameters: LoraAdapter["parameters"][string][] = [];
    for (const name of names) {
      const read = (key: "A" | "B") => readMatrix(file, header, nameInFile(name, key), dtype);
      parameters.push({ A: await read("A"), B: await read("B") });
    }
    return {
      config,
      parameters: Object.fromEntries(names.map((name, i) => [name, parameters[i]!])),
    };
  } finally {
    await file.close();
  }
}

/** Keys that say how an adapter was made, and nothing about what it computes. */
const HARMLESS = [
  "auto_mapping",
  "base_model_name_or_path",
  // How the base's files have their matrices, which PEFT sees itself; the adapter's are always the same way.
  "fan_in_fan_out",
  "inference_mode",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
  "task_type",
];

/** What a configuration says, and the layers it means. */
function readAdapterConfig(
  json: ConfigJson,
  modules: ReadonlyMap<string, LinearModule>,
): { readonly config: LoraConfig; readonly names: readonly string[] } {
  const isEmpty = (value: unknown) =>
    typeof value === "object" && value !== null && Object.keys(value).length === 0;
  const given = Object.fromEntries(Object.entries(json).filter(([, value]) => !isEmpty(value)));
  const read = new ConfigReader(given, CONFIG);
  read.choice("peft_type", { LORA: true });
  read.choice("bias", { none: true }, "none");
  // Others change the base's weights, too, or the matrices' meaning.
  if (json.init_lora_weights === true) read.ignore("init_lora_weights");
  else if (read.has("init_lora_weights") && json.init_lora_weights !== false) {
    read.choice("init_lora_weights", { gaussian: true, orthogonal: true });
  }
  for (const key of HARMLESS) read.ignore(key);
  const config = {
    rank: read.integer("r"),
    alpha: read.number("lora_alpha"),
    dropout: read.number("lora_dropout", 0),
    rankStabilized: read.flag("use_rslora", false),
  };
  checkNumber("loadAdapter", "lora_alpha", config.alpha, (a) => a > 0, "> 0");
  checkNumber("loadAdapter", "lora_dropout", config.dropout, (p) => p >= 0 && p < 1, "in [0, 1)");
  const found = given.target_modules;
  const all = found === "all-linear" ? allLinear(modules) : found;
  read.ignore("target_modules");
  if (!(Array.isArray(all) && all.length > 0 && all.every((name) => typeof name === "string"))) {
    throw new TypeError(
      `${CONFIG}: "target_modules" must be a list of names or "all-linear", got ${JSON.stringify(found)}`,
    );
  }
  read.finish();
  const targets = all as readonly string[];
  return {
    config: { ...config, targets },
    names: targetedModules("loadAdapter", targets, modules.keys()),
  };
}

/** The tensors that a file must hold, and their shapes in it. */
function wantedTensors(
  rank: number,
  modules: ReadonlyMap<string, LinearModule>,
  names: readonly string[],
): ReadonlyMap<string, readonly number[]> {
  const wanted = names.flatMap((name) => {
    const { inputs, outputs } = modules.get(name)!;
    return [
      [nameInFile(name, "A"), [rank, inputs]],
      [nameInFile(name, "B"), [outputs, rank]],
    ] as const;
  });
  return new Map(wanted);
}

/** A matrix as the parameters have it, `[inputs, r]` or `[r, outputs]`. */
async function readMatrix(
  file: ByteSource,
  header: SafetensorsHeader,
  name: string,
  dtype: DType,
): Promise<Tensor> {
  const stored = await readTensor(file, header, name);
  const [rows, columns] = stored.shape as [number, number];
  const into = allocate(dtype, stored.size);
  return leaf(transposedColumns(stored.host!, columns, 0, columns, into), [columns, rows], dtype);
}
